"""When the door does not open at all, and how long a stranger may hold it: uvicorn on loopback, Prefect not needed."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvicorn
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from aml_canary.errors import Permanent
from aml_canary.receiver import app, create_app, server
from aml_canary.receiver.bucket import Rate
from aml_canary.settings import Settings

FOLLOWED = {"acme/models": "https://git.example.test/acme/models.git"}
SECRETS = (SecretStr("correct horse"),)
NOWHERE = "http://127.0.0.1:1/api"


@pytest.mark.parametrize("secrets", [(), ("",), ("good", "  ")])
def test_without_a_secret_the_door_does_not_open(secrets: tuple[str, ...]) -> None:
    with temporary_settings({PREFECT_API_URL: NOWHERE}), pytest.raises(Permanent, match="AML_CANARY_WEBHOOK_SECRETS"):
        create_app(Settings(repositories=FOLLOWED, webhook_secrets=tuple(SecretStr(secret) for secret in secrets)))


def test_without_a_repository_the_door_does_not_open() -> None:
    with temporary_settings({PREFECT_API_URL: NOWHERE}), pytest.raises(Permanent, match="AML_CANARY_REPOSITORIES"):
        create_app(Settings(repositories={}, webhook_secrets=SECRETS))


def test_without_a_prefect_server_the_door_does_not_open() -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(Permanent, match="PREFECT_API_URL"):
        create_app(Settings(repositories=FOLLOWED, webhook_secrets=SECRETS))


class Announcing(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@pytest.fixture
def connect() -> Iterator[Callable[[], socket.socket]]:
    """Opens a connection to a door in this process."""
    with opened() as connecting:
        yield connecting


@contextlib.contextmanager
def opened() -> Iterator[Callable[[], socket.socket]]:
    """A door in this process, while it is open."""
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        running = Announcing(server.configuration(create_app(Settings(repositories=FOLLOWED, webhook_secrets=SECRETS)), "127.0.0.1", 0))
    thread = threading.Thread(target=running.run)
    thread.start()
    assert running.listening.wait(30)
    try:
        with contextlib.ExitStack() as connections:
            yield lambda: connections.enter_context(socket.create_connection(running.servers[0].sockets[0].getsockname()[:2], timeout=30))
    finally:
        running.should_exit = True
        thread.join(30)


def test_who_never_finishes_the_request_head_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, connect: Callable[[], socket.socket]) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.2)
    silent, slow = connect(), connect()
    slow.sendall(b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n")
    assert (silent.recv(1), slow.recv(1)) == (b"", b"")


def test_a_body_that_does_not_come_is_408(monkeypatch: pytest.MonkeyPatch, connect: Callable[[], socket.socket]) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS", 0.2)
    sender = connect()
    sender.sendall(b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n[")
    assert sender.recv(100).split()[1] == b"408"


def test_a_connection_serves_one_request(connect: Callable[[], socket.socket]) -> None:
    sender = connect()
    sender.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    with sender.makefile("rb") as answer:
        assert b"connection: close" in answer.read()


def test_clients_behind_a_proxy_on_this_machine_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "EACH_ADDRESS", Rate(burst=1, per_second=0.01))
    with opened() as connect:

        def knock(client: str) -> bytes:
            sender = connect()
            head = f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\nContent-Length: 0\r\n\r\n"
            sender.sendall(head.encode())
            return sender.recv(100).split()[1]

        assert [knock("10.0.0.1"), knock("10.0.0.1"), knock("10.0.0.2")] == [b"415", b"429", b"415"]


def test_any_asgi_server_runs_it_by_its_name() -> None:
    env = os.environ | {
        "PREFECT_API_URL": NOWHERE,
        "AML_CANARY_REPOSITORIES": json.dumps(FOLLOWED),
        "AML_CANARY_WEBHOOK_SECRETS": json.dumps(["correct horse"]),
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "aml_canary.receiver:create_app", "--port", "0"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while not (found := re.search(r"http://\S+", said)):
                line = process.stderr.readline()
                assert line, said
                said += line
            assert httpx.get(f"{found[0]}/healthz", timeout=30).json() == {"healthy": True}
            assert httpx.post(f"{found[0]}/webhooks/github", json={}, timeout=30).status_code == 401
        finally:
            process.terminate()
