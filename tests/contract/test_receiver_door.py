"""The webhook door as it runs in production: its own process, a real Prefect server behind it, real HTTP in front."""

import concurrent.futures
import contextlib
import json
import secrets
import signal
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from prefect.client.schemas.objects import StateType

from aml_canary.githosts.seal import is_sealed
from tests.contract.receiver_world import (
    FOLLOWED,
    OLD_SECRET,
    SAMPLES,
    SECRET,
    URL,
    Door,
    Line,
    PrefectServer,
    Sync,
    push,
    running_prefect,
    signature,
)
from tests.unit.fixtures.webhooks import deliveries


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_prefect(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="session")
def sync(prefect_server: PrefectServer) -> Sync:
    known = Sync(prefect_server.api_url)
    known.deploy()
    return known


@pytest.fixture(scope="session")
def line(prefect_server: PrefectServer) -> Line:
    return Line(httpx.URL(prefect_server.api_url).port or 0)


@pytest.fixture(scope="session")
def door(prefect_server: PrefectServer, sync: Sync, line: Line) -> Iterator[Door]:
    ours = {
        "PREFECT_API_URL": f"http://127.0.0.1:{line.port}/api",
        "AML_CANARY_REPOSITORIES": json.dumps(dict.fromkeys(FOLLOWED, URL)),
        "AML_CANARY_WEBHOOK_SECRETS": json.dumps([OLD_SECRET, SECRET]),
    }
    running = Door(prefect_server.env | ours)
    yield running
    running.process.terminate()
    assert running.process.wait(30) in (0, -signal.SIGTERM)
    log = "".join(running.lines)
    assert "Traceback" not in log
    assert "HTTP Request" not in log  # the client's own lines
    assert SECRET not in log
    assert OLD_SECRET not in log


def test_a_signed_push_is_one_run_that_is_in_prefect_when_the_answer_comes(sync: Sync, door: Door) -> None:
    commit = secrets.token_hex(20)
    answer = door.deliver(push(commit))
    assert answer.status_code == 201
    (run,) = sync.runs(commit)
    assert answer.json() == {"run": str(run.id)}
    assert run.parameters == {"repository": "acme/models", "commit": commit}
    assert (run.name, run.state_type) == (f"push acme/models {commit[:9]}", StateType.SCHEDULED)


def test_twenty_deliveries_of_one_push_at_once_are_one_run(sync: Sync, door: Door) -> None:
    commit = secrets.token_hex(20)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(door.deliver, [push(commit)] * 20))
    (run,) = sync.runs(commit)
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"run": str(run.id)})] * 20


def test_a_burst_of_pushes_is_taken_whole(door: Door) -> None:
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(door.deliver, [push() for _ in range(10)]))
    assert [answer.status_code for answer in answers] == [201] * 10
    assert len({answer.json()["run"] for answer in answers}) == 10


def test_a_branch_put_back_to_an_older_commit_is_a_run_of_its_own(sync: Sync, door: Door) -> None:
    older, newer = secrets.token_hex(20), secrets.token_hex(20)
    first = door.deliver(push(older))
    door.deliver(push(newer, before=older))
    back = push(older, "push_forced", before=newer)
    assert door.deliver(back).json() == door.deliver(back).json() != first.json()
    assert (len(sync.runs(older)), len(sync.runs(newer))) == (2, 1)


def test_either_secret_and_any_spelling_of_the_repository_will_do(sync: Sync, door: Door) -> None:
    body = push(repository={"full_name": "Acme/Models"})
    runs = {door.deliver(body, {"x-hub-signature-256": signature(body, secret)}).json()["run"] for secret in (SECRET, OLD_SECRET)}
    assert len(runs) == 1


@pytest.mark.parametrize("host", deliveries.REPOSITORIES)
def test_every_host_has_its_address_and_its_push_is_one_run(sync: Sync, door: Door, host: str) -> None:
    commit = secrets.token_hex(20)
    body = deliveries.body(host, "push").replace(deliveries.NEWER.encode(), commit.encode())
    headers = deliveries.headers(host, "push") | deliveries.signed(host, body, SECRET, time.time())
    answers = [door.deliver(body, headers, path=f"/webhooks/{host}") for _ in range(2)]
    (run,) = sync.runs(commit)
    assert [answer.json() for answer in answers] == [{"run": str(run.id)}] * 2
    assert run.parameters == {"repository": deliveries.REPOSITORIES[host], "commit": commit}


def test_a_pull_request_is_one_review_of_each_of_its_heads_once_reviews_are_deployed(sync: Sync, door: Door) -> None:
    head = secrets.token_hex(20)
    body = deliveries.body("github", "pull_request_opened").replace(deliveries.NEWER.encode(), head.encode())
    before = sync.ids()
    answer = door.deliver(body, event="pull_request")
    assert (answer.status_code, sync.ids()) == (202, before)
    assert "Prefect has no deployment 'review/review'" in answer.json()["ignored"]
    sync.deploy("review")
    answers = [door.deliver(body, event="pull_request") for _ in range(2)]
    (run,) = sync.runs(head)
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"run": str(run.id)})] * 2
    ref = "refs/pull/7/head"
    assert run.parameters == {"repository": "acme/models", "number": 7, "commit": head, "ref": ref, "host": "github"}
    assert (run.name, run.state_type) == (f"review acme/models 7 {head[:9]}", StateType.SCHEDULED)
    newer = secrets.token_hex(20)
    assert door.deliver(body.replace(head.encode(), newer.encode()), event="pull_request").status_code == 201
    assert len(sync.runs(newer)) == 1


@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_a_comment_that_speaks_to_us_is_one_run_that_carries_it_under_the_doors_seal(sync: Sync, door: Door, host: str) -> None:
    sync.deploy("answer")
    commit = secrets.token_hex(20)
    body = deliveries.body(host, "comment_on_commit").replace(deliveries.NEWER.encode(), commit.encode())
    headers = deliveries.headers(host, "comment_on_commit") | deliveries.signed(host, body, SECRET, time.time())
    answers = [door.deliver(body, headers, path=f"/webhooks/{host}") for _ in range(2)]
    (run,) = sync.runs(commit)
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"run": str(run.id)})] * 2
    sealed = run.parameters.pop("seal")
    assert is_sealed(run.parameters, sealed, [SECRET, OLD_SECRET])
    assert not is_sealed(run.parameters | {"repository": "acme/other"}, sealed, [SECRET, OLD_SECRET])
    said = run.parameters["comment"]
    assert (said["login"], said["text"], said["commit"], run.parameters["host"]) == ("ada", "/canary approve", commit, host)


@pytest.mark.parametrize(
    "signed", ["", "sha256=", "sha256=" + "0" * 64, signature(b"another body"), "sha1=" + "0" * 40, signature(push("a" * 40), "wrong")]
)
def test_a_forged_delivery_is_no_run(sync: Sync, door: Door, signed: str) -> None:
    before = sync.ids()
    assert door.deliver(push("a" * 40), {"x-hub-signature-256": signed}).status_code == 401
    assert sync.ids() == before


@pytest.mark.parametrize(
    ("event", "body", "reason"),
    [
        ("ping", (SAMPLES / "github" / "ping.json").read_bytes(), "the webhook is set up"),
        ("issues", b"{}", "'issues' is not a push"),
        ("push", (SAMPLES / "github" / "push_tag.json").read_bytes(), "is a tag"),
        ("push", (SAMPLES / "github" / "push_branch_deleted.json").read_bytes(), "was deleted"),
        ("push", push(ref="refs/heads/team/x"), "Branch 'team/x' is not followed; 'main' is."),
        ("push", push(repository={"full_name": "acme/other"}), "'acme/other' is not followed"),
    ],
)
def test_a_genuine_delivery_that_asks_for_nothing_says_why(sync: Sync, door: Door, event: str, body: bytes, reason: str) -> None:
    before = sync.ids()
    answer = door.deliver(body, event=event)
    assert answer.status_code == 202
    assert reason in answer.json()["ignored"]
    assert sync.ids() == before


@pytest.mark.parametrize(
    ("body", "headers", "path", "status"),
    [
        (push()[:-5], {}, "/webhooks/github", 400),
        (b"", {}, "/webhooks/github", 400),
        (b"[]", {}, "/webhooks/github", 400),
        (push(), {"content-type": "application/x-www-form-urlencoded"}, "/webhooks/github", 415),
        (push(), {"content-type": ""}, "/webhooks/github", 415),
        (push(), {}, "/webhooks/nowhere", 404),
        (b" " * (3 * 1024 * 1024 + 1), {}, "/webhooks/github", 413),
        (b"[]", {"x-large": "x" * 20_000}, "/webhooks/github", 400),
    ],
)
def test_what_is_malformed_gets_the_status_that_says_so(door: Door, body: bytes, headers: dict[str, str], path: str, status: int) -> None:
    assert door.deliver(body, headers, path=path).status_code == status


def test_a_body_that_grows_too_large_without_being_announced_is_cut_off(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(door.url).port or 0)) as sender, sender.makefile("rb") as answer:
        head = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        sender.sendall(head.encode())
        with contextlib.suppress(OSError):  # the door may hang up while we still talk
            for _ in range(4):
                sender.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        assert answer.readline().split()[1] == b"413"


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(door.url).port or 0)) as sender, sender.makefile("rb") as answer:
        head = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3145729\r\n\r\n"
        sender.sendall(head.encode())
        assert answer.readline().split()[1] == b"413"


def test_a_sender_that_goes_away_is_one_line_in_the_log(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(door.url).port or 0)) as sender:
        head = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\nX-GitHub-Delivery: left\r\n\r\n["
        sender.sendall(head.encode())
    assert "The connection was closed" in door.line_with('"delivery": "left"')


@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), header=st.text("abcdef0123456789=sha \t\"';:", max_size=80), sign=st.booleans())
def test_nothing_a_stranger_sends_is_an_error_of_ours(door: Door, body: bytes, header: str, sign: bool) -> None:
    headers = {"x-hub-signature-256": signature(body) if sign else header.strip(), "x-github-delivery": header.strip()}
    assert door.deliver(body, headers).status_code == (400 if sign else 401)


def test_prefect_stopped_is_503_and_the_same_delivery_is_taken_afterwards(sync: Sync, door: Door, line: Line) -> None:
    body = push("b" * 40)
    with line.cut():
        refused = door.deliver(body)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        assert "Deliver it again" in refused.json()["refused"]
        assert httpx.get(door.url + "/readyz", timeout=30).status_code == 503
        assert httpx.get(door.url + "/healthz", timeout=30).status_code == 200
    assert sync.runs("b" * 40) == []
    assert httpx.get(door.url + "/readyz", timeout=30).json() == {"ready": True}
    assert door.deliver(body).status_code == 201
    assert len(sync.runs("b" * 40)) == 1


def test_prefect_that_does_not_answer_is_503_before_the_git_host_hangs_up(door: Door, line: Line) -> None:
    with line.held():
        started = time.monotonic()
        assert door.deliver(push()).status_code == 503
        assert time.monotonic() - started < 10


def test_without_the_sync_deployment_the_door_says_what_to_do(sync: Sync, door: Door) -> None:
    sync.undeploy()
    try:
        for answer, key in ((door.deliver(push()), "refused"), (httpx.get(door.url + "/readyz"), "reason")):
            assert answer.status_code == 503
            assert "Prefect has no deployment 'sync/sync'. Run `aml-canary setup --deploy`." in answer.json()[key]
    finally:
        sync.deploy()


def test_each_delivery_is_one_line_of_json_with_its_id(door: Door) -> None:
    ids = {kind: f"{kind}-{secrets.token_hex(4)}" for kind in ("taken", "forged", "ignored")}
    door.deliver(push("c" * 40), {"x-github-delivery": ids["taken"]})
    door.deliver(push("c" * 40), {"x-github-delivery": ids["forged"], "x-hub-signature-256": "sha256=0"})
    door.deliver(b"{}", {"x-github-delivery": ids["ignored"]}, event="ping")
    for kind, status in (("taken", 201), ("forged", 401), ("ignored", 202)):
        logged = door.line_with(ids[kind])
        found = json.loads(logged[logged.index("{") :])
        assert (found["status"], found["delivery"], found["host"]) == (status, ids[kind], "github")
        assert len([line for line in door.lines if ids[kind] in line]) == 1
    taken = door.line_with(ids["taken"])
    assert '"commit": "cccc' in taken
    assert '"run": "' in taken
