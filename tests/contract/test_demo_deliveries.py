"""The demo's repository tells of a push as a git host does: real git and its real hook, against a door on loopback that answers as it is told."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from examples.demo.repository import Repository


class Door(HTTPServer):
    """Answers with these statuses, one after the other, and keeps the number of each delivery that it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.told: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Door

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append(self.headers["X-GitHub-Delivery"])
        self.send_response(self.server.statuses.pop(0))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


@pytest.fixture
def door() -> Iterator[Door]:
    with Door() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(("statuses", "times"), [([202], 1), ([503, 202], 2), ([401], 1)])
def test_a_push_is_told_again_while_prefect_is_busy_and_not_where_it_was_refused(
    door: Door, tmp_path: Path, statuses: list[int], times: int
) -> None:
    door.statuses = statuses
    repository = Repository(tmp_path)
    repository.tell(f"http://127.0.0.1:{door.server_port}", "secret")
    repository.push({"a": "1"}, "one")
    assert len(door.told) == times
    assert len(set(door.told)) == 1, "it is the same delivery"
