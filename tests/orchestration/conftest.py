"""One stack for all orchestration tests: emulator, Prefect server, worker."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceExistsError

from aml_canary.gateways.azureml.client import client
from aml_canary.settings import settings
from examples.demo.processes import Process, adopt_orphans, children, end_orphans
from examples.demo.stack import ROOT, Stack, azure_log, running_stack
from tests.contract.emulator.openapi import insist_on_true_answers
from tests.orchestration import forking
from tests.orchestration.world import World, wait_until


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running, without schedules: the tests start runs themselves.

    At the end, what Azure's stand-in answered to whatever process is held to Microsoft's description of it.
    """
    adopt_orphans()
    others = children(os.getpid())
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(folder, ROOT / ".demo" / "cache", {}) as running:
        running.clear_schedules()
        fork_runs(running)
        yield running
    end_orphans(keep=others)
    insist_on_true_answers(azure_log(folder))


def fork_runs(stack: Stack) -> None:
    """From now on runs begin at once (`forking` says how)."""
    program, place = Path(forking.__file__), stack.folder / "runs.socket"
    ready = [sys.executable, str(program), str(place)]
    stack.processes["runs"] = Process("runs", ready, stack.env | {"PYTHONPATH": str(ROOT)}, stack.folder / "logs" / "runs.log", cwd=ROOT)
    stack.processes["runs"].wait_until(place.exists, 120)
    stack.begin_runs_by(shlex.join([sys.executable, "-S", "-E", str(program), str(place), "begin"]))


@pytest.fixture
def here(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process speaks to the stack's emulator too, as the gateway of the code under test and as somebody else; in this test only."""
    for name, value in stack.env.items():
        if name.startswith(("AML_CANARY_", "AZURE_", "REQUESTS_CA_BUNDLE")):
            monkeypatch.setenv(name, value)
    settings.cache_clear()
    client.cache_clear()
    yield
    settings.cache_clear()
    client.cache_clear()


@pytest.fixture
def world(stack: Stack, here: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """A test's own endpoint and repository. Afterwards nothing is broken any more."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    with one_world(stack, tmp_path, f"e{abs(hash(request.node.nodeid)) % 10**6:06d}-{words}"[:30].strip("-")) as made:
        yield made


@pytest.fixture
def churn(stack: Stack, here: None, tmp_path: Path) -> Iterator[World]:
    """The same, with the names that the documents have."""
    with one_world(stack, tmp_path, "churn", "acme/models") as made:
        yield made


@contextmanager
def one_world(stack: Stack, folder: Path, name: str, repository: str = "") -> Iterator[World]:
    yield World(stack, folder, name, repository)
    stack.emulator.faults.clear()
    stack.emulator.pace(pace="fast")
    end_rollouts(stack, name)
    wait_until(lambda: deleted(stack, name), "the endpoint is idle, and deleted")


def end_rollouts(stack: Stack, endpoint: str) -> None:
    """Nothing of this test is left for the guard of another: no run that may still act, no lock."""
    query = {"flow_runs": {"tags": {"all_": [f"endpoint:{endpoint}"]}}}
    for run in stack.prefect.call("POST", "/flow_runs/filter", query):
        if run["state"]["type"] not in ("COMPLETED", "CANCELLED"):
            stack.prefect.call("POST", f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})
    held = {"variables": {"name": {"any_": [f"aml-canary-lock-{endpoint}"]}}}
    for variable in stack.prefect.call("POST", "/variables/filter", held):
        stack.prefect.call("DELETE", f"/variables/{variable['id']}")


def deleted(stack: Stack, endpoint: str) -> bool:
    """Whether the endpoint is gone or going; not yet where Azure is still at work on it."""
    try:
        stack.azure.online_endpoints.begin_delete(endpoint)
    except ResourceExistsError:
        return False
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to tell of what they saw, whichever process ran them."""
    told = [value for report in terminalreporter.getreports("passed") for key, value in report.user_properties if key == "told"]
    if told:
        terminalreporter.section("how canaries ended")
        for line in told:
            terminalreporter.line(str(line))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what waits for minutes of metrics, beside all the others."""
    items.sort(key=lambda item: "test_judging.py" not in item.nodeid)
