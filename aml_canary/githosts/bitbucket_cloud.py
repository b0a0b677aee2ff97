"""Bitbucket Cloud: what its webhook says, and how a commit's status and a pull request's comment are written there.

https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/,
https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/,
https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/ and .../api-group-pullrequests/.
It shows what is between `<!--` and `-->` to readers. Performs no I/O. May import its siblings `delivery`, `payload`, `signature`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from aml_canary.githosts import payload, signature
from aml_canary.githosts.delivery import Event, FoundComment, HttpRequest, Ignored, NotSigned, PullRequest, State, Status

API = "https://api.bitbucket.org/2.0"
DELIVERY_HEADER = "x-request-uuid"
EVENT_HEADER = "x-event-key"
SIGNATURE_HEADER = "x-hub-signature"

_PAGE = 100
_KEY, _DESCRIPTION = 40, 255
_NONE = "0" * 40
# A pull request's commits are cut to twelve characters.
_SHORT = re.compile(r"[0-9a-f]{12,64}", re.ASCII)
_STATES = MappingProxyType({State.PENDING: "INPROGRESS", State.SUCCESS: "SUCCESSFUL", State.FAILURE: "FAILED", State.ERROR: "FAILED"})


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float) -> None:  # noqa: ARG001
    """Returns where one of `secrets` signed exactly `body`; raises NotSigned or Forged otherwise."""
    given = headers.get(SIGNATURE_HEADER, "")
    if not given:
        raise NotSigned(f"The delivery has no {SIGNATURE_HEADER} header. Set a secret in the webhook's settings on Bitbucket.")
    signature.check_sha256(given, body, secrets)


def parse(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
    """What a verified delivery says; raises Unreadable. A push of several branches is one delivery."""
    event = headers.get(EVENT_HEADER, "")
    if event == "repo:push":
        said = payload.read(body)
        repository = payload.text(said, "repository.full_name", payload.REPOSITORY)
        by = payload.name(said, "actor.nickname", "actor.display_name")
        changes = payload.items(said, "push.changes")
        return tuple(_change(repository, by, change) for change in changes) or (Ignored("The push changed no branch and no tag."),)
    if event in ("pullrequest:created", "pullrequest:updated"):
        return (_pull_request(payload.read(body)),)
    if event in ("pullrequest:comment_created", "repo:commit_comment_created"):
        return (payload.not_here("Bitbucket"),)
    return (
        Ignored(f"{event[:50]!r} is not a push; this webhook needs repository push, and pull request created and updated for reviews."),
    )


def _change(repository: str, by: str, change: dict[str, object]) -> Event:
    side = "old" if change.get("new") is None else "new"
    folder = "heads" if payload.text(change, f"{side}.type") == "branch" else "tags"
    ref = f"refs/{folder}/{payload.text(change, f'{side}.name')}"
    commit = _NONE if side == "old" else payload.commit(change, "new.target.hash")
    before = _NONE if change.get("old") is None else payload.commit(change, "old.target.hash")
    return payload.push(repository, ref, commit, before, change.get("forced") is True, by)


def _pull_request(said: dict[str, object]) -> Event:
    """Updated is also said of titles and reviewers; the commit tells whether there is anything new."""
    number, repository = payload.number(said, "pullrequest.id"), payload.text(said, "repository.full_name", payload.REPOSITORY)
    if payload.text(said, "pullrequest.state") != "OPEN":
        return Ignored(f"Pull request {number} is not open.")
    source = payload.name(said, "pullrequest.source.repository.full_name")
    if source != repository:
        return Ignored(f"Pull request {number} comes from a fork, whose commits cannot be read from {repository!r}.")
    return PullRequest(
        repository,
        number,
        payload.commit(said, "pullrequest.source.commit.hash", _SHORT),
        f"refs/heads/{payload.branch(said, 'pullrequest.source.branch.name')}",
        payload.branch(said, "pullrequest.destination.branch.name"),
        payload.name(said, "pullrequest.author.nickname", "pullrequest.author.display_name"),
    )


def status_request(api: str, token: str, status: Status) -> HttpRequest:
    """Has the commit show this status. A context too long for a key is known by its digest."""
    long = len(status.context) > _KEY
    said = {
        "key": hashlib.sha256(status.context.encode()).hexdigest()[:_KEY] if long else status.context,
        "name": payload.cut(status.context, _DESCRIPTION),
        "state": _STATES[status.state],
        "url": status.url,
        "description": payload.cut(status.description, _DESCRIPTION),
    }
    return HttpRequest("POST", f"{api}/repositories/{status.repository}/commit/{status.commit}/statuses/build", _headers(token), said)


def comments_request(api: str, token: str, repository: str, number: int, page: int) -> HttpRequest:
    """Asks for one page of a pull request's comments, the oldest first."""
    order = f"sort=created_on&pagelen={_PAGE}&page={page}"
    return HttpRequest("GET", f"{_comments(api, repository, number)}?{order}", _headers(token))


def find_comment(body: bytes, marker: str) -> FoundComment:
    """The first comment on this page with the marker that was not deleted. Raises Unreadable."""
    said = payload.read(body)
    found = [one for one in payload.items(said, "values") if one.get("deleted") is not True]
    comments = ((str(payload.number(one, "id")), payload.inner(one, "content").get("raw")) for one in found)
    return payload.first_comment(comments, marker, isinstance(said.get("next"), str))


def comment_request(api: str, token: str, repository: str, number: int, text: str, existing: str | None) -> HttpRequest:
    """Writes a comment to a pull request, or another text into the existing one."""
    comments, said = _comments(api, repository, number), {"content": {"raw": text}}
    if existing:
        return HttpRequest("PUT", f"{comments}/{existing}", _headers(token), said)
    return HttpRequest("POST", comments, _headers(token), said)


def _comments(api: str, repository: str, number: int) -> str:
    return f"{api}/repositories/{repository}/pullrequests/{number}/comments"


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}
