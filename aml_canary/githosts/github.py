"""GitHub's push webhook: is it genuine, and what does it say.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries,
https://docs.github.com/en/webhooks/webhook-events-and-payloads#push. Performs no I/O. May import `githosts.delivery` only.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping

from aml_canary.githosts.delivery import Forged, Ignored, NotSigned, Push, Unreadable

DELIVERY_HEADER = "x-github-delivery"
EVENT_HEADER = "x-github-event"
SIGNATURE_HEADER = "x-hub-signature-256"

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> None:
    """Returns where one of `secrets` signed exactly `body`; raises NotSigned or Forged otherwise.

    Several secrets are there while one is being replaced. An empty secret never signs anything: anybody knows it.
    """
    given = headers.get(SIGNATURE_HEADER, "")
    if not given:
        older = " Its SHA-1 signature is not accepted." if headers.get("x-hub-signature") else ""
        raise NotSigned(f"The delivery has no {SIGNATURE_HEADER} header.{older} Set a secret in the webhook's settings on GitHub.")
    signatures = [b"sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex().encode() for secret in secrets if secret]
    # Every one is compared, so that the time taken does not tell which of them it was.
    if sum(hmac.compare_digest(signature, given.encode(errors="replace")) for signature in signatures) == 0:
        raise Forged("The signature is by none of the configured secrets. Is the secret on GitHub the one in AML_CANARY_WEBHOOK_SECRETS?")


def parse_push(headers: Mapping[str, str], body: bytes) -> Push | Ignored:
    """What a verified delivery says. Branches are told apart by the caller; raises Unreadable."""
    event = headers.get(EVENT_HEADER, "")
    if event == "ping":
        return Ignored("ping: the webhook is set up.")
    if event != "push":
        return Ignored(f"{event[:50]!r} is not a push; this webhook needs push events only.")
    payload = _payload(body)
    ref, commit = _text(payload, "ref"), _text(payload, "after")
    kind, _, branch = ref.removeprefix("refs/").partition("/")
    if kind == "tags":
        return Ignored(f"{branch[:200]!r} is a tag; only a branch says what shall be live.")
    if kind != "heads" or not branch or len(branch) > 1000:
        raise Unreadable(f"The push's 'ref' is {ref[:200]!r}: neither a branch nor a tag.")
    if payload.get("deleted") is True or set(commit) == {"0"}:
        return Ignored(f"Branch {branch!r} was deleted; nothing live is deleted with it.")
    before, repository = _text(payload, "before"), _text(_object(payload, "repository"), "full_name")
    for name, value, shape in (("after", commit, _COMMIT), ("before", before, _COMMIT), ("repository.full_name", repository, _REPOSITORY)):
        if not shape.fullmatch(value):
            raise Unreadable(f"The push's {name!r} is {value[:200]!r}.")
    pusher = payload.get("pusher")
    by = pusher.get("name") if isinstance(pusher, dict) else None
    return Push(repository, branch, commit, before, payload.get("forced") is True, by if isinstance(by, str) else "")


def _payload(body: bytes) -> dict[str, object]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise Unreadable("The body is not JSON, or not all of it has arrived.") from problem
    if not isinstance(payload, dict):
        raise Unreadable("The body is JSON, and not an object.")
    return payload


def _object(payload: Mapping[str, object], name: str) -> dict[str, object]:
    value = payload.get(name)
    if not isinstance(value, dict):
        raise Unreadable(f"The push has no object {name!r}.")
    return value


def _text(payload: Mapping[str, object], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise Unreadable(f"The push has no text {name!r}.")
    return value
