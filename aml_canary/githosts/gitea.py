"""Gitea and Forgejo: what their webhook says, and how a commit's status and a pull request's comment are written there.

https://docs.gitea.com/usage/webhooks, https://docs.gitea.com/api/, https://forgejo.org/docs/latest/user/webhooks/.
Performs no I/O. May import its siblings `delivery`, `payload`, `signature`.
"""

from collections.abc import Iterable, Mapping

from aml_canary.githosts import payload, signature
from aml_canary.githosts.delivery import Event, FoundComment, HttpRequest, Ignored, NotSigned, PullRequest, Status

API = ""
# Forgejo sends Gitea's headers too, beside its own.
DELIVERY_HEADER = "x-gitea-delivery"
EVENT_HEADERS = ("x-forgejo-event", "x-gitea-event")
# All are of the same body by the same secret; the first that is there has to be right.
FORGEJO_SIGNATURE_HEADER, GITEA_SIGNATURE_HEADER = "x-forgejo-signature", "x-gitea-signature"
GITHUB_SIGNATURE_HEADER = "x-hub-signature-256"

# No limit is documented. Older ones kept this many.
_DESCRIPTION = 255
_REVIEWED = ("opened", "reopened", "synchronized")


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float) -> None:  # noqa: ARG001
    """Returns where one of `secrets` signed exactly `body`; raises NotSigned or Forged otherwise."""
    if given := headers.get(FORGEJO_SIGNATURE_HEADER) or headers.get(GITEA_SIGNATURE_HEADER):
        signature.check_hmac(given, body, secrets)
    elif given := headers.get(GITHUB_SIGNATURE_HEADER):
        signature.check_sha256(given, body, secrets)
    else:
        raise NotSigned(f"The delivery has no {GITEA_SIGNATURE_HEADER} header. Set a secret in the webhook's settings.")


def parse(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
    """What a verified delivery says; raises Unreadable. A test is a push that moves nothing."""
    event = next((headers[header] for header in EVENT_HEADERS if headers.get(header)), "")
    if event == "push":
        return (_push(payload.read(body)),)
    if event in ("pull_request", "pull_request_sync"):
        return (_pull_request(payload.read(body)),)
    if event in ("issue_comment", "pull_request_comment"):
        return (payload.not_here("Gitea and Forgejo"),)
    return (Ignored(f"{event[:50]!r} is not a push; this webhook needs push events, and pull request events for reviews."),)


def _push(said: dict[str, object]) -> Event:
    repository = payload.text(said, "repository.full_name", payload.REPOSITORY)
    commit, before = payload.commit(said, "after"), payload.commit(said, "before")
    return payload.push(repository, payload.text(said, "ref"), commit, before, None, payload.name(said, "pusher.login", "pusher.username"))


def _pull_request(said: dict[str, object]) -> Event:
    action, number = payload.text(said, "action"), payload.number(said, "number")
    if action not in _REVIEWED:
        return Ignored(f"Pull request {number}: {action[:50]!r} does not change what would be merged.")
    return PullRequest(
        payload.text(said, "repository.full_name", payload.REPOSITORY),
        number,
        payload.commit(said, "pull_request.head.sha"),
        f"refs/pull/{number}/head",
        payload.branch(said, "pull_request.base.ref"),
        payload.name(said, "pull_request.user.login", "pull_request.user.username"),
    )


def status_request(api: str, token: str, status: Status) -> HttpRequest:
    """Has the commit show this status."""
    said = {
        "state": status.state.value,
        "target_url": status.url,
        "description": payload.cut(status.description, _DESCRIPTION),
        "context": payload.cut(status.context, _DESCRIPTION),
    }
    return HttpRequest("POST", f"{api}/repos/{status.repository}/statuses/{status.commit}", _headers(token), said)


def comments_request(api: str, token: str, repository: str, number: int, page: int) -> HttpRequest:  # noqa: ARG001
    """Asks for a pull request's comments, all on one page: there are no others here."""
    return HttpRequest("GET", f"{api}/repos/{repository}/issues/{number}/comments", _headers(token))


def find_comment(body: bytes, marker: str) -> FoundComment:
    """The first comment with the marker. Raises Unreadable."""
    return payload.first_comment(((str(payload.number(one, "id")), one.get("body")) for one in payload.rows(body)), marker, more=False)


def comment_request(api: str, token: str, repository: str, number: int, text: str, existing: str | None) -> HttpRequest:
    """Writes a comment to a pull request, or another text into the existing one."""
    if existing:
        return HttpRequest("PATCH", f"{api}/repos/{repository}/issues/comments/{existing}", _headers(token), {"body": text})
    return HttpRequest("POST", f"{api}/repos/{repository}/issues/{number}/comments", _headers(token), {"body": text})


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}", "Accept": "application/json"}
