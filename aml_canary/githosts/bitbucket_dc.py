"""Bitbucket Data Center: what its webhook says, and how a commit's status and a pull request's comment are written there.

https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html,
https://confluence.atlassian.com/bitbucketserver/manage-webhooks-938025878.html,
https://developer.atlassian.com/server/bitbucket/rest/. The API's base ends in `/rest/api/latest`.
Performs no I/O. May import its siblings `delivery`, `payload`, `signature`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import quote

from aml_canary.githosts import payload, signature
from aml_canary.githosts.delivery import (
    Event,
    FoundComment,
    HttpRequest,
    Ignored,
    NotSigned,
    PullRequest,
    State,
    Status,
    Unreadable,
)

API = ""
DELIVERY_HEADER = "x-request-id"
EVENT_HEADER = "x-event-key"
SIGNATURE_HEADER = "x-hub-signature"

_PAGE = 100
_DESCRIPTION = 255
_REVIEWED = ("pr:opened", "pr:reopened", "pr:from_ref_updated")
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
    if event == "repo:refs_changed":
        said = payload.read(body)
        repository, by = _repository(said, "repository"), payload.name(said, "actor.name", "actor.displayName")
        changes = payload.items(said, "changes")
        return tuple(_change(repository, by, change) for change in changes) or (Ignored("The push changed no branch and no tag."),)
    if event in _REVIEWED:
        return (_pull_request(payload.read(body)),)
    if event == "diagnostics:ping":
        return (Ignored("ping: the webhook is set up."),)
    if event in ("pr:comment:added", "repo:comment:added"):
        return (payload.not_here("Bitbucket"),)
    return (Ignored(f"{event[:50]!r} is not a push; this webhook needs repository push, and pull request events for reviews."),)


def _change(repository: str, by: str, change: dict[str, object]) -> Event:
    commit, before = payload.commit(change, "toHash"), payload.commit(change, "fromHash")
    return payload.push(repository, payload.text(change, "ref.id"), commit, before, None, by)


def _pull_request(said: dict[str, object]) -> Event:
    number = payload.number(said, "pullRequest.id")
    return PullRequest(
        _repository(said, "pullRequest.toRef.repository"),
        number,
        payload.commit(said, "pullRequest.fromRef.latestCommit"),
        f"refs/pull-requests/{number}/from",
        payload.branch(said, "pullRequest.toRef.id"),
        payload.name(said, "pullRequest.author.user.name", "pullRequest.author.user.displayName"),
    )


def _repository(said: dict[str, object], path: str) -> str:
    """The name in a repository's address: `MODELS/churn`, or `~ada/churn` in a personal project."""
    found = f"{payload.text(said, f'{path}.project.key')}/{payload.text(said, f'{path}.slug')}"
    if found.count("/") != 1:
        raise Unreadable(f"The delivery's {path!r} is {found[:200]!r}.")
    return payload.text({"name": found}, "name", payload.REPOSITORY)


def status_request(api: str, token: str, status: Status) -> HttpRequest:
    """Has the commit show this status."""
    said = {
        "key": payload.cut(status.context, _DESCRIPTION),
        "name": payload.cut(status.context, _DESCRIPTION),
        "state": _STATES[status.state],
        "url": status.url,
        "description": payload.cut(status.description, _DESCRIPTION),
    }
    return HttpRequest("POST", f"{_address(api, status.repository)}/commits/{status.commit}/builds", _headers(token), said)


def comments_request(api: str, token: str, repository: str, number: int, page: int) -> HttpRequest:
    """Asks for one page of what happened to a pull request, the newest first; only there are its comments listed."""
    order = f"limit={_PAGE}&start={_PAGE * (page - 1)}"
    return HttpRequest("GET", f"{_address(api, repository)}/pull-requests/{number}/activities?{order}", _headers(token))


def find_comment(body: bytes, marker: str) -> FoundComment:
    """The newest comment on this page with the marker, as `<id>/<version>`: who edits has to name what was read. Raises Unreadable."""
    said = payload.read(body)
    found = [payload.inner(one, "comment") for one in payload.items(said, "values") if one.get("action") == "COMMENTED"]
    comments = ((f"{payload.number(one, 'id')}/{_version(one)}", one.get("text")) for one in found)
    return payload.first_comment(comments, marker, said.get("isLastPage") is False)


def _version(comment: dict[str, object]) -> int:
    found = comment.get("version")
    if type(found) is not int:
        raise Unreadable("The comment has no number 'version'.")
    return found


def comment_request(api: str, token: str, repository: str, number: int, text: str, existing: str | None) -> HttpRequest:
    """Writes a comment to a pull request, or another text into the existing one."""
    comments = f"{_address(api, repository)}/pull-requests/{number}/comments"
    if existing:
        known_as, _, version = existing.partition("/")
        return HttpRequest("PUT", f"{comments}/{known_as}", _headers(token), {"text": text, "version": int(version)})
    return HttpRequest("POST", comments, _headers(token), {"text": text})


def _address(api: str, repository: str) -> str:
    project, _, slug = repository.partition("/")
    return f"{api}/projects/{quote(project, safe='~')}/repos/{quote(slug, safe='')}"


def _headers(token: str) -> dict[str, str]:
    # Without the last one, a server that thinks of browsers refuses what is written.
    return {"Authorization": f"Bearer {token}", "Accept": "application/json", "X-Atlassian-Token": "no-check"}
