"""GitLab: what its webhook says, and how a commit's status and a merge request's comment are written there.

https://docs.gitlab.com/user/project/integrations/webhooks/, https://docs.gitlab.com/user/project/integrations/webhook_events/,
https://docs.gitlab.com/api/commits/, https://docs.gitlab.com/api/notes/, and for the signature
https://github.com/standard-webhooks/standard-webhooks. GitLab refuses a status that is shown already: the caller expects that.
Performs no I/O. May import its siblings.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import quote

from aml_canary.githosts import gitlab_comments, payload, signature
from aml_canary.githosts.delivery import Event, Forged, FoundComment, HttpRequest, Ignored, NotSigned, PullRequest, State, Status
from aml_canary.githosts.gitlab_comments import headers_with

API = "https://gitlab.com/api/v4"
DELIVERY_HEADER = "x-gitlab-event-uuid"
TOKEN_HEADER = "x-gitlab-token"  # noqa: S105
SIGNATURE_HEADER = "webhook-signature"
# A signed delivery that was recorded is not good for longer.
REPLAY_SECONDS = 300

_PAGE = 100
_DESCRIPTION = 255
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
# There is no word for an error that is not the commit's fault.
_STATES = MappingProxyType({State.PENDING: "pending", State.SUCCESS: "success", State.FAILURE: "failed", State.ERROR: "failed"})


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float) -> None:
    """Returns where the delivery is signed, or else brings the secret token itself; raises NotSigned or Forged otherwise.

    A signature that is there has to be right, whatever the token: who took the trouble to sign wants it checked.
    """
    if SIGNATURE_HEADER in headers:
        _check_signature(headers, body, secrets, now)
    elif token := headers.get(TOKEN_HEADER, ""):
        signature.check_secret(signature.raw(token), secrets)
    else:
        raise NotSigned(
            f"The delivery has neither a {SIGNATURE_HEADER} nor a {TOKEN_HEADER} header. Set a token in the webhook's settings on GitLab."
        )


def _check_signature(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float) -> None:
    sent = headers.get("webhook-timestamp", "")
    if not _SECONDS.fullmatch(sent) or abs(now - int(sent)) > REPLAY_SECONDS:
        raise Forged(f"The delivery was not signed within the last {REPLAY_SECONDS} s, or one of the two clocks is wrong.")
    signed = b"%s.%s.%s" % (signature.raw(headers.get("webhook-id", "")), sent.encode(), body)
    right = [b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in map(_key, secrets) if key]
    # While GitLab's own key is being replaced there are several signatures, with spaces between.
    signature.check(map(signature.raw, headers[SIGNATURE_HEADER].split()), right)


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return b""


def parse(headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:  # noqa: ARG001
    """What a verified delivery says; raises Unreadable. The kind is read from the body, which may be signed, not from a header."""
    said = payload.read(body)
    kind = payload.text(said, "object_kind")
    if kind in ("push", "tag_push"):
        return (_push(said),)
    if kind == "merge_request":
        return (_merge_request(said),)
    if kind == "note":
        return (gitlab_comments.comment(said),)
    return (
        Ignored(
            f"{kind[:50]!r} is not a push; this webhook needs push events, merge request events for reviews, and comment events for answers."
        ),
    )


def _push(said: dict[str, object]) -> Event:
    repository = payload.text(said, "project.path_with_namespace", payload.REPOSITORY)
    commit, before = payload.commit(said, "after"), payload.commit(said, "before")
    return payload.push(repository, payload.text(said, "ref"), commit, before, None, payload.name(said, "user_username", "user_name"))


def _merge_request(said: dict[str, object]) -> Event:
    number = payload.number(said, "object_attributes.iid")
    # Absent where somebody presses Test.
    action = payload.name(said, "object_attributes.action")
    updated = action == "update" and payload.name(said, "object_attributes.oldrev")
    if action not in ("open", "reopen") and not updated:
        return Ignored(f"Merge request {number}: {action[:50]!r} does not change what would be merged.")
    return PullRequest(
        payload.text(said, "project.path_with_namespace", payload.REPOSITORY),
        number,
        payload.commit(said, "object_attributes.last_commit.id"),
        f"refs/merge-requests/{number}/head",
        payload.branch(said, "object_attributes.target_branch"),
        payload.name(said, "user.username", "user.name"),
    )


def status_request(api: str, token: str, status: Status) -> HttpRequest:
    """Has the commit show this status."""
    said = {
        "state": _STATES[status.state],
        "target_url": status.url,
        "description": payload.cut(status.description, _DESCRIPTION),
        "name": payload.cut(status.context, _DESCRIPTION),
    }
    return HttpRequest("POST", f"{api}/projects/{quote(status.repository, safe='')}/statuses/{status.commit}", headers_with(token), said)


def comments_request(api: str, token: str, repository: str, number: int, page: int) -> HttpRequest:
    """Asks for one page of a merge request's comments, the oldest first."""
    order = f"sort=asc&order_by=created_at&per_page={_PAGE}&page={page}"
    return HttpRequest("GET", f"{_notes(api, repository, number)}?{order}", headers_with(token))


def find_comment(body: bytes, marker: str) -> FoundComment:
    """The first comment on this page with the marker. Raises Unreadable."""
    found = payload.rows(body)
    return payload.first_comment(((str(payload.number(one, "id")), one.get("body")) for one in found), marker, len(found) == _PAGE)


def comment_request(api: str, token: str, repository: str, number: int, text: str, existing: str | None) -> HttpRequest:
    """Writes a comment to a merge request, or another text into the existing one."""
    notes = _notes(api, repository, number)
    if existing:
        return HttpRequest("PUT", f"{notes}/{existing}", headers_with(token), {"body": text})
    return HttpRequest("POST", notes, headers_with(token), {"body": text})


def _notes(api: str, repository: str, number: int) -> str:
    return f"{api}/projects/{quote(repository, safe='')}/merge_requests/{number}/notes"
