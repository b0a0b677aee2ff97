"""What the webhook door's tests need: a Prefect server, the line to it, what it knows, and the door as a process."""

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
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.utilities.callables import parameter_schema

from examples.demo.stack import free_port, without_settings

SECRET, OLD_SECRET = "correct horse battery staple", "the one before"
URL = "https://git.example.test/acme/models.git"
SAMPLES = Path(__file__).parents[1] / "unit" / "fixtures" / "webhooks"
FOLLOWED = ("acme/models", "acme/ml/models", "acme/Live Models/models", "LIVE/models")


class PrefectServer:
    """A Prefect server of this module's own."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        self.api_url = f"http://127.0.0.1:{port}/api"
        ours = {"PREFECT_HOME": str(home), "PREFECT_API_URL": self.api_url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        # Azure's SDK, used by other tests in this process, writes the name of its cloud into the environment.
        self.env = without_settings(os.environ) | ours
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


@contextlib.contextmanager
def running_prefect(home: Path) -> Iterator[PrefectServer]:
    """One, from when it answers until the end of the block."""
    server = PrefectServer(home)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


class Sync:
    """What Prefect knows of the deployment `sync/sync` and its runs."""

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url

    def deploy(self, name: str = "sync") -> UUID:
        """Flows that do nothing: the door knows a flow by its name only."""

        @flow(name="sync")
        def sync(repository: str, commit: str) -> None: ...

        @flow(name="review")
        def review(repository: str, number: int, commit: str, ref: str, host: str) -> None: ...

        @flow(name="answer")
        def answer(host: str, repository: str, comment: dict[str, object], seal: str) -> None: ...

        deployed = {"sync": sync, "review": review, "answer": answer}[name]
        with SyncPrefectClient(self.api_url) as client:
            schema = parameter_schema(deployed).model_dump_for_openapi()
            return client.create_deployment(
                client.create_flow(deployed), name, parameter_openapi_schema=schema, enforce_parameter_schema=True
            )

    def undeploy(self, name: str = "sync") -> None:
        with SyncPrefectClient(self.api_url) as client:
            client.delete_deployment(client.read_deployment_by_name(f"{name}/{name}").id)

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
