"""Ten thousand deliveries through the door: what is genuine starts runs, what is forged starts none, and nothing breaks the door.

What starts the runs is a stand-in that counts them: this is about the door. The real Prefect is behind `test_receiver_door`.
"""

import asyncio
import json
import logging
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from starlette.applications import Starlette

from aml_canary.errors import Transient
from aml_canary.githosts import HOSTS
from aml_canary.githosts.delivery import Comment, PullRequest, Push
from aml_canary.receiver import app as door
from aml_canary.receiver import create_app
from aml_canary.receiver.bucket import Rate
from aml_canary.receiver.runs import NotDeployed, Runs
from aml_canary.settings import Settings
from tests.unit.fixtures.webhooks.deliveries import NEWER, REPOSITORIES, SECRET, body, headers, names, signed

TOKEN = "an API token that nobody shall see"
DELIVERIES = [(host, name) for host in HOSTS for name in names(host)]
JSON = {"content-type": "application/json"}
START = {"push", "push_forced", "push_several", "pull_request_opened", "pull_request_updated", "pull_request_reopened"}
START |= {"comment_on_commit", "comment_on_pull_request", "comment_before_16_11"}
UNLIMITED = Rate(1e9, 1e9)


class Counted(Runs):
    """Starts nothing and remembers what was asked for."""

    def __init__(self, refusal: Exception | None = None) -> None:
        super().__init__()
        self.refusal = refusal
        self.asked: list[tuple[object, ...]] = []

    async def sync(self, push: Push, repository: str) -> str:
        return self.start("sync", push, repository)

    async def review(self, host: str, request: PullRequest, repository: str) -> str:
        return self.start("review", host, request, repository)

    async def answer(self, host: str, comment: Comment, repository: str, secret: str) -> str:  # noqa: ARG002
        return self.start("answer", host, comment, repository)

    def start(self, *asked: object) -> str:
        if self.refusal:
            raise self.refusal
        self.asked.append(asked)
        return f"run {len(self.asked)}"


@pytest.fixture
def runs() -> Counted:
    return Counted()


@pytest.fixture
def app(runs: Counted, monkeypatch: pytest.MonkeyPatch) -> Starlette:
    monkeypatch.setattr(door, "EACH_ADDRESS", UNLIMITED)
    monkeypatch.setattr(door, "ALL_ADDRESSES", UNLIMITED)
    return opened(runs)


def opened(runs: Runs) -> Starlette:
    followed = dict.fromkeys(REPOSITORIES.values(), "https://git.example.test/models.git")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        return create_app(Settings(repositories=followed, webhook_secrets=(SecretStr("older"), SecretStr(SECRET))), runs)


def client(app: Starlette, address: str = "127.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://door")


def genuine(host: str, name: str, sent: bytes | None = None) -> tuple[str, bytes, dict[str, str]]:
    sent = body(host, name) if sent is None else sent
    return f"/webhooks/{host}", sent, JSON | headers(host, name) | signed(host, sent, now=time.time())


def deliver(app: Starlette, path: str, sent: bytes, headed: dict[str, str], address: str = "127.0.0.1") -> httpx.Response:
    async def once() -> httpx.Response:
        async with client(app, address) as sender:
            return await sender.post(path, content=sent, headers=headed)

    return asyncio.run(once())


def garbled(choice: random.Random, sent: bytes) -> bytes:
    """Another body than this."""
    changed = bytearray(sent)
    for _ in range(choice.randint(1, 4)):
        place = choice.randrange(len(changed) + 1)
        changed[place : place + choice.choice((0, 1, 1, 30))] = choice.choice(
            (b"", b"x", b"null", b"9" * 20, b'"\\ud800"', b"\xff", b"{", b"[[", choice.randbytes(5))
        )
    return bytes(changed) if changed != sent else b"x" + sent


def unsigned(headed: dict[str, str]) -> dict[str, str]:
    """The same headers without those that vouch for the delivery."""
    return {name: value for name, value in headed.items() if "signature" not in name and name not in ("authorization", "x-gitlab-token")}


def noise(choice: random.Random) -> dict[str, str]:
    name = choice.choice(
        ("x-event-key", "x-github-event", "user-agent", "x-request-id", "webhook-id", "x-hub-signature", "accept", "x-noise")
    )
    return {name: "".join(chr(choice.randrange(32, 127)) for _ in range(choice.randrange(40))).strip()}


def forged(choice: random.Random, host: str, name: str) -> tuple[str, bytes, dict[str, str]]:
    """A delivery by somebody who has seen genuine ones, knows all there is to know, and has no secret."""
    path, sent, headed = genuine(host, name)
    bare, now = unsigned(headed), time.time()
    way = choice.randrange(7)
    if way == 0:
        return path, sent, bare | noise(choice)
    if way == 1:
        return path, sent, bare | signed(host, sent, choice.choice(("", "wrong", SECRET.upper(), SECRET + " ", SECRET[:-1])), now)
    if way == 2 and host != "azure-devops":
        return path, garbled(choice, sent), headed
    if way == 3:
        credential = {key: value for key, value in headed.items() if key not in bare}
        key = choice.choice(sorted(credential))
        value = credential[key]
        # Behind the user's name, who may be anybody, and by a letter that makes other bytes of it in base64 too.
        place = choice.randrange(16 if host == "azure-devops" else 0, len(value))
        other = chr(ord(value[place]) + 4) if host == "azure-devops" else chr(ord(value[place]) + 1)
        return path, sent, bare | {key: value[: place - place % 4] + other * 5 + value[place + 1 :]}
    if way == 4 and host == "gitlab":
        return path, sent, bare | signed(host, sent, now=now - choice.choice((-1, 1)) * choice.randint(310, 10**8))
    if way == 5:
        strange = choice.choice(
            ("Basic", "Bearer " + SECRET[:5], "Basic Og==", "Basic OjA=", "sha256=", "v1,", "0" * 64, "sha1=" + "0" * 40)
        )
        names = ("authorization", "x-gitlab-token", "webhook-signature", "x-hub-signature", "x-hub-signature-256", "x-gitea-signature")
        return path, sent, bare | {choice.choice(names): strange}
    return path, choice.randbytes(choice.randrange(200)), bare | noise(choice)


def strange(choice: random.Random, host: str, name: str) -> tuple[str, bytes, dict[str, str]]:
    """A delivery with a secret that is right, and something else that is not."""
    way = choice.randrange(4)
    sent = body(host, name)
    if way == 0:
        sent = sent[: choice.randrange(len(sent))]
    elif way in (1, 2):
        sent = garbled(choice, sent)
    path, sent, headed = genuine(host, name, sent)
    if way == 2:
        headed |= headers(host, choice.choice(names(host)))
    if way == 3:
        headed |= {
            "content-type": choice.choice(("", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"))
        }
    return path, sent, headed


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that the door writes to its log."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    door.logger.addHandler(handler)
    door.logger.setLevel(logging.DEBUG)
    yield lines
    door.logger.removeHandler(handler)
    door.logger.setLevel(logging.NOTSET)


def test_ten_thousand_deliveries_start_runs_only_where_they_are_genuine(app: Starlette, runs: Counted, logged: list[str]) -> None:
    choice, answers = random.Random(20261123), Counter[tuple[str, int]]()

    async def all_of_them() -> AsyncIterator[tuple[str, str, httpx.Response]]:
        async with client(app) as sender:
            for _ in range(10_000):
                host, name = choice.choice(DELIVERIES)
                kind = choice.choices(("forged", "strange", "genuine"), (70, 25, 5))[0]
                make = {"forged": forged, "strange": strange, "genuine": lambda _, *which: genuine(*which)}[kind]
                path, sent, headed = make(choice, host, name)
                before = len(runs.asked)
                answer = await sender.post(path, content=sent, headers=headed)
                said = f"{kind} {name} of {host}: {answer.status_code} {answer.text}\n{headed}\n{sent[:3000]!r}"
                assert answer.status_code < 500, said
                assert len(answer.text) < 3000, said
                if kind == "forged":
                    assert answer.status_code == 401, said
                    assert len(runs.asked) == before, said
                if kind == "genuine":
                    assert answer.status_code == (201 if name in START else 202), said
                    assert len(runs.asked) == before + (name in START), said
                answers[kind, answer.status_code] += 1
                yield kind, name, answer

    async def run() -> None:
        async for _ in all_of_them():
            pass

    asyncio.run(run())
    assert {status for kind, status in answers if kind == "strange"} >= {201, 202, 400, 415}, answers
    assert len(logged) == 10_000
    for line in logged:
        assert "\n" not in line
        assert json.loads(line)["status"]
        assert SECRET not in line


class Awaited(Runs):
    """Starts nothing, and not before `taken` is set; `asked` has the keys that Prefect would have been asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = asyncio.Event()
        self.asked: list[str] = []
        self.refusal: Exception | None = None

    async def _create(self, *asked: Any, **_: Any) -> str:
        key = str(asked[2])
        self.asked.append(key)
        await self.taken.wait()
        if self.refusal:
            raise self.refusal
        return f"run of {key}"


async def at_once(app: Starlette, deliveries: Iterable[tuple[str, bytes, dict[str, str]]]) -> list[asyncio.Task[httpx.Response]]:
    """Deliveries that have all come as far as they come before Prefect has answered any."""
    sender = client(app)
    sent = [asyncio.create_task(sender.post(path, content=body, headers=headed)) for path, body, headed in deliveries]
    for _ in range(100):
        await asyncio.sleep(0)
    return sent


def test_equal_deliveries_in_the_same_instant_ask_prefect_once_and_all_hear_its_answer() -> None:
    async def run() -> None:
        runs = Awaited()
        app = opened(runs)
        kinds = [genuine("github", "push"), genuine("github", "pull_request_opened"), genuine("gitlab", "push")]
        sent = await at_once(app, kinds * 30)
        assert len(runs.asked) == len(set(runs.asked)) == 3
        # One git host hangs up; the others shall hear all the same.
        sent.pop(0).cancel()
        runs.taken.set()
        answers = await asyncio.gather(*sent)
        assert {answer.status_code for answer in answers} == {201}
        assert {answer.json()["run"] for answer in answers} == {f"run of {key}" for key in runs.asked}
        # Nothing is remembered: Prefect's own idempotency answers who comes later.
        await (await at_once(app, kinds[:1]))[0]
        assert len(runs.asked) == 4

    asyncio.run(run())


def test_where_prefect_does_not_take_it_all_who_asked_for_it_are_told_so_and_the_next_one_asks_again() -> None:
    async def run() -> None:
        runs = Awaited()
        runs.refusal = Transient("Prefect did not answer as it should: ConnectError.", retry_after=30.0)
        app = opened(runs)
        sent = await at_once(app, [genuine("github", "push")] * 20)
        runs.taken.set()
        assert {answer.status_code for answer in await asyncio.gather(*sent)} == {503}
        runs.refusal = None
        [later] = await at_once(app, [genuine("github", "push")])
        assert ((await later).status_code, len(runs.asked)) == (201, 2)

    asyncio.run(run())


@pytest.mark.parametrize(("host", "name"), [case for case in DELIVERIES if case[1].startswith("pull_request_") and case[1] in START])
def test_a_pull_request_into_the_followed_branch_is_one_review(app: Starlette, runs: Counted, host: str, name: str) -> None:
    assert deliver(app, *genuine(host, name)).json() == {"run": "run 1"}
    ((kind, where, request, repository),) = runs.asked
    assert (kind, where, repository) == ("review", host, REPOSITORIES[host])
    assert isinstance(request, PullRequest)
    assert request.number == 7


def test_a_pull_request_into_another_branch_or_repository_is_none(app: Starlette, runs: Counted) -> None:
    for change, reason in ((b'"ref":"team/x"', "Branch 'team/x' is not followed"), (b'"ref":"main"', "'acme/other' is not followed")):
        sent = body("github", "pull_request_opened").replace(b'"ref":"main"', change)
        if b"main" in change:
            sent = sent.replace(b'"full_name":"acme/models"', b'"full_name":"acme/other"')
        answer = deliver(app, *genuine("github", "pull_request_opened", sent))
        assert (answer.status_code, runs.asked) == (202, [])
        assert reason in answer.json()["ignored"]


def test_of_several_branches_in_one_delivery_the_followed_one_is_taken(app: Starlette, runs: Counted) -> None:
    for host in ("bitbucket", "bitbucket-dc", "azure-devops"):
        assert deliver(app, *genuine(host, "push_several")).status_code == 201
        kind, push, repository = runs.asked.pop()
        assert isinstance(push, Push)
        assert (kind, push.branch, push.commit, repository) == ("sync", "main", NEWER, REPOSITORIES[host])


def test_where_reviews_are_not_deployed_a_pull_request_is_ignored_and_a_push_is_not() -> None:
    app = opened(Counted(NotDeployed("Prefect has no deployment 'x'.", retry_after=30.0)))
    answer = deliver(app, *genuine("gitlab", "pull_request_opened"))
    assert answer.status_code == 202
    assert answer.json() == {"ignored": "This kind of delivery is not asked for. Prefect has no deployment 'x'."}
    assert deliver(app, *genuine("gitlab", "push")).status_code == 503


def test_neither_a_secret_nor_a_password_of_prefects_is_logged(logged: list[str]) -> None:
    problem = Transient("Prefect did not answer as it should: ConnectError.", retry_after=29.2)
    problem.__cause__ = OSError(f"cannot reach http://worker:{TOKEN.replace(' ', '-')}@prefect.example.test/api\nfor now")
    answer = deliver(opened(Counted(problem)), *genuine("azure-devops", "push"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    (line,) = logged
    assert "http://prefect.example.test/api" in line
    assert TOKEN.replace(" ", "-") not in line
    assert SECRET not in line
    assert "\n" not in line


def test_who_knocks_too_often_is_told_when_to_come_back_and_others_are_not_kept_out(
    runs: Counted, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(door, "EACH_ADDRESS", Rate(burst=3, per_second=0.01))
    app = opened(runs)
    path, _, headed = genuine("github", "push")
    answers = [deliver(app, path, b"forged", headed) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert 90 <= int(answers[-1].headers["retry-after"]) <= 100
    assert deliver(app, *genuine("github", "push"), address="10.0.0.2").status_code == 201
    assert deliver(app, *genuine("github", "push")).status_code == 429
    assert len(runs.asked) == 1


def test_metrics_count_deliveries_by_host_and_result_and_their_seconds(app: Starlette) -> None:
    deliver(app, *genuine("gitea", "push"))
    deliver(app, *genuine("gitea", "push"))
    deliver(app, *genuine("gitea", "ping"))
    path, sent, headed = genuine("github", "push")
    deliver(app, path, sent, unsigned(headed))
    deliver(app, "/webhooks/gitlab", b"{", JSON)
    deliver(app, '/webhooks/"}%0A', sent, headed)

    async def read() -> httpx.Response:
        async with client(app) as sender:
            return await sender.get("/metrics")

    answer = asyncio.run(read())
    assert answer.headers["content-type"].startswith("text/plain; version=")
    counted = dict(re.findall(r"^aml_canary_deliveries_total(\{.*\}) (\S+)$", answer.text, re.MULTILINE))
    assert counted == {
        '{host="gitea",result="run"}': "2.0",
        '{host="gitea",result="ignored"}': "1.0",
        '{host="github",result="forged"}': "1.0",
        '{host="gitlab",result="forged"}': "1.0",
        '{host="unknown",result="unknown_host"}': "1.0",
    }
    assert 'aml_canary_delivery_seconds_count{host="gitea"} 3.0' in answer.text
