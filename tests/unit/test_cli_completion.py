"""What a shell is told to complete: commands by click, rollouts and endpoints by Prefect's API, and nothing where that does not answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.unit.test_cli import PROGRAM, QUIET, cli

ANSWERS = {
    "/api/variables/filter": [{"value": {"endpoint": "fraud"}}, {"value": {"endpoint": "churn"}}, {"value": None}],
    "/api/flow_runs/filter": [{"name": "churn@1a2b3c4"}, {"name": "fraud@9f8e7d6"}, {"name": "churn@1a2b3c4"}],
}


@pytest.fixture
def prefect() -> Iterator[tuple[str, list[str]]]:
    """An API that has one lock and three runs; its address, and the logins that it was shown."""
    logins: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            logins.append(self.headers.get("authorization", ""))
            body = json.dumps(ANSWERS[self.path]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api", logins
    server.shutdown()
    server.server_close()


def proposed(*words: str, **env: str) -> list[str]:
    asked = {"_AML_CANARY_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("aml-canary", *words)), "COMP_CWORD": str(len(words))}
    shown = cli(**env, **asked).stdout
    return [line.partition(",")[2] for line in shown.splitlines() if line]


def test_rollouts_and_held_endpoints_are_proposed_by_name(prefect):
    url, logins = prefect
    there = {"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": "admin:pw"}
    assert proposed("approve", "c", **there) == ["churn", "churn@1a2b3c4"]
    assert proposed("watch", "", **there) == ["churn", "fraud", "churn@1a2b3c4", "fraud@9f8e7d6"]
    assert proposed("abort", "", **there) == ["churn", "fraud"]
    assert set(logins) == {"Basic YWRtaW46cHc="}


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/api", "file:///etc/passwd", "nonsense"])
def test_where_prefect_does_not_answer_nothing_is_proposed(url):
    assert proposed("approve", "", PREFECT_API_URL=url) == []


def test_commands_are_proposed():
    assert {"schema", "status"} <= set(proposed("s"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_each_shell_is_given_is_a_script_that_it_takes(shell, tmp_path):
    found = cli("completion", shell)
    assert found.returncode == 0
    assert f"_AML_CANARY_COMPLETE={shell}_complete" in found.stdout
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(found.stdout)
        subprocess.run([shell, "-n", script], check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_bash_completes_with_it():
    program = """
        eval "$(aml-canary completion bash)"
        COMP_WORDS=(aml-canary sta) COMP_CWORD=1
        _aml_canary_completion aml-canary
        echo "${COMPREPLY[@]}"
    """
    env = QUIET | {"PATH": f"{PROGRAM.parent}:{QUIET['PATH']}"}
    assert subprocess.run(["bash", "-c", program], env=env, capture_output=True, text=True, check=True).stdout.strip() == "status"
