"""The webhook door as it runs in production: its own process, a real Prefect server behind it, real HTTP in front."""

import concurrent.futures
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.utilities.callables import parameter_schema

SECRET, OLD_SECRET = "correct horse battery staple", "the one before"
URL = "https://git.example.test/acme/models.git"
SAMPLES = Path(__file__).parents[1] / "unit" / "fixtures" / "webhooks"


class PrefectServer:
    """A Prefect server of this module's own."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.api_url = f"http://127.0.0.1:{port}/api"
        self.env = os.environ | {"PREFECT_HOME": str(home), "PREFECT_API_URL": self.api_url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
        with (home / "server.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)
        self.log = home / "server.log"

    def wait(self) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.api_url}/health").status_code == 200:
                    return
            time.sleep(0.2)  # another program's start has no event to wait for
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)


class Sync:
    """What Prefect knows of the deployment `sync/sync` and its runs."""

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url

    def deploy(self) -> UUID:
        @flow(name="sync")
        def sync(repository: str, commit: str) -> None:
            """Does nothing: the door knows a flow by its name only."""

        with SyncPrefectClient(self.api_url) as client:
            schema = parameter_schema(sync).model_dump_for_openapi()
            return client.create_deployment(
                client.create_flow(sync), "sync", parameter_openapi_schema=schema, enforce_parameter_schema=True
            )

    def undeploy(self) -> None:
        with SyncPrefectClient(self.api_url) as client:
            client.delete_deployment(client.read_deployment_by_name("sync/sync").id)

    def runs(self, commit: str) -> list[FlowRun]:
        """The runs for one commit."""
        with SyncPrefectClient(self.api_url) as client:
            return client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[f"commit:{commit[:12]}"])))

    def ids(self) -> set[UUID]:
        """All runs there are, of whatever flow."""
        with SyncPrefectClient(self.api_url) as client:
            return {run.id for run in client.read_flow_runs(limit=200)}


class Line(socketserver.ThreadingTCPServer):
    """A telephone line to Prefect, which a test can cut or hold."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 100

    def __init__(self, to: int, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Extension)
        self.to, self.port, self.open = to, self.server_address[1], threading.Event()
        self.open.set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        self.shutdown()
        self.server_close()
        try:
            yield
        finally:
            self.__init__(self.to, self.port)  # type: ignore[misc]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self.open.clear()
        try:
            yield
        finally:
            self.open.set()


class Extension(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Line)
        self.server.open.wait(60)
        with socket.create_connection(("127.0.0.1", self.server.to)) as far:
            threading.Thread(target=self.copy, args=(self.request, far), daemon=True).start()
            self.copy(far, self.request)

    @staticmethod
    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


class Door:
    """The receiver as a process; `lines` are what it has logged."""

    def __init__(self, env: dict[str, str]) -> None:
        command = [sys.executable, "-c", "from aml_canary.receiver import serve; serve('127.0.0.1', 0)"]
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.news = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.url = re.search(r"http://\S+", self.line_with("Uvicorn running on"))[0]  # type: ignore[index]

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()

    def line_with(self, text: str) -> str:
        def found() -> str | None:
            return next((line for line in self.lines if text in line), None)

        with self.news:
            line = self.news.wait_for(found, 60)
        assert line, self.lines
        return line

    def deliver(
        self, body: bytes, headers: dict[str, str] | None = None, event: str = "push", path: str = "/webhooks/github"
    ) -> httpx.Response:
        sent = {"content-type": "application/json", "x-github-event": event, "x-hub-signature-256": signature(body)} | (headers or {})
        return httpx.post(self.url + path, content=body, headers=sent, timeout=30)


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def push(commit: str = "", name: str = "push", **changes: object) -> bytes:
    payload = json.loads((SAMPLES / "github" / f"{name}.json").read_bytes())
    return json.dumps(payload | {"after": commit or secrets.token_hex(20)} | changes).encode()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    server = PrefectServer(tmp_path_factory.mktemp("prefect"))
    try:
        server.wait()
        yield server
    finally:
        server.stop()


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
        "AML_CANARY_REPOSITORIES": json.dumps({"acme/models": URL}),
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
            assert "Prefect has no deployment 'sync/sync'. Run `prefect deploy --all`." in answer.json()[key]
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
