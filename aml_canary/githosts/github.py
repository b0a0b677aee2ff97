"""GitHub: what its webhook says, and how a commit's status and a pull request's comment are written there.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries,
https://docs.github.com/en/webhooks/webhook-events-and-payloads, https://docs.github.com/en/rest/commits/statuses,
https://docs.github.com/en/rest/issues/comments. Performs no I/O. May import its siblings.
"""

from collections.abc import Iterable, Mapping

from aml_canary.githosts import github_comments, payload, signature
from aml_canary.githosts.delivery import Event, FoundComment, HttpRequest, Ignored, NotSigned, PullRequest, Status
from aml_canary.githosts.github_comments import headers_with

API = "https://api.github.com"
DELIVERY_HEADER = "x-github-delivery"
EVENT_HEADER = "x-github-event"
SIGNATURE_HEADER = "x-hub-signature-256"

_PAGE = 100
_DESCRIPTION = 140
_REVIEWED = ("opened", "reopened", "synchronize")


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float) -> None:  # noqa: ARG001
    """Returns where one of `secrets` signed exactly `body`; raises NotSigned or Forged otherwise."""
    given = headers.get(SIGNATURE_HEADER, "")
    if not given:
        older = " Its SHA-1 signature is not accepted." if headers.get("x-hub-signature") else ""
        raise NotSigned(f"The delivery has no {SIGNATURE_HEADER} header.{older} Set a secret in the webhook's settings on GitHub.")
    signature.check_sha256(given, body, secrets)


def parse(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
    """What a verified delivery says; raises Unreadable."""
    event = headers.get(EVENT_HEADER, "")
    if event == "push":
        return (_push(payload.read(body)),)
    if event == "pull_request":
        return (_pull_request(payload.read(body)),)
    if event in ("issue_comment", "commit_comment"):
        return (github_comments.comment(event, payload.read(body)),)
    if event == "ping":
        return (Ignored("ping: the webhook is set up."),)
    return (
        Ignored(
            f"{event[:50]!r} is not a push; this webhook needs push events, pull request events for reviews, and comment events for answers."
        ),
    )


def _push(said: dict[str, object]) -> Event:
    repository = payload.text(said, "repository.full_name", payload.REPOSITORY)
    commit, before = payload.commit(said, "after"), payload.commit(said, "before")
    return payload.push(
        repository, payload.text(said, "ref"), commit, before, said.get("forced") is True, payload.name(said, "pusher.name")
    )


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
        payload.name(said, "pull_request.user.login"),
    )


def status_request(api: str, token: str, status: Status) -> HttpRequest:
    """Has the commit show this status."""
    said = {
        "state": status.state.value,
        "target_url": status.url,
        "description": payload.cut(status.description, _DESCRIPTION),
        "context": status.context,
    }
    return HttpRequest("POST", f"{api}/repos/{status.repository}/statuses/{status.commit}", headers_with(token), said)


def comments_request(api: str, token: str, repository: str, number: int, page: int) -> HttpRequest:
    """Asks for one page of a pull request's comments, the oldest first."""
    return HttpRequest("GET", f"{api}/repos/{repository}/issues/{number}/comments?per_page={_PAGE}&page={page}", headers_with(token))


def find_comment(body: bytes, marker: str) -> FoundComment:
    """The first comment on this page with the marker. Raises Unreadable."""
    found = payload.rows(body)
    return payload.first_comment(((str(payload.number(one, "id")), one.get("body")) for one in found), marker, len(found) == _PAGE)


def comment_request(api: str, token: str, repository: str, number: int, text: str, existing: str | None) -> HttpRequest:
    """Writes a comment to a pull request, or another text into the existing one."""
    if existing:
        return HttpRequest("PATCH", f"{api}/repos/{repository}/issues/comments/{existing}", headers_with(token), {"body": text})
    return HttpRequest("POST", f"{api}/repos/{repository}/issues/{number}/comments", headers_with(token), {"body": text})
