"""Statuses and comments against a real HTTP server: what is sent, which refusals are worth another try, and what is never said."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from aml_canary.errors import Permanent, Transient
from aml_canary.gateways import githost
from aml_canary.gateways.githost import Connection
from aml_canary.githosts.delivery import HttpRequest, State
from aml_canary.settings import Settings, problem_with_settings, settings
from tests.contract.githost_world import TOKEN, GitHostWorld, git_host

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MARKER = "[//]: # (aml-canary review)"


@pytest.fixture
def host() -> Iterator[GitHostWorld]:
    with git_host() as world:
        yield world


@pytest.fixture
def there(host: GitHostWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    configured = {"acme/models": {"host": "github", "api": f"{host.api}/", "token": TOKEN}}
    monkeypatch.setenv("AML_CANARY_GIT_HOSTS", json.dumps(configured))
    settings.cache_clear()
    found = githost.connection("acme/models")
    assert found is not None
    yield found
    settings.cache_clear()


def status(there: Connection) -> None:
    there.set_status(COMMIT, State.PENDING, "flight-green-10", "http://prefect.test/runs/1", "aml-canary/churn")


def test_a_status_is_one_request_with_the_token_in_its_header_only(there: Connection, host: GitHostWorld) -> None:
    status(there)
    [sent] = host.received
    assert (sent.method, sent.path) == ("POST", f"/repos/acme/models/statuses/{COMMIT}")
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(sent.body) == {
        "state": "pending",
        "target_url": "http://prefect.test/runs/1",
        "description": "flight-green-10",
        "context": "aml-canary/churn",
    }
    assert TOKEN not in repr(there)


def test_a_comment_is_written_once_and_then_edited_wherever_among_the_others_it_is(there: Connection, host: GitHostWorld) -> None:
    host.comments["7"] = [{"id": n, "body": f"> {MARKER}\nNice."} for n in range(1, 151)]
    assert there.write_comment(7, f"{MARKER}\n\nfirst", MARKER)
    host.comments["7"].append({"id": 2000, "body": "Thanks."})
    assert not there.write_comment(7, f"{MARKER}\n\nsecond", MARKER)
    ours = [comment["body"] for comment in host.comments["7"] if comment["body"].startswith(MARKER)]
    assert ours == [f"{MARKER}\n\nsecond"]
    assert [sent.method for sent in host.received] == ["GET", "GET", "POST", "GET", "GET", "PATCH"]


@pytest.mark.parametrize(
    ("answer", "headers"),
    [(429, {}), (500, {}), (502, {}), (503, {}), (403, {"Retry-After": "7"}), (403, {"x-ratelimit-remaining": "0"})],
)
def test_a_host_that_asks_for_patience_is_worth_another_try(
    there: Connection, host: GitHostWorld, answer: int, headers: dict[str, str]
) -> None:
    host.answers = [(answer, headers, b"{}")]
    with pytest.raises(Transient, match=f"answered {answer} to POST") as raised:
        status(there)
    assert raised.value.retry_after == (7.0 if "Retry-After" in headers else None)
    status(there)
    assert len(host.statuses) == 1


def test_a_moment_to_wait_for_is_understood_and_nonsense_is_not(there: Connection, host: GitHostWorld) -> None:
    host.answers = [(503, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)}, b"")]
    with pytest.raises(Transient) as raised:
        status(there)
    assert 50 < (raised.value.retry_after or 0) <= 60
    for nonsense in ("soon", "-5", "9" * 400):
        host.answers = [(503, {"Retry-After": nonsense}, b"")]
        with pytest.raises(Transient) as raised:
            status(there)
        assert raised.value.retry_after is None


@pytest.mark.parametrize(
    ("answer", "check"), [(401, "is not, or no longer, valid"), (403, "may not do this"), (404, "name and `api`"), (422, "")]
)
def test_a_refusal_says_what_to_check_and_never_the_token(there: Connection, host: GitHostWorld, answer: int, check: str) -> None:
    host.answers = [(answer, {}, f'{{"message": "No: {TOKEN}\x1b[31m"}}'.encode())]
    with pytest.raises(Permanent) as raised:
        status(there)
    told = str(raised.value)
    assert f"answered {answer} to POST {host.api}/repos/acme/models/statuses/{COMMIT}" in told
    assert check in told
    assert 'It said: {"message": "No: *** [31m"}' in told
    assert TOKEN not in told


def test_nobody_there_is_worth_another_try_and_the_token_is_in_no_log(
    there: Connection, host: GitHostWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    host.shutdown()
    host.server_close()
    with pytest.raises(Transient, match="did not answer: POST") as raised:
        status(there)
    assert TOKEN not in str(raised.value) + repr(raised.value.__cause__) + caplog.text


def test_a_redirect_is_not_followed_so_nobody_else_gets_the_token(there: Connection, host: GitHostWorld) -> None:
    with git_host() as elsewhere:
        host.answers = [(307, {"Location": f"{elsewhere.api}/repos/acme/models/statuses/{COMMIT}"}, b"")]
        with pytest.raises(Permanent, match=r"307 .*It has moved"):
            status(there)
        assert elsewhere.received == []


def test_an_answer_without_end_is_not_read_to_its_end(there: Connection, host: GitHostWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(githost, "BODY_BYTES", 100_000)
    host.answers = [(200, {}, b"x" * 200_000)]
    with pytest.raises(Permanent, match="larger than 100000 bytes"):
        status(there)


def test_a_line_of_netrc_does_not_take_the_place_of_the_token(
    there: Connection, host: GitHostWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    status(there)
    assert host.received[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_an_address_that_is_none_is_refused_without_the_header() -> None:
    for url, headers in (("http://", {}), ("http://127.0.0.1:9", {"Authorization": f"Bearer {TOKEN}\n"})):
        with pytest.raises(Permanent, match="cannot be asked") as raised:
            githost.send(HttpRequest("GET", url, headers), TOKEN)
        assert TOKEN not in str(raised.value)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("access", "told"),
    [
        ({"host": "githup", "token": TOKEN}, "there is no git host 'githup' here; there is github, gitlab"),
        ({"host": "gitea", "token": TOKEN}, "gitea has no public API: give `api`"),
        ({"host": "github", "token": f"{TOKEN}\n"}, "the token has to be one word"),
        ({"host": "github", "token": "two words"}, "the token has to be one word"),
        ({"host": "github", "api": f"https://me:{TOKEN}@git.test", "token": TOKEN}, "without credentials"),
        ({"host": "github", "api": "git.test", "token": TOKEN}, "http(s) URL"),
    ],
)
def test_settings_that_cannot_work_are_refused_and_the_token_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, access: dict[str, str], told: str
) -> None:
    monkeypatch.setenv("AML_CANARY_GIT_HOSTS", json.dumps({"acme/models": access}))
    with pytest.raises(ValueError, match="git_hosts") as raised:
        Settings()
    assert "AML_CANARY_GIT_HOSTS.ACME/MODELS" in problem_with_settings(raised.value)
    assert told in problem_with_settings(raised.value)
    assert TOKEN not in str(raised.value) + problem_with_settings(raised.value)


@pytest.mark.parametrize("configured", ["{}", '{"acme/other": {"host": "github", "token": "t"}}', '{"acme/models": {"host": "github"}}'])
def test_without_host_and_token_there_is_no_way_to_any_host(monkeypatch: pytest.MonkeyPatch, configured: str) -> None:
    monkeypatch.setenv("AML_CANARY_GIT_HOSTS", configured)
    settings.cache_clear()
    assert githost.connection("acme/models") is None
    settings.cache_clear()
