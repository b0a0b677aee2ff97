"""Git and git hosts as `doctor` sees them. Nothing is fetched and no mirror made. May import `domain`, `settings`, `errors` and gateways."""

from collections.abc import Iterator

from aml_canary.domain.checkup import Check
from aml_canary.errors import AmlCanaryError
from aml_canary.gateways.git import branch_head
from aml_canary.gateways.githost import connection
from aml_canary.settings import settings


def repositories() -> Iterator[Check]:
    """Whether each followed repository has the followed branch, and may be read from here."""
    if not settings().repositories:
        yield Check("git", "warning", "no repository is followed", 'Set AML_CANARY_REPOSITORIES, such as {"acme/models": "https://..."}.')
    for name, url in settings().repositories.items():
        about, branch = f"git {name}", settings().branch
        try:
            head = branch_head(url, branch)
        except AmlCanaryError as error:
            yield Check(about, "failed", str(error), "Credentials are git's own, or stand in the URL in AML_CANARY_REPOSITORIES.")
            continue
        if head:
            yield Check(about, "ok", f"{branch} is at {head[:12]}")
        else:
            yield Check(about, "failed", f"there is no branch {branch}", "Push it, or set AML_CANARY_BRANCH.")


def hosts() -> Iterator[Check]:
    """Whether each repository's git host takes the token. Whether that may write statuses is seen at the first."""
    for name in settings().repositories:
        about, host = f"git host {name}", connection(name)
        if host is None:
            told = "no host and token for it: commits get no status, pull requests no comment"
            yield Check(about, "warning", told, "Add it to AML_CANARY_GIT_HOSTS.")
            continue
        try:
            host.look()
        except AmlCanaryError as error:
            yield Check(about, "failed", str(error), "Look at AML_CANARY_GIT_HOSTS.")
        else:
            yield Check(about, "ok", "the token is taken, and the repository seen")
