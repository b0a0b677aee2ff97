"""Deliveries of every host: only what one of our secrets vouches for is believed, and each says what its host documents."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aml_canary.githosts import HOSTS
from aml_canary.githosts.delivery import Comment, Event, Forged, Ignored, NotSigned, PullRequest, Push, Unreadable
from tests.unit.fixtures.webhooks.deliveries import NEWER, NONE, NOW, OLDER, OTHER, REPOSITORIES, SECRET, body, headers, names, signed

# A machine that is busy is no failure.
at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DELIVERIES = [(host, name) for host in HOSTS for name in names(host)]
# Azure DevOps and GitLab's older way show a password, which no change to the body makes wrong.
SIGNING = [host for host in HOSTS if host != "azure-devops"]
TELL_FORCE = ("github", "bitbucket")
REFS = {
    "github": "refs/pull/7/head",
    "gitlab": "refs/merge-requests/7/head",
    "azure-devops": "refs/pull/7/merge",
    "bitbucket": "refs/heads/retrain",
    "bitbucket-dc": "refs/pull-requests/7/from",
    "gitea": "refs/pull/7/head",
    "forgejo": "refs/pull/7/head",
}


def parsed(host: str, name: str) -> tuple[Event, ...]:
    return HOSTS[host].parse(headers(host, name), body(host, name))


def pusher(host: str) -> str:
    return "Ada Ünal" if host == "azure-devops" else "ada"


def test_each_host_is_found_by_the_name_in_its_address() -> None:
    assert list(HOSTS) == ["github", "gitlab", "azure-devops", "bitbucket", "bitbucket-dc", "gitea", "forgejo"]


@pytest.mark.parametrize(("host", "name"), DELIVERIES)
def test_a_delivery_that_one_of_several_secrets_vouches_for_is_accepted(host: str, name: str) -> None:
    for secret in ("old", "new ü"):
        HOSTS[host].verify(headers(host, name) | signed(host, body(host, name), secret), body(host, name), ["old", "new ü"], NOW)


@pytest.mark.parametrize("host", HOSTS)
def test_a_delivery_that_nobody_vouches_for_is_refused(host: str) -> None:
    with pytest.raises(NotSigned, match=r"Set a"):
        HOSTS[host].verify(headers(host, "push"), body(host, "push"), [SECRET], NOW)


@pytest.mark.parametrize("secrets", [[], [""], ["", ""], ["another"], [SECRET + " "], [SECRET[:-1]]])
@pytest.mark.parametrize("host", HOSTS)
def test_only_a_secret_that_is_configured_vouches_and_an_empty_one_never(host: str, secrets: list[str]) -> None:
    for secret in (SECRET, ""):
        with pytest.raises(Forged):
            HOSTS[host].verify(headers(host, "push") | signed(host, body(host, "push"), secret), body(host, "push"), secrets, NOW)


@pytest.mark.parametrize("host", SIGNING)
@at_leisure
@given(where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_one_changed_byte_is_refused(host: str, where: float, change: int) -> None:
    sent = body(host, "push")
    tampered = bytearray(sent)
    tampered[int(where * len(sent))] ^= change
    with pytest.raises(Forged):
        HOSTS[host].verify(signed(host, sent), bytes(tampered), [SECRET], NOW)


@pytest.mark.parametrize("host", SIGNING)
@at_leisure
@given(where=st.floats(0, 1, exclude_max=True), letter=st.characters(max_codepoint=255))
def test_one_changed_letter_of_a_signature_is_refused(host: str, where: float, letter: str) -> None:
    sent = body(host, "push")
    for header, value in signed(host, sent).items():
        place = int(where * len(value))
        if "signature" in header and letter != value[place]:
            # Without the other signatures that some hosts send of the same body.
            left = {name: kept for name, kept in signed(host, sent).items() if "signature" not in name}
            with pytest.raises(Forged):
                HOSTS[host].verify(left | {header: value[:place] + letter + value[place + 1 :]}, sent, [SECRET], NOW)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("name", "commit", "before"), [("push", NEWER, OLDER), ("push_forced", OLDER, NEWER)])
def test_a_push_says_from_where_to_where_its_branch_went(host: str, name: str, commit: str, before: str) -> None:
    forced = name == "push_forced" if host in TELL_FORCE else None
    assert parsed(host, name) == (Push(REPOSITORIES[host], "main", commit, before, forced, pusher(host)),)


@pytest.mark.parametrize("host", HOSTS)
def test_a_new_branch_comes_from_nowhere(host: str) -> None:
    forced = False if host in TELL_FORCE else None
    assert parsed(host, "push_new_branch") == (Push(REPOSITORIES[host], "team/fraud-ü", NEWER, NONE, forced, pusher(host)),)


@pytest.mark.parametrize("host", HOSTS)
def test_a_tag_and_a_deleted_branch_ask_for_nothing(host: str) -> None:
    assert parsed(host, "push_tag") == (Ignored("'v7' is a tag; only a branch says what shall be live."),)
    assert parsed(host, "push_branch_deleted") == (Ignored("Branch 'main' was deleted; nothing live is deleted with it."),)


@pytest.mark.parametrize(("host", "name"), [case for case in DELIVERIES if case[1] == "push_several"])
def test_a_push_of_several_branches_says_each(host: str, name: str) -> None:
    forced = False if host in TELL_FORCE else None
    tag, other, ours = parsed(host, name)
    assert isinstance(tag, Ignored)
    assert other == Push(REPOSITORIES[host], "retrain", OTHER, OLDER, forced, pusher(host))
    assert ours == Push(REPOSITORIES[host], "main", NEWER, OLDER, forced, pusher(host))


@pytest.mark.parametrize(
    ("host", "name"), [case for case in DELIVERIES if case[1] in ("pull_request_opened", "pull_request_updated", "pull_request_reopened")]
)
def test_a_pull_request_says_what_would_be_merged_into_what(host: str, name: str) -> None:
    commit = NEWER[:12] if host == "bitbucket" else NEWER
    author = "Grace" if host == "azure-devops" else "grace"
    assert parsed(host, name) == (PullRequest(REPOSITORIES[host], 7, commit, REFS[host], "main", author),)


@pytest.mark.parametrize(("host", "name"), [case for case in DELIVERIES if case[1] in ("ping", "pull_request_other")])
def test_what_changes_no_commits_is_ignored_with_a_sentence(host: str, name: str) -> None:
    (event,) = parsed(host, name)
    assert isinstance(event, Ignored)
    assert event.reason.endswith(".")


@pytest.mark.parametrize(("host", "name"), [case for case in DELIVERIES if not case[1].endswith(("other", "ping"))])
@at_leisure
@given(keep=st.floats(0, 1, exclude_max=True))
def test_a_truncated_delivery_is_unreadable(host: str, name: str, keep: float) -> None:
    sent = body(host, name).rstrip()
    with pytest.raises(Unreadable):
        HOSTS[host].parse(headers(host, name), sent[: int(keep * len(sent))])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([OLDER, NONE, "refs/heads/main", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A delivery of which a few values, at any depth, are something else or gone."""
    host, name = draw(st.sampled_from(DELIVERIES))
    whole: object = json.loads(body(host, name))
    for _ in range(draw(st.integers(1, 3))):
        value = whole
        for _ in range(draw(st.integers(0, 5))):
            inside = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
            if not inside:
                break
            key = draw(st.sampled_from(inside))
            deeper = value[key]  # type: ignore[index]
            if not isinstance(deeper, dict | list) or draw(st.booleans()):
                if draw(st.booleans()):
                    value[key] = draw(JSON)  # type: ignore[index]
                else:
                    del value[key]  # type: ignore[attr-defined]
                break
            value = deeper
    return host, name, json.dumps(whole).encode()


def said_of(host: str, headed: dict[str, str], sent: bytes) -> tuple[Event, ...] | Unreadable:
    refused = Unreadable("")
    try:
        found = HOSTS[host].parse(headed, sent)
    except Unreadable as problem:
        found, refused = (), problem
    else:
        assert found
    assert len(str(refused)) < 2000
    for event in found:
        assert len(str(event)) < 3000
        if not isinstance(event, Ignored):
            str(event).encode()
            told = event.branch if isinstance(event, Push) else event.text if isinstance(event, Comment) else event.ref + event.target
            told.encode()
    return found or refused


@at_leisure
@given(damaged())
def test_nothing_that_is_not_as_documented_raises_anything_but_our_errors(case: tuple[str, str, bytes]) -> None:
    host, name, sent = case
    said_of(host, headers(host, name), sent)


@at_leisure
@given(case=st.sampled_from(DELIVERIES), sent=st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()), by=st.text())
def test_nothing_that_arrives_raises_anything_but_our_errors(case: tuple[str, str], sent: bytes, by: str) -> None:
    host, name = case
    headed = headers(host, name)
    said_of(host, headed, sent)
    for header in signed(host, sent):
        with pytest.raises((Forged, NotSigned)):
            HOSTS[host].verify(headed | {header: by}, sent, [SECRET], NOW)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("sent", [b"", b"[]", b"[" * 100_000, b'{"ref": ' + b"1" * 5000 + b"}", b"\xff\xfe", b"{}", b"null"], ids=len)
def test_what_is_no_object_or_an_empty_one_is_unreadable(host: str, sent: bytes) -> None:
    for name in ("push", "pull_request_opened"):
        assert isinstance(said_of(host, headers(host, name), sent), Unreadable)
