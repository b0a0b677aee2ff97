"""A git host's API on loopback that remembers what it was sent: GitHub's for statuses and comments, and GitLab's for answers to comments."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

TOKEN = "ghp_not/so+secret=Token"


class Received(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class GitHostWorld(ThreadingHTTPServer):
    """`answers` are given first, one each: (status, headers, body). `comments` by pull request, oldest first.

    `pulls` is what the host tells of a pull or merge request, by number.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Received] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.statuses: list[tuple[str, dict[str, Any]]] = []
        self.replies: list[dict[str, Any]] = []
        self.pulls: dict[str, dict[str, Any]] = {}

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, received: Received) -> tuple[int, dict[str, str], bytes]:
        self.received.append(received)
        if self.answers:
            return self.answers.pop(0)
        if received.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {}, b'{"message": "Bad credentials"}'
        said = json.loads(received.body or b"null")
        if found := re.fullmatch(r"/repos/(.+)/statuses/([0-9a-f]{40})", received.path):
            self.statuses.append((found[2], said))
            return 201, {}, b"{}"
        on_commit = r"/repos/(.+)/commits/[0-9a-f]{40}/comments|/projects/[^/]+/repository/commits/[0-9a-f]{40}/comments"
        if re.fullmatch(rf"{on_commit}|/projects/[^/]+/merge_requests/\d+/notes", received.path):
            self.replies.append(said)
            return 201, {}, b"{}"
        if found := re.fullmatch(r"/repos/(.+)/issues/(\d+)/comments\?per_page=100&page=(\d+)", received.path):
            first = 100 * (int(found[3]) - 1)
            return 200, {}, json.dumps(self.comments.get(found[2], [])[first : first + 100]).encode()
        if found := re.fullmatch(r"/repos/(.+)/issues/(\d+)/comments", received.path):
            comment = {"id": 1000 + sum(map(len, self.comments.values())), **said}
            self.comments.setdefault(found[2], []).append(comment)
            self.replies.append(said)
            return 201, {}, json.dumps(comment).encode()
        if found := re.fullmatch(r"/repos/(.+)/issues/comments/(\d+)", received.path):
            [comment] = [one for of in self.comments.values() for one in of if one["id"] == int(found[2])]
            comment |= said
            return 200, {}, json.dumps(comment).encode()
        if found := re.fullmatch(r"/repos/.+/pulls/(\d+)|/projects/[^/]+/merge_requests/(\d+)", received.path):
            return 200, {}, json.dumps(self.pulls[found[1] or found[2]]).encode()
        if received.method == "GET" and re.fullmatch(r"/repos/[^/]+/[^/]+(\?.*)?", received.path):
            return 200, {}, b"{}"
        return 404, {}, b'{"message": "Not Found"}'


class _Handler(BaseHTTPRequestHandler):
    def _do(self) -> None:
        world = self.server
        assert isinstance(world, GitHostWorld)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, answer = world.answer(
            Received(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        )
        self.send_response(status)
        for name, value in {"Content-Length": f"{len(answer)}", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(answer)
        except OSError:
            pass  # who asked has heard enough

    do_GET = do_POST = do_PATCH = do_PUT = _do  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


@contextmanager
def git_host() -> Iterator[GitHostWorld]:
    """The host, for a block."""
    with GitHostWorld() as world:
        threading.Thread(target=world.serve_forever, daemon=True).start()
        try:
            yield world
        finally:
            world.shutdown()
