"""The ports that the demo and these tests give to servers by number."""

import socket

import pytest

from examples.demo import stack

# Linux's default; elsewhere it is higher.
LOWEST_GIVEN_TO_CONNECTIONS = 32768


def test_a_free_port_is_none_that_a_connection_is_given_before_its_server_is_up() -> None:
    assert all(stack.free_port() < LOWEST_GIVEN_TO_CONNECTIONS for _ in range(50))


def test_a_port_that_somebody_has_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        class InThisOrder:
            def sample(self, _ports: range, _count: int) -> list[int]:
                return [port, 16384]

        monkeypatch.setattr(stack.secrets, "SystemRandom", InThisOrder)
        assert stack.free_port() == 16384
