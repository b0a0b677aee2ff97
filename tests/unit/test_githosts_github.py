"""GitHub deliveries: only what one of our secrets signed is believed, and nothing that arrives can do more than be refused."""

import hashlib
import hmac
import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from aml_canary.githosts import github
from aml_canary.githosts.delivery import Forged, Ignored, NotSigned, Push, Unreadable
from tests.unit.fixtures.webhooks import deliveries
from tests.unit.fixtures.webhooks.deliveries import NEWER, NOW, OLDER, SECRET

# A machine that is busy is no failure.
at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

BODY = deliveries.body("github", "push")
PUSH = {"x-github-event": "push"}


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return PUSH | deliveries.signed("github", body, secret)


def payload(**changes: object) -> bytes:
    return json.dumps(json.loads(BODY) | changes).encode()


def test_githubs_own_documented_signature_is_accepted() -> None:
    header = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    github.verify(header, b"Hello, World!", ["It's a Secret to Everybody"], NOW)


@at_leisure
@given(body=st.binary(max_size=200), other=st.text(), secret=st.text(min_size=1))
def test_another_secret_is_refused(body: bytes, other: str, secret: str) -> None:
    # HMAC pads short keys with zero bytes, so such a twin is the same key.
    assume(other.encode().rstrip(b"\0") != secret.encode().rstrip(b"\0"))
    with pytest.raises(Forged):
        github.verify(signed(body, other), body, [secret], NOW)


@at_leisure
@given(st.text())
def test_any_other_signature_is_refused(signature: str) -> None:
    with pytest.raises((Forged, NotSigned)):
        github.verify({"x-hub-signature-256": signature}, BODY, [SECRET], NOW)


def test_a_delivery_without_a_signature_or_with_sha1_only_is_refused() -> None:
    with pytest.raises(NotSigned, match="Set a secret"):
        github.verify(PUSH, BODY, [SECRET], NOW)
    sha1 = "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()
    with pytest.raises(NotSigned, match="SHA-1"):
        github.verify(PUSH | {"x-hub-signature": sha1}, BODY, [SECRET], NOW)
    with pytest.raises(Forged):
        github.verify({"x-hub-signature-256": sha1}, BODY, [SECRET], NOW)


def test_other_events_are_ignored_with_their_name() -> None:
    reason = "'issues' is not a push; this webhook needs push events, pull request events for reviews, and comment events for answers."
    assert github.parse({"x-github-event": "issues"}, b"{}") == (Ignored(reason),)
    assert isinstance(github.parse({}, b"{}")[0], Ignored)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BODY[:-3],
        b"[]",
        b"[" * 100_000,
        b'{"ref": ' + b"1" * 5000 + b"}",
        b"\xff\xfe",
        payload(ref=1),
        payload(ref="main"),
        payload(ref="refs/heads/"),
        payload(ref="refs/heads/" + "x" * 2000),
        payload(ref="refs/pull/1/head"),
        payload(after="HEAD"),
        payload(after=NEWER + "\n"),
        payload(after=NEWER.upper()),
        payload(before=None),
        payload(repository=None),
        payload(repository={"full_name": "acme"}),
        payload(repository={"full_name": "acme/models\nx"}),
    ],
    ids=lambda body: body[:10].decode("latin-1") + str(len(body)),
)
def test_what_is_not_as_documented_is_refused_as_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        github.parse(PUSH, body)


def test_a_push_without_a_pusher_is_a_push() -> None:
    for pusher in (None, {}, {"name": None}, "ada"):
        assert github.parse(PUSH, payload(pusher=pusher)) == (Push("acme/models", "main", NEWER, OLDER, False, ""),)
