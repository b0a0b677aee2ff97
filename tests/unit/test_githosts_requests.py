"""What is asked of each host's REST API: a commit's status, and one comment on a pull request that is edited in place."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aml_canary.githosts import HOSTS, payload
from aml_canary.githosts.delivery import FoundComment, HttpRequest, State, Status, Unreadable
from tests.unit.fixtures.webhooks.deliveries import NEWER, REPOSITORIES

# A machine that is busy is no failure.
at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TOKEN = "s3cret-token"
MARKER = "<!-- aml-canary review -->"
TEXT = f"{MARKER}\nGrün: **10 %**"
APIS = {host: module.API or f"https://{host}.example.test/api" for host, module in HOSTS.items()}


def wire(request: HttpRequest) -> bytes:
    """The request as it would be sent, as far as it is ours."""
    head = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
    sent = b"" if request.json is None else json.dumps(request.json, ensure_ascii=False).encode()
    return f"{request.method} {request.url}\n{head}\n".encode() + sent


def status(host: str, state: State = State.SUCCESS, description: str = "churn: grün 100 %") -> HttpRequest:
    said = Status(REPOSITORIES[host], NEWER, state, description, "https://prefect.example.test/run/1", "aml-canary/churn")
    return HOSTS[host].status_request(APIS[host], TOKEN, said)


def requests(host: str) -> Iterator[HttpRequest]:
    module, where = HOSTS[host], (APIS[host], TOKEN, REPOSITORIES[host], 7)
    yield status(host)
    yield module.comments_request(*where, 2)
    yield module.comment_request(*where, TEXT, None)
    yield module.comment_request(*where, TEXT, "42/3")


GITHUB = "Authorization: Bearer s3cret-token\nAccept: application/vnd.github+json\nX-GitHub-Api-Version: 2022-11-28\n\n"
BEARER = "Authorization: Bearer s3cret-token\nAccept: application/json\n\n"
BITBUCKET_DC = "Authorization: Bearer s3cret-token\nAccept: application/json\nX-Atlassian-Token: no-check\n\n"
GITEA = "Authorization: token s3cret-token\nAccept: application/json\n\n"
AZURE = "Authorization: Basic OnMzY3JldC10b2tlbg==\nAccept: application/json\n\n"
RUN = "https://prefect.example.test/run/1"
SAID = '"<!-- aml-canary review -->\\nGrün: **10 %**"'
ADO = "https://dev.azure.com/acme/Live%20Models/_apis/git/repositories/models"
DC = "https://bitbucket-dc.example.test/api/projects/LIVE/repos/models"

EXPECTED = {
    "github": [
        f"POST https://api.github.com/repos/acme/models/statuses/{NEWER}\n{GITHUB}"
        f'{{"state": "success", "target_url": "{RUN}", "description": "churn: grün 100 %", "context": "aml-canary/churn"}}',
        f"GET https://api.github.com/repos/acme/models/issues/7/comments?per_page=100&page=2\n{GITHUB}",
        f'POST https://api.github.com/repos/acme/models/issues/7/comments\n{GITHUB}{{"body": {SAID}}}',
        f'PATCH https://api.github.com/repos/acme/models/issues/comments/42/3\n{GITHUB}{{"body": {SAID}}}',
    ],
    "gitlab": [
        f"POST https://gitlab.com/api/v4/projects/acme%2Fml%2Fmodels/statuses/{NEWER}\n{BEARER}"
        f'{{"state": "success", "target_url": "{RUN}", "description": "churn: grün 100 %", "name": "aml-canary/churn"}}',
        "GET https://gitlab.com/api/v4/projects/acme%2Fml%2Fmodels/merge_requests/7/notes"
        f"?sort=asc&order_by=created_at&per_page=100&page=2\n{BEARER}",
        f'POST https://gitlab.com/api/v4/projects/acme%2Fml%2Fmodels/merge_requests/7/notes\n{BEARER}{{"body": {SAID}}}',
        f'PUT https://gitlab.com/api/v4/projects/acme%2Fml%2Fmodels/merge_requests/7/notes/42/3\n{BEARER}{{"body": {SAID}}}',
    ],
    "azure-devops": [
        f"POST {ADO}/commits/{NEWER}/statuses?api-version=7.1\n{AZURE}"
        f'{{"state": "succeeded", "description": "churn: grün 100 %", "targetUrl": "{RUN}", '
        '"context": {"name": "aml-canary/churn", "genre": "aml-canary"}}',
        f"GET {ADO}/pullRequests/7/threads?api-version=7.1\n{AZURE}",
        f"POST {ADO}/pullRequests/7/threads?api-version=7.1\n{AZURE}"
        f'{{"comments": [{{"parentCommentId": 0, "content": {SAID}, "commentType": "text"}}], "status": "closed"}}',
        f'PATCH {ADO}/pullRequests/7/threads/42/comments/3?api-version=7.1\n{AZURE}{{"content": {SAID}}}',
    ],
    "bitbucket": [
        f"POST https://api.bitbucket.org/2.0/repositories/acme/models/commit/{NEWER}/statuses/build\n{BEARER}"
        f'{{"key": "aml-canary/churn", "name": "aml-canary/churn", "state": "SUCCESSFUL", "url": "{RUN}", '
        '"description": "churn: grün 100 %"}',
        f"GET https://api.bitbucket.org/2.0/repositories/acme/models/pullrequests/7/comments?sort=created_on&pagelen=100&page=2\n{BEARER}",
        f'POST https://api.bitbucket.org/2.0/repositories/acme/models/pullrequests/7/comments\n{BEARER}{{"content": {{"raw": {SAID}}}}}',
        f'PUT https://api.bitbucket.org/2.0/repositories/acme/models/pullrequests/7/comments/42/3\n{BEARER}{{"content": {{"raw": {SAID}}}}}',
    ],
    "bitbucket-dc": [
        f"POST {DC}/commits/{NEWER}/builds\n{BITBUCKET_DC}"
        f'{{"key": "aml-canary/churn", "name": "aml-canary/churn", "state": "SUCCESSFUL", "url": "{RUN}", '
        '"description": "churn: grün 100 %"}',
        f"GET {DC}/pull-requests/7/activities?limit=100&start=100\n{BITBUCKET_DC}",
        f'POST {DC}/pull-requests/7/comments\n{BITBUCKET_DC}{{"text": {SAID}}}',
        f'PUT {DC}/pull-requests/7/comments/42\n{BITBUCKET_DC}{{"text": {SAID}, "version": 3}}',
    ],
    **{
        host: [
            f"POST https://{host}.example.test/api/repos/acme/models/statuses/{NEWER}\n{GITEA}"
            f'{{"state": "success", "target_url": "{RUN}", "description": "churn: grün 100 %", "context": "aml-canary/churn"}}',
            f"GET https://{host}.example.test/api/repos/acme/models/issues/7/comments\n{GITEA}",
            f'POST https://{host}.example.test/api/repos/acme/models/issues/7/comments\n{GITEA}{{"body": {SAID}}}',
            f'PATCH https://{host}.example.test/api/repos/acme/models/issues/comments/42/3\n{GITEA}{{"body": {SAID}}}',
        ]
        for host in ("gitea", "forgejo")
    },
}


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_is_asked_in_its_own_words(host: str) -> None:
    assert [wire(request).decode() for request in requests(host)] == EXPECTED[host]


@pytest.mark.parametrize("host", HOSTS)
def test_a_request_that_is_shown_does_not_show_the_token(host: str) -> None:
    for request in requests(host):
        assert TOKEN not in f"{request} {request!r} {[request]}"
        assert "OnMzY3JldC10b2tlbg" not in repr(request)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("github", ["pending", "success", "failure", "error"]),
        ("gitlab", ["pending", "success", "failed", "failed"]),
        ("azure-devops", ["pending", "succeeded", "failed", "error"]),
        ("bitbucket", ["INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"]),
        ("bitbucket-dc", ["INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"]),
        ("gitea", ["pending", "success", "failure", "error"]),
        ("forgejo", ["pending", "success", "failure", "error"]),
    ],
)
def test_each_state_has_its_word(host: str, words: list[str]) -> None:
    states = (State.PENDING, State.SUCCESS, State.FAILURE, State.ERROR)
    assert [json.loads(wire(status(host, state)).partition(b"\n\n")[2])["state"] for state in states] == words


@pytest.mark.parametrize(("host", "most"), [(host, 140 if host == "github" else 255) for host in HOSTS])
@at_leisure
@given(description=st.text(min_size=200, max_size=400))
def test_a_description_is_never_longer_than_the_host_takes(host: str, most: int, description: str) -> None:
    said = status(host, description=description).json
    assert isinstance(said, dict)
    assert len(said["description"].encode("utf-16-le")) <= 2 * most


@at_leisure
@given(words=st.text(max_size=60), units=st.integers(1, 50))
def test_what_is_cut_says_so_and_is_otherwise_as_it_was(words: str, units: int) -> None:
    line = " ".join(words.split())
    cut = payload.cut(words, units)
    if len(line.encode("utf-16-le")) <= 2 * units:
        assert cut == line
    else:
        assert cut.endswith("…")
        assert line.startswith(cut[:-1])
    assert len(cut.encode("utf-16-le")) <= 2 * units


def test_nothing_is_cut_in_the_middle_of_a_character() -> None:
    assert payload.cut("canary 🐤🐤", 10) == "canary 🐤…"
    assert payload.cut("canary 🐤🐤", 9) == "canary…"
    assert payload.cut("two\nlines", 20) == "two lines"


def test_a_context_too_long_for_bitbucket_is_known_by_its_digest() -> None:
    keys = set()
    for context in ("aml-canary/" + "x" * 100, "aml-canary/" + "x" * 99 + "y"):
        said = HOSTS["bitbucket"].status_request("", TOKEN, Status("acme/models", NEWER, State.SUCCESS, "", "", context)).json
        assert isinstance(said, dict)
        assert (len(said["key"]), said["name"]) == (40, context)
        keys.add(said["key"])
    assert len(keys) == 2


def page(host: str, texts: list[str], more: bool = False) -> bytes:
    """What a host answers to `comments_request`; the first text has the id 1."""
    numbered = list(enumerate(texts, 1))
    answer: object = [{"id": number, "body": text} for number, text in numbered]
    if host == "bitbucket":
        values = [{"id": number, "content": {"raw": text}, "deleted": text == "deleted"} for number, text in numbered]
        answer = {"values": values, "pagelen": 100} | ({"next": "https://api.bitbucket.org/2.0/next"} if more else {})
    elif host == "bitbucket-dc":
        happened = [{"action": "COMMENTED", "comment": {"id": number, "version": 4, "text": text}} for number, text in numbered]
        answer = {"values": [{"action": "APPROVED"}, *happened], "isLastPage": not more}
    elif host == "azure-devops":
        answer = {
            "value": [{"id": number, "comments": [{"id": 1, "content": text}, {"id": 2}], "isDeleted": False} for number, text in numbered]
        }
    return json.dumps(answer).encode()


@pytest.mark.parametrize("host", HOSTS)
def test_the_comment_with_the_marker_is_found_and_a_quotation_of_it_is_not(host: str) -> None:
    known_as = {"bitbucket-dc": "2/4", "azure-devops": "2/1"}.get(host, "2")
    answer = page(host, [f"> {MARKER}\n> Grün\n\nNice.", TEXT.replace("\n", "\r\n"), TEXT])
    assert HOSTS[host].find_comment(answer, MARKER) == FoundComment(known_as, False)
    assert HOSTS[host].find_comment(page(host, ["Nice.", f"about {MARKER}"]), MARKER) == FoundComment(None, False)
    assert HOSTS[host].find_comment(page(host, []), MARKER) == FoundComment(None, False)


@pytest.mark.parametrize("host", ["github", "gitlab", "bitbucket", "bitbucket-dc"])
def test_a_full_page_is_followed_by_another(host: str) -> None:
    assert HOSTS[host].find_comment(page(host, ["Nice."] * 100, more=True), MARKER) == FoundComment(None, True)
    assert HOSTS[host].find_comment(page(host, ["Nice."] * 99, more=False), MARKER) == FoundComment(None, False)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("answer", [b"", b"<html>", b"3", b'{"message": "Not Found"}', b"[3]", b'{"values": 3, "value": 3}'])
def test_an_answer_that_is_no_list_of_comments_is_unreadable(host: str, answer: bytes) -> None:
    with pytest.raises(Unreadable):
        HOSTS[host].find_comment(answer, MARKER)


def test_a_comment_that_was_deleted_is_not_edited() -> None:
    deleted = json.dumps({"values": [{"id": 1, "deleted": True, "content": {"raw": TEXT}}]}).encode()
    assert HOSTS["bitbucket"].find_comment(deleted, MARKER) == FoundComment(None, False)
    for gone in (
        {"isDeleted": True, "comments": [{"id": 1, "content": TEXT}]},
        {"comments": [{"id": 1, "content": TEXT, "isDeleted": True}]},
    ):
        deleted = json.dumps({"value": [{"id": 1} | gone]}).encode()
        assert HOSTS["azure-devops"].find_comment(deleted, MARKER) == FoundComment(None, False)
