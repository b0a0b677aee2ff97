"""GitHub deliveries: only what one of our secrets signed is believed, and nothing that arrives can do more than be refused."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aml_canary.githosts import HOSTS, github
from aml_canary.githosts.delivery import Forged, Ignored, NotSigned, Push, Unreadable

WEBHOOKS = Path(__file__).parent / "fixtures" / "webhooks"
OLDER, NEWER, NONE = "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "3f9a1c2be07d4c9f8a55d21b7e60c4f1a9d8e3b7", "0" * 40
SECRET = "correct horse battery staple"
BODY = (WEBHOOKS / "github_push.json").read_bytes()
PUSH = {"x-github-event": "push"}


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return PUSH | {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def payload(**changes: object) -> bytes:
    return json.dumps(json.loads(BODY) | changes).encode()


def test_githubs_own_documented_signature_is_accepted() -> None:
    header = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    github.verify(header, b"Hello, World!", ["It's a Secret to Everybody"])


def test_any_of_several_secrets_may_sign_while_one_is_being_replaced() -> None:
    for secret in ("old", "new"):
        github.verify(signed(BODY, secret), BODY, ["old", "new"])


@given(position=st.integers(0, len(BODY) - 1), change=st.integers(1, 255))
def test_one_changed_byte_is_refused(position: int, change: int) -> None:
    tampered = bytearray(BODY)
    tampered[position] ^= change
    with pytest.raises(Forged):
        github.verify(signed(BODY), bytes(tampered), [SECRET])


@given(body=st.binary(max_size=200), other=st.text(), secret=st.text(min_size=1))
def test_another_secret_is_refused(body: bytes, other: str, secret: str) -> None:
    # HMAC pads short keys with zero bytes, so such a twin is the same key.
    assume(other.encode().rstrip(b"\0") != secret.encode().rstrip(b"\0"))
    with pytest.raises(Forged):
        github.verify(signed(body, other), body, [secret])


@given(st.text())
def test_any_other_signature_is_refused(signature: str) -> None:
    with pytest.raises((Forged, NotSigned)):
        github.verify({"x-hub-signature-256": signature}, BODY, [SECRET])


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
def test_an_empty_secret_signs_nothing(secrets: list[str]) -> None:
    with pytest.raises(Forged):
        github.verify(signed(BODY, ""), BODY, secrets)


def test_a_delivery_without_a_signature_or_with_sha1_only_is_refused() -> None:
    with pytest.raises(NotSigned, match="Set a secret"):
        github.verify(PUSH, BODY, [SECRET])
    sha1 = "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()
    with pytest.raises(NotSigned, match="SHA-1"):
        github.verify(PUSH | {"x-hub-signature": sha1}, BODY, [SECRET])
    with pytest.raises(Forged):
        github.verify({"x-hub-signature-256": sha1}, BODY, [SECRET])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("push", Push("acme/models", "main", NEWER, OLDER, False, "ada")),
        ("push_forced", Push("acme/models", "main", OLDER, NEWER, True, "ada")),
        ("push_new_branch", Push("acme/models", "team/fraud-ü", NEWER, NONE, False, "ada")),
        ("push_tag", Ignored("'v7' is a tag; only a branch says what shall be live.")),
        ("push_branch_deleted", Ignored("Branch 'main' was deleted; nothing live is deleted with it.")),
        ("ping", Ignored("ping: the webhook is set up.")),
    ],
)
def test_what_github_sends_is_understood(name: str, expected: Push | Ignored) -> None:
    event = {"x-github-event": name.partition("_")[0]}
    assert github.parse_push(event, (WEBHOOKS / f"github_{name}.json").read_bytes()) == expected


def test_other_events_are_ignored_with_their_name() -> None:
    assert github.parse_push({"x-github-event": "issues"}, b"{}") == Ignored("'issues' is not a push; this webhook needs push events only.")
    assert isinstance(github.parse_push({}, b"{}"), Ignored)


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
        github.parse_push(PUSH, body)


def test_a_push_without_a_pusher_is_a_push() -> None:
    for pusher in (None, {}, {"name": None}, "ada"):
        assert github.parse_push(PUSH, payload(pusher=pusher)) == Push("acme/models", "main", NEWER, OLDER, False, "")


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
ODD = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("ref", "before", "after", "deleted", "forced", "repository", "pusher", "commits"), JSON)
).map(lambda changes: payload(**changes))


@given(body=st.binary() | ODD, event=st.just("push") | st.text(), signature=st.text())
def test_nothing_that_arrives_raises_anything_but_our_errors(body: bytes, event: str, signature: str) -> None:
    headers = {"x-github-event": event, "x-hub-signature-256": signature}
    with pytest.raises((Forged, NotSigned)):
        github.verify(headers, body, [SECRET])
    try:
        found: object = github.parse_push(headers, body)
    except Unreadable as refused:
        found = refused
    assert len(str(found)) < 2000


def test_a_host_is_found_by_the_name_in_its_address() -> None:
    assert HOSTS["github"] is github
