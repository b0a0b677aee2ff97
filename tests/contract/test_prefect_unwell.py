"""A Prefect server, or the proxy before it, that answers with an error of its own: what comes of it here, and on the command line."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aml_canary.errors import Transient
from aml_canary.gateways import prefect_answers, prefect_audit, prefect_db

PROGRAM = Path(sys.executable).parent / "aml-canary"
RUN = str(uuid4())
HOLDER = prefect_db.Holder("churn", RUN, "c0ffee", "churn.canary.yml")


class Unwell(ThreadingHTTPServer):
    """Answers everything with one status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 500
        self.api_url = f"http://127.0.0.1:{self.server_port}/api"


class Handler(BaseHTTPRequestHandler):
    server: Unwell

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815  as http.server finds them

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


@pytest.fixture(scope="module")
def prefect() -> Iterator[Unwell]:
    with Unwell() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        # Prefect's client tries some statuses again by itself, and waits longer each time.
        with temporary_settings({PREFECT_API_URL: running.api_url, PREFECT_CLIENT_MAX_RETRIES: 0}):
            yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_prefect_may_answer_otherwise_in_a_moment_is_transient(prefect, status):
    prefect.status = status
    with pytest.raises(
        Transient,
        match=rf"^Prefect's API answered HTTP {status} \(.+\) to GET /api/variables/name/aml-canary-lock-churn at 127\.0\.0\.1\. ",
    ):
        prefect_db.held_by("churn")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: prefect_db.take_lock(HOLDER),
        lambda: prefect_db.run_state(RUN),
        lambda: prefect_db.keep(RUN, "key", 1),
        lambda: prefect_db.kept(RUN, "key"),
        lambda: prefect_db.tag_outcome(RUN, "Failed"),
        lambda: prefect_audit.append(RUN, "what", "about", who="somebody"),
        lambda: prefect_answers.find_run(RUN),
        lambda: prefect_answers.abort_run(RUN, "why"),
    ],
)
def test_it_is_so_where_another_status_has_a_meaning_of_its_own(prefect, ask: Callable[[], object]):
    prefect.status = 500
    with pytest.raises(Transient, match="answered HTTP 500"):
        ask()


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_what_prefect_would_refuse_again_stays_as_it_is(prefect, status):
    prefect.status = status
    with pytest.raises(PrefectHTTPStatusError):
        prefect_db.held_by("churn")


def test_what_is_not_there_or_there_already_keeps_its_meaning(prefect):
    prefect.status = 404
    assert prefect_db.held_by("churn") is None
    assert prefect_db.run_state(RUN).type == "GONE"
    assert prefect_db.kept(RUN, "key") is None
    prefect.status = 409
    assert prefect_db.keep(RUN, "key", 1) is False


@pytest.mark.parametrize(
    ("status", "words"), [(500, ("status",)), (504, ("status",)), (503, ("approve", RUN)), (500, ("abort", "churn", "Enough."))]
)
def test_the_command_line_says_so_in_a_sentence(prefect, tmp_path, status, words):
    prefect.status = status
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PREFECT_API_URL": prefect.api_url, "PREFECT_CLIENT_MAX_RETRIES": "0"}
    found = subprocess.run([PROGRAM, *words], env=env, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith(f"Prefect's API answered HTTP {status} (")
    assert found.stderr.count("\n") == 1
