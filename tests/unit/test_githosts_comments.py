"""Comments that answer: who wrote which words where, on the host's word; whatever else is a comment asks for nothing."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.answering import command_of
from aml_canary.githosts import COMMENTED, HOSTS
from aml_canary.githosts.delivery import Comment, Ignored, Unreadable
from aml_canary.githosts.seal import is_sealed, seal
from tests.unit.fixtures.webhooks.deliveries import NEWER, OTHER, REPOSITORIES, body, headers, names

often = settings(max_examples=100, deadline=None)
AT = int(datetime(2026, 10, 11, 10, tzinfo=UTC).timestamp())
IGNORED = [(host, name) for host in HOSTS for name in names(host) if name.startswith("comment_")]
ANSWERS = {"comment_on_commit", "comment_on_pull_request", "comment_before_16_11"}


def parsed(host, name):
    return HOSTS[host].parse(headers(host, name), body(host, name))


def changed(host, name, *path_and_value):
    *path, value = path_and_value
    whole = json.loads(body(host, name))
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return HOSTS[host].parse(headers(host, name), json.dumps(whole).encode())


@pytest.mark.parametrize("host", COMMENTED)
def test_a_comment_on_a_commit_says_who_wrote_what_when_and_where(host):
    [event] = parsed(host, "comment_on_commit")
    url, known_as = {
        "github": (f"https://github.com/acme/models/commit/{NEWER}#commitcomment-33548674", "33548674"),
        "gitlab": (f"https://gitlab.com/acme/ml/models/-/commit/{NEWER}#note_1243", "1243"),
    }[host]
    assert event == Comment(REPOSITORIES[host], "ada", "/canary approve", AT, known_as, url, commit=NEWER)


@pytest.mark.parametrize(("host", "commits"), [("github", ()), ("gitlab", (NEWER, OTHER))])
def test_a_comment_on_a_pull_request_is_its_first_line_and_names_the_commits_that_the_host_tells(host, commits):
    [event] = parsed(host, "comment_on_pull_request")
    assert (event.text, event.number, event.commit, event.commits, event.at) == ("/canary reject too slow at ü", 7, "", commits, AT)


@pytest.mark.parametrize(("host", "name"), [case for case in IGNORED if case[1] not in ANSWERS])
def test_any_other_comment_asks_for_nothing_and_the_reason_says_why(host, name):
    [event] = parsed(host, name)
    assert isinstance(event, Ignored)
    word = {
        "edited": "only a new one answers",
        "deleted": "only a new one answers",
        "bot": "only people answer",
        "app": "only people answer",
        "system": "only people answer",
        "issue": "on ",
        "people": "does not begin with /canary",
        "other": "A comment answers nothing on",
    }[name.rsplit("_", 1)[1]]
    assert word in event.reason


def test_gitlab_before_it_told_new_from_edited_sent_new_ones_only():
    assert isinstance(parsed("gitlab", "comment_before_16_11")[0], Comment)
    assert isinstance(changed("gitlab", "comment_before_16_11", "object_attributes", "updated_at", "2026-10-11 10:00:01 UTC")[0], Ignored)


WRONG = [
    ("github", ("comment", "user", "login"), "ada lovelace"),
    ("github", ("comment", "user", "login"), "[bot]"),
    ("github", ("comment", "created_at"), "yesterday"),
    ("github", ("comment", "created_at"), "2026-10-11T10:00:00"),
    ("github", ("comment", "html_url"), "javascript:alert(1)"),
    ("github", ("comment", "html_url"), "https://x/)](y"),
    ("github", ("comment", "id"), "33548674"),
    ("github", ("comment", "commit_id"), "main"),
    ("github", ("comment", "body"), None),
    ("gitlab", ("user", "username"), ""),
    ("gitlab", ("object_attributes", "commit_id"), None),
    ("gitlab", ("object_attributes", "url"), "https://x y"),
]


@pytest.mark.parametrize(("host", "path", "value"), WRONG)
def test_what_is_not_as_documented_is_unreadable(host, path, value):
    with pytest.raises(Unreadable):
        changed(host, "comment_on_commit", *path, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "approve",
        " /canary approve",
        "    /canary approve",
        "> /canary approve",
        "`/canary approve`",
        "/canaryapprove",
        "\n/canary approve",
    ],
)
def test_only_a_first_line_that_begins_with_the_word_speaks_to_us(text):
    [event] = changed("github", "comment_on_commit", "comment", "body", text)
    assert isinstance(event, Ignored)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/canary approve", ("approve", "")),
        ("/canary  Approve  looks fine ", ("approve", "looks fine ")),
        ("/canary reject too slow", ("reject", "too slow")),
        ("/canary reject", ("reject", "")),
        ("/canary approved", None),
        ("/canary", None),
        ("/canary please approve", None),
        ("/canary not approve", None),
    ],
)
def test_two_words_are_known(line, command):
    assert command_of(line) == command


@often
@given(st.text(max_size=100))
def test_any_text_is_a_command_or_none_and_never_an_approval_without_the_word(text):
    [event] = changed("github", "comment_on_commit", "comment", "body", text)
    said = command_of(event.text) if isinstance(event, Comment) else None
    assert said is None or said[0] in text.casefold()
    [event] = changed("github", "comment_on_commit", "comment", "body", f"/canary {text}")
    assert isinstance(event, Comment)
    event.text.encode()


@pytest.mark.parametrize("host", COMMENTED)
def test_a_reply_goes_where_the_comment_stands(host):
    api, ours = "https://git.example/api", COMMENTED[host]
    on_commit, on_request = (parsed(host, name)[0] for name in ("comment_on_commit", "comment_on_pull_request"))
    sent = [ours.reply_request(api, "t0ken", one, "Thanks.") for one in (on_commit, on_request)]
    project = {"github": f"{api}/repos/acme/models", "gitlab": f"{api}/projects/acme%2Fml%2Fmodels"}[host]
    wanted = {
        "github": [f"/commits/{NEWER}/comments", "/issues/7/comments"],
        "gitlab": [f"/repository/commits/{NEWER}/comments", "/merge_requests/7/notes"],
    }[host]
    assert [(one.method, one.url) for one in sent] == [("POST", project + path) for path in wanted]
    assert [list(one.json.values()) for one in sent] == [["Thanks."], ["Thanks."]]
    assert "t0ken" not in repr(sent)
    assert ours.commits_request(api, "t0ken", on_request.repository, 7).url.startswith(project)


@pytest.mark.parametrize(
    ("host", "said", "commits"),
    [
        ("github", {"head": {"sha": NEWER}, "merged": True, "merge_commit_sha": OTHER}, (NEWER, OTHER)),
        ("github", {"head": {"sha": NEWER}, "merged": False, "merge_commit_sha": OTHER}, (NEWER,)),
        ("gitlab", {"sha": NEWER, "merge_commit_sha": None, "squash_commit_sha": OTHER}, (NEWER, OTHER)),
        ("gitlab", {"sha": NEWER, "merge_commit_sha": None}, (NEWER,)),
    ],
)
def test_the_commits_of_a_pull_request_are_its_head_and_what_it_was_merged_as(host, said, commits):
    assert COMMENTED[host].commits_of(json.dumps(said).encode()) == commits


HEARD = {"host": "github", "repository": "acme/models", "comment": {"login": "ada", "at": AT, "commits": [NEWER]}}


@often
@given(st.sampled_from(["host", "repository", "comment"]), st.text() | st.integers() | st.dictionaries(st.text(), st.text()))
def test_a_seal_is_for_exactly_what_was_heard_and_by_one_of_the_secrets(field, value):
    sealed = seal(HEARD, "secret")
    assert is_sealed(HEARD, sealed, ["older", "secret"])
    assert not is_sealed(HEARD | {field: value}, sealed, ["secret"])


@pytest.mark.parametrize("given_seal", ["", "0" * 64, seal(HEARD, ""), seal(HEARD, "another"), "ü"])
def test_nobody_without_a_secret_seals_anything(given_seal):
    assert not is_sealed(HEARD, given_seal, ["secret", ""])
    assert not is_sealed(HEARD, given_seal, [])
