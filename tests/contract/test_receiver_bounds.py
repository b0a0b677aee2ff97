"""When the door does not open at all, and how long a stranger may hold it: uvicorn on loopback, Prefect not needed."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from aml_canary.errors import Permanent
from aml_canary.receiver import app, create_app, server
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
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        running = Announcing(server.configuration(create_app(Settings(repositories=FOLLOWED, webhook_secrets=SECRETS)), "127.0.0.1", 0))
    thread = threading.Thread(target=running.run)
    thread.start()
    assert running.listening.wait(30)
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection(running.servers[0].sockets[0].getsockname()[:2], timeout=30))
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
