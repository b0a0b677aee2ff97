"""The ports that the demo and these tests give to servers by number."""

import re
import socket
from pathlib import Path

import pytest

from examples.demo import stack

GIVEN_TO_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not GIVEN_TO_CONNECTIONS.exists(), reason="the system does not say which ports it gives to connections")
def test_a_free_port_is_none_that_a_connection_is_given_before_its_server_is_up() -> None:
    lowest = int(re.split(r"\s+", GIVEN_TO_CONNECTIONS.read_text())[0])
    if lowest < 32768:
        pytest.skip(f"this system gives connections ports from {lowest} on")
    assert all(stack.free_port() < lowest for _ in range(50))


def test_a_port_that_somebody_has_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        class InThisOrder:
            def sample(self, _ports: range, _count: int) -> list[int]:
                return [port, 16384]

        monkeypatch.setattr(stack.secrets, "SystemRandom", InThisOrder)
        assert stack.free_port() == 16384
