"""The mirror over HTTP as git hosts speak it: git's own http-backend behind a small server, and a token in the URL."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aml_canary.errors import Permanent, Transient
from aml_canary.gateways.git import GitTree, Mirror
from tests.contract.test_git_mirror import Origin

TOKEN = "t0ken/with+signs"


class _Backend(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        host = self.server
        assert isinstance(host, HttpHost)
        host.seen.append(f"{self.command} {self.path}")
        if self.headers.get("Authorization") != "Basic " + b64encode(f"robot:{TOKEN}".encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROJECT_ROOT": str(host.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": f"{len(body)}",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        answer = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": f"{len(content)}"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the base class's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


class HttpHost(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Backend)
        self.root = root
        self.seen: list[str] = []

    def url(self, token: str) -> str:
        return f"http://robot:{token.replace('/', '%2F')}@127.0.0.1:{self.server_port}/origin.git"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path)


@pytest.fixture
def host(origin: Origin) -> Iterator[HttpHost]:
    with HttpHost(origin.bare.parent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_repository_is_read_over_http_with_the_token_of_its_url(origin: Origin, host: HttpHost, tmp_path: Path) -> None:
    first = origin.push("one")
    mirror = Mirror(host.url(TOKEN), tmp_path / "home")
    assert mirror.resolve("main") == first
    assert GitTree(mirror, first).read("file.txt") == b"one"
    second = origin.push("two")
    assert mirror.resolve("main") == second
    assert mirror.is_ancestor(first, second)
    assert any("POST /origin.git/git-upload-pack" in line for line in host.seen)
    assert all(TOKEN.encode() not in file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file())


def test_a_pull_request_is_fetched_over_http_and_is_no_branch(origin: Origin, host: HttpHost, tmp_path: Path) -> None:
    base = origin.push("one")
    origin.push("two", branch="feature")
    head = origin.git("rev-parse", "HEAD")
    origin.git("push", "-q", str(origin.bare), f"{head}:refs/pull/7/head", ":refs/heads/feature")
    mirror = Mirror(host.url(TOKEN), tmp_path / "home")
    assert mirror.fetch("refs/pull/7/head") == head
    assert GitTree(mirror, head).read("file.txt") == b"two"
    assert mirror.merge_base(mirror.resolve("main"), head) == base
    with pytest.raises(Permanent, match="no branch, tag or commit"):
        mirror.resolve("pull/7/head")
    # It was amended: the old commit stays readable, the ref leads to the new one.
    origin.git("commit", "-q", "--amend", "-m", "three", "--allow-empty")
    origin.git("push", "-q", "--force", str(origin.bare), "HEAD:refs/pull/7/head")
    assert mirror.fetch("refs/pull/7/head") == origin.git("rev-parse", "HEAD") != head
    mirror.resolve("main")
    assert GitTree(mirror, head).read("file.txt") == b"two"


def test_histories_that_never_meet_have_no_common_commit(origin: Origin, tmp_path: Path) -> None:
    one = origin.push("one")
    origin.git("checkout", "-q", "--orphan", "other")
    other = origin.push("two", branch="other")
    mirror = Mirror(origin.url, tmp_path / "home")
    mirror.resolve("main")
    assert mirror.merge_base(one, other) == ""


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_is_refused_and_not_shown(origin: Origin, host: HttpHost, tmp_path: Path, token: str) -> None:
    origin.push("one")
    with pytest.raises(Permanent, match="refused the credentials") as raised:
        Mirror(host.url(token), tmp_path / "home").resolve("main")
    assert not token or token not in str(raised.value).replace("Cannot", "")
    assert not [line for line in host.seen if "POST" in line]


def test_a_pull_request_that_is_not_there_yet_is_worth_another_try(origin: Origin, tmp_path: Path) -> None:
    origin.push("one")
    with pytest.raises(Transient, match="refs/pull/8/head"):
        Mirror(origin.url, tmp_path / "home").fetch("refs/pull/8/head")


@pytest.mark.parametrize(
    "ref",
    ["", "main", "--upload-pack=id", "refs/", "refs/pull/*/head", "refs/a:refs/heads/main", "+refs/pull/7/head", "refs/a..b",
     "refs/a b", "refs/pull/7/head\n", "refs/\x00", "refs/a.lock", "refs/a//b", "refs/@{u}", "^refs/heads/main"],
)  # fmt: skip
def test_what_is_not_the_whole_name_of_a_ref_is_refused_before_the_host_is_asked(origin: Origin, tmp_path: Path, ref: str) -> None:
    origin.push("one")
    mirror = Mirror(origin.url, tmp_path / "home")
    with pytest.raises(Permanent, match="is not the whole name of a ref"):
        mirror.fetch(ref)
    assert not mirror.path.exists()
