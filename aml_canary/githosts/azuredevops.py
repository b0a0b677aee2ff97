"""Azure DevOps: what its service hook says, and how a commit's status and a pull request's comment are written there.

https://learn.microsoft.com/azure/devops/service-hooks/events, https://learn.microsoft.com/azure/devops/service-hooks/services/webhooks,
https://learn.microsoft.com/rest/api/azure/devops/git/statuses and .../git/pull-request-threads. The service hook needs "all" resource
details. A repository's name is `organization/project/repository`. Performs no I/O. May import its siblings `delivery`, `payload`,
`signature`.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit

from aml_canary.githosts import payload, signature
from aml_canary.githosts.delivery import (
    Event,
    Forged,
    FoundComment,
    HttpRequest,
    Ignored,
    NotSigned,
    PullRequest,
    State,
    Status,
    Unreadable,
)

API = "https://dev.azure.com"
DELIVERY_HEADER = "x-vss-activityid"

_VERSION = "api-version=7.1"
# No limit is documented.
_DESCRIPTION = 255
# Projects and repositories may have spaces in their names, and letters of any language.
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_STATES = MappingProxyType({State.PENDING: "pending", State.SUCCESS: "succeeded", State.FAILURE: "failed", State.ERROR: "error"})


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float) -> None:  # noqa: ARG001
    """Returns where the password is one of `secrets`, whatever the user's name; raises NotSigned or Forged otherwise.

    Nothing here proves the body: whoever reads the line can send another one. Azure DevOps offers no more, so HTTPS is a must.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise NotSigned("The delivery has no basic authentication. Set a password in the service hook's settings on Azure DevOps.")
    try:
        _, _, password = base64.b64decode(signature.raw(credentials.strip()), validate=True).partition(b":")
    except (binascii.Error, ValueError) as problem:
        raise Forged("The delivery's basic authentication is not base64.") from problem
    signature.check_secret(password, secrets)


def parse(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:  # noqa: ARG001
    """What a verified delivery says; raises Unreadable. A push of several branches is one delivery."""
    said = payload.read(body)
    event = payload.text(said, "eventType")
    if event == "git.push":
        repository, by = _repository(said), payload.name(said, "resource.pushedBy.displayName")
        updates = payload.items(said, "resource.refUpdates")
        return tuple(_update(repository, by, one) for one in updates) or (Ignored("The push changed no branch and no tag."),)
    if event in ("git.pullrequest.created", "git.pullrequest.updated"):
        return (_pull_request(said),)
    if event == "ms.vss-code.git-pullrequest-comment-event":
        return (payload.not_here("Azure DevOps"),)
    return (
        Ignored(f"{event[:50]!r} is not a push; this service hook needs code pushed, and pull request created and updated for reviews."),
    )


def _update(repository: str, by: str, update: dict[str, object]) -> Event:
    commit, before = payload.commit(update, "newObjectId"), payload.commit(update, "oldObjectId")
    return payload.push(repository, payload.text(update, "name"), commit, before, None, by)


def _pull_request(said: dict[str, object]) -> Event:
    """Updated is also said of votes and titles; the commit tells whether there is anything new."""
    number = payload.number(said, "resource.pullRequestId")
    if payload.text(said, "resource.status") != "active":
        return Ignored(f"Pull request {number} is not active.")
    return PullRequest(
        _repository(said),
        number,
        payload.commit(said, "resource.lastMergeSourceCommit.commitId"),
        f"refs/pull/{number}/merge",
        payload.branch(said, "resource.targetRefName"),
        payload.name(said, "resource.createdBy.displayName"),
    )


def _repository(said: dict[str, object]) -> str:
    """The organization stands in the addresses only: `dev.azure.com/acme/...`, `acme.visualstudio.com/...`, or a server's collection."""
    address = payload.name(said, "resource.repository.remoteUrl", "resource.repository.url")
    try:
        parts = urlsplit(address)
        host, folders = parts.hostname or "", [unquote(folder) for folder in parts.path.split("/") if folder]
    except ValueError as problem:
        raise Unreadable(f"The delivery's 'resource.repository.remoteUrl' is {address[:200]!r}.") from problem
    folders = folders[1:] if folders[:1] == ["tfs"] else folders
    organization = host.partition(".")[0] if host.endswith(".visualstudio.com") else "".join(folders[:1])
    payload.text({"organization": organization if host else ""}, "organization", _NAME)
    project = payload.text(said, "resource.repository.project.name", _NAME)
    return f"{organization}/{project}/{payload.text(said, 'resource.repository.name', _NAME)}"


def status_request(api: str, token: str, status: Status) -> HttpRequest:
    """Has the commit show this status."""
    said = {
        "state": _STATES[status.state],
        "description": payload.cut(status.description, _DESCRIPTION),
        "targetUrl": status.url,
        "context": {"name": status.context, "genre": "aml-canary"},
    }
    return HttpRequest("POST", f"{_address(api, status.repository)}/commits/{status.commit}/statuses?{_VERSION}", _headers(token), said)


def comments_request(api: str, token: str, repository: str, number: int, page: int) -> HttpRequest:  # noqa: ARG001
    """Asks for a pull request's threads, all on one page: there are no others here."""
    return HttpRequest("GET", f"{_address(api, repository)}/pullRequests/{number}/threads?{_VERSION}", _headers(token))


def find_comment(body: bytes, marker: str) -> FoundComment:
    """The first comment of a thread with the marker, as `<thread>/<comment>`. Raises Unreadable."""
    threads = [one for one in payload.items(payload.read(body), "value") if one.get("isDeleted") is not True]
    comments = (
        (f"{payload.number(thread, 'id')}/{payload.number(one, 'id')}", one.get("content"))
        for thread in threads
        for one in payload.items(thread, "comments")[:1]
        if one.get("isDeleted") is not True
    )
    return payload.first_comment(comments, marker, more=False)


def comment_request(api: str, token: str, repository: str, number: int, text: str, existing: str | None) -> HttpRequest:
    """Writes a comment to a pull request, or another text into the existing one. Its thread is closed: nobody has to resolve it."""
    threads = f"{_address(api, repository)}/pullRequests/{number}/threads"
    if existing:
        thread, _, comment = existing.partition("/")
        return HttpRequest("PATCH", f"{threads}/{thread}/comments/{comment}?{_VERSION}", _headers(token), {"content": text})
    said = {"comments": [{"parentCommentId": 0, "content": text, "commentType": "text"}], "status": "closed"}
    return HttpRequest("POST", f"{threads}?{_VERSION}", _headers(token), said)


def _address(api: str, repository: str) -> str:
    organization, project, name = (quote(part, safe="") for part in repository.split("/", 2))
    return f"{api}/{organization}/{project}/_apis/git/repositories/{name}"


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f":{token}".encode()).decode(), "Accept": "application/json"}
