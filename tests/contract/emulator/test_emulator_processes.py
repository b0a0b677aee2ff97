"""Scoring processes: none is lost, none is left behind, and no request falls between them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml.entities import ProbeSettings
from azure.core.exceptions import HttpResponseError

from aml_emulator.process import RunningEmulator, running_emulator

ENDPOINT = "canary"


def family(root: int) -> set[int]:
    """A process and everything below it."""
    children: dict[int, set[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, set()).add(int(entry.name))
    found, front = {root}, {root}
    while front:
        front = set().union(*(children.get(pid, set()) for pid in front))
        found |= front
    return found


def wait_until_all_end(pids: set[int], handles: dict[int, int]) -> set[int]:
    """Returns those that have not ended after a generous while."""
    left = set(pids)
    for pid in pids:
        readable, _, _ = select.select([handles[pid]], [], [], 20)
        os.close(handles[pid])
        if readable:
            left.discard(pid)
    return left


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningEmulator, Path]]:
    """An emulator of this module's own, to be killed."""
    folder = tmp_path_factory.mktemp("own")
    with running_emulator(folder) as emulator:
        yield emulator, folder


def test_after_sigkill_of_the_emulator_nothing_is_left(own: Any, azure_of: Callable[[RunningEmulator], Any]) -> None:
    emulator, _ = own
    azure = azure_of(emulator)
    azure.create_endpoint()
    # Busy workers, and code that has started a program of its own, must go as well.
    azure.deploy("slow", "v2-slow", count=2, environment_variables={"SLOW_SECONDS": "600"}, request_settings={"request_timeout_ms": 60_000})
    azure.deploy(
        "starter", code="import subprocess\ndef init():\n    subprocess.Popen(['sleep', '600'])\ndef run(data):\n    return data\n"
    )
    hanging = threading.Thread(target=_ignore_errors, args=(lambda: azure.score("slow"),), daemon=True)
    hanging.start()
    while not any(one["in_flight"] for one in emulator.processes()):
        pass
    masters = azure.pids("slow")
    everyone = family(emulator.pid) - {emulator.pid}
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in everyone]
    assert len(everyone) == 7  # three masters, three workers, one sleep
    assert any("sleep" in command for command in commands)
    handles = {pid: os.pidfd_open(pid) for pid in everyone}
    # One gunicorn master goes at the same time, as when memory runs out: its worker has only the kernel to end it.
    os.kill(emulator.pid, signal.SIGSTOP)
    os.kill(min(masters), signal.SIGKILL)
    os.kill(emulator.pid, signal.SIGKILL)
    assert wait_until_all_end(everyone, handles) == set()


def test_after_sigkill_of_the_emulator_not_even_stopped_processes_are_left(
    tmp_path: Path, azure_of: Callable[[RunningEmulator], Any]
) -> None:
    with running_emulator(tmp_path) as emulator:
        azure = azure_of(emulator)
        azure.create_endpoint()
        azure.deploy(
            "blue",
            count=2,
            code="import subprocess\ndef init():\n    subprocess.Popen(['sleep', '600'])\ndef run(data):\n    return data\n",
        )
        everyone = family(emulator.pid) - {emulator.pid}
        assert len(everyone) == 6  # two masters, two workers, two sleeps
        handles = {pid: os.pidfd_open(pid) for pid in everyone}
        # A stopped process runs no handler: whatever ends it must need none of its own code.
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        os.kill(emulator.pid, signal.SIGKILL)
        assert wait_until_all_end(everyone, handles) == set()


def test_an_installation_that_is_under_way_ends_with_the_emulator(tmp_path: Path) -> None:
    # The installer, and what it has started, in the place of the emulator that started it.
    installer = "import os, subprocess, time; subprocess.Popen(['sleep', '600']); print(flush=True); time.sleep(600)"
    script = f"import asyncio\nfrom aml_emulator import environments\nasyncio.run(environments._run([{sys.executable!r}, '-c', {installer!r}]))\n"
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        while len(everyone := family(parent.pid) - {parent.pid}) < 2 or not any(
            "sleep" in Path(f"/proc/{pid}/comm").read_text() for pid in everyone
        ):
            assert parent.poll() is None
        handles = {pid: os.pidfd_open(pid) for pid in everyone}
        parent.kill()
    assert wait_until_all_end(everyone, handles) == set()


def _ignore_errors(call: Callable[[], Any]) -> None:
    try:
        call()
    except OSError:
        pass


def test_sigterm_stops_everything_and_takes_the_ready_file_away(tmp_path: Path, azure_of: Any) -> None:
    with running_emulator(tmp_path) as emulator:
        azure = azure_of(emulator)
        azure.create_endpoint()
        azure.deploy("blue")
        everyone = family(emulator.pid)
        handles = {pid: os.pidfd_open(pid) for pid in everyone}
        status = Path(f"/proc/{emulator.pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0])
    assert wait_until_all_end(everyone, handles) == set()
    assert not (tmp_path / "ready.json").exists()
    assert resident < 60 * 1024


def test_the_emulator_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\nfrom aml_emulator.process import running_emulator\n"
        "with running_emulator(pathlib.Path(sys.argv[1])) as emulator:\n    print(emulator.pid, flush=True)\n    sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    emulator = int(parent.stdout.readline())
    handles = {emulator: os.pidfd_open(emulator)}
    parent.kill()
    parent.communicate()
    assert wait_until_all_end({emulator}, handles) == set()


def test_the_command_line_resets_a_running_emulator(azure: Any, arm: Any) -> None:
    arm.put_endpoint()
    folder = str(Path(azure.emulator.ca_bundle).parent)
    subprocess.run([sys.executable, "-m", "aml_emulator.cli", "reset", "--dir", folder], check=True)
    assert arm.call("GET", f"onlineEndpoints/{ENDPOINT}").status_code == 404


def aml_emulator_says(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "aml_emulator.cli", *arguments]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


def test_a_start_that_fails_says_why_in_one_line(tmp_path: Path, aml_emulator: RunningEmulator) -> None:
    port, own_folder = aml_emulator.arm_url.rsplit(":", 1)[1], Path(aml_emulator.ca_bundle).parent
    for arguments, text in (
        (("--dir", str(tmp_path), "--arm-port", port), "in use"),
        (("--dir", str(tmp_path), "--scoring-port", "65536"), "65535"),
        (("--dir", str(own_folder)), "another emulator uses"),
    ):
        code, said = aml_emulator_says("start", *arguments)
        assert code != 0
        assert text in said.splitlines()[-1], said
        assert "Traceback" not in said
    # The one that was there has lost nothing by it.
    assert RunningEmulator.from_file(own_folder / "ready.json") == aml_emulator
    assert aml_emulator.call("GET", "health")["status"] == "ok"


def test_an_emulator_that_was_killed_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator:
        os.kill(emulator.pid, signal.SIGKILL)
    assert (tmp_path / "ready.json").exists()
    for command in ("env", "reset"):
        for content in (None, "{", "{}"):
            if content is not None:
                (tmp_path / "ready.json").write_text(content)
            code, said = aml_emulator_says(command, "--dir", str(tmp_path))
            assert (code, said.splitlines()[-1].startswith("Error: no emulator runs in")) == (1, True), said
            assert "Traceback" not in said
    # Its folder is free again.
    with running_emulator(tmp_path) as emulator:
        code, said = aml_emulator_says("env", "--dir", str(tmp_path))
        assert (code, f"export AZUREML_DEV_URL_MFE={emulator.arm_url}" in said.splitlines()) == (0, True)


def test_a_killed_process_is_replaced_and_shown_in_the_logs(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue", count=2)
    azure.traffic(blue=100)
    before = azure.pids("blue")
    killed = azure.emulator.kill(ENDPOINT, "blue")["pid"]
    assert killed in before
    while len(azure.pids("blue")) < 2:
        assert azure.score().status_code == 200
    assert killed not in azure.pids("blue")
    logs = azure.client.online_deployments.get_logs("blue", ENDPOINT, lines=5)
    assert "Name: ContainerCrashed, Type: Warning" in logs


def test_a_crashed_process_is_replaced_also_when_the_deployment_could_not_grow(azure: Any, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"import os\ndef init():\n    assert not os.path.exists({str(flag)!r})\ndef run(data):\n    return 'up'\n"
    azure.create_endpoint()
    azure.deploy("blue", code=code, count=2)
    flag.touch()
    azure.emulator.kill(ENDPOINT, "blue")
    scaled = azure.client.online_deployments.begin_create_or_update(azure.deployment("blue", code=code, count=3))
    with pytest.raises(HttpResponseError, match="ResourceNotReady"):
        scaled.result()
    flag.unlink()
    while len(azure.pids("blue")) < 2:
        assert azure.score("blue").json() == "up"


def test_a_reset_takes_along_what_is_still_coming_up(azure: Any, tmp_path: Path) -> None:
    azure.create_endpoint()
    # Once init() runs, nothing that is deleted under it ends it.
    code = f"import os, pathlib, time\ndef init():\n    pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch()\n    time.sleep(600)\n"
    azure.client.online_deployments.begin_create_or_update(azure.deployment("blue", code=code + "def run(data):\n    pass\n", count=2))
    while len(list(tmp_path.iterdir())) < 2:
        pass
    everyone = family(azure.emulator.pid) - {azure.emulator.pid}
    assert {int(file.name) for file in tmp_path.iterdir()} < everyone
    handles = {pid: os.pidfd_open(pid) for pid in everyone}
    azure.emulator.reset()
    assert wait_until_all_end(everyone, handles) == set()


def test_a_start_takes_its_pace_and_names_from_the_command_line(tmp_path: Path, azure_of: Any) -> None:
    facts = tmp_path / "elsewhere.json"
    names = ("--subscription", "mine", "--resource-group", "my-group", "--workspace", "my-workspace")
    with running_emulator(tmp_path / "emulator", "--pace", "azure", "--ready-file", str(facts), *names) as emulator:
        assert RunningEmulator.from_file(facts) == emulator
        assert (emulator.subscription_id, emulator.resource_group, emulator.workspace) == ("mine", "my-group", "my-workspace")
        pace = emulator.call("GET", "pace")
        assert (pace["pace"], pace["transitions"]) == (
            "azure", {"endpoint.*": {"reads": 0, "seconds": 2.0}, "deployment.*": {"reads": 0, "seconds": 4.0}},
        )  # fmt: skip
        assert azure_of(emulator).client.workspaces.get("my-workspace").name == "my-workspace"
    assert not facts.exists()


def test_a_deployment_is_ready_when_its_processes_answer_and_not_before(azure: Any, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"import os, time\ndef init():\n    while not os.path.exists({str(flag)!r}):\n        time.sleep(0.01)\n"
    code += "def run(data):\n    return 'up'\n"
    azure.create_endpoint()
    deployments = azure.client.online_deployments
    coming = deployments.begin_create_or_update(azure.deployment("blue", code=code, count=2))
    everyone = family(azure.emulator.pid) - {azure.emulator.pid}
    while len(everyone) < 4:  # two masters, two workers, all of them alive and none of them ready
        everyone = family(azure.emulator.pid) - {azure.emulator.pid}
    assert deployments.get("blue", ENDPOINT).provisioning_state == "Creating"
    assert (coming.done(), azure.score("blue").status_code, azure.pids("blue")) == (False, 404, set())
    flag.touch()
    assert coming.result().provisioning_state == "Succeeded"
    assert (azure.score("blue").json(), len(azure.pids("blue"))) == ("up", 2)


def test_a_deployment_that_never_answers_its_probe_is_given_up(azure: Any) -> None:
    azure.create_endpoint()
    probe = ProbeSettings(initial_delay=1, period=1, failure_threshold=1)
    code = "import time\ndef init():\n    time.sleep(600)\ndef run(data):\n    pass\n"
    with pytest.raises(HttpResponseError) as failure:
        azure.deploy("blue", code=code, readiness_probe=probe)
    assert failure.value.error.code == "ResourceNotReady"
    assert "probe failed" in failure.value.error.message
    assert "ReadinessProbeFailed" in azure.client.online_deployments.get_logs("blue", ENDPOINT, lines=50)
    assert family(azure.emulator.pid) == {azure.emulator.pid}


def test_five_instances_come_up_side_by_side(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue", count=5)
    assert len(azure.pids("blue")) == 5


class Load:
    """Clients that keep asking, each on its own connection, and note what they got."""

    def __init__(self, azure: Any, clients: int):
        self.azure, self.stop = azure, threading.Event()
        self.results: Counter[tuple[int, str]] = Counter()
        self.bodies: set[bytes] = set()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def run(self) -> None:
        client = self.azure.keep_alive()
        # About a hundred requests a second each: steady, and leaving processors for what is being started.
        while not self.stop.wait(0.01):
            status, deployment, body = client.score()
            with self.lock:
                self.results[status, deployment] += 1
                self.bodies.add(body)


@contextmanager
def under_load(azure: Any, clients: int = 3) -> Iterator[Load]:
    load = Load(azure, clients)
    for thread in load.threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        for thread in load.threads:
            thread.join()


def test_no_request_is_lost_while_weights_sizes_and_deployments_change(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue", "v1", count=2)
    azure.traffic(blue=100)
    with under_load(azure) as load:
        azure.deploy("green", "v2", count=1)
        for green in (10, 50, 90, 100):
            azure.traffic(blue=100 - green, green=green)
        azure.deploy("green", "v2", count=2)
        azure.delete_deployment("blue")
        azure.deploy("green", "v1", count=2)
        azure.deploy("green", "v1", count=1)
        for _ in range(10):
            azure.client.online_endpoints.begin_create_or_update(azure.client.online_endpoints.get(ENDPOINT)).result()
    assert {status for status, _ in load.results} == {200}, load.results
    assert {deployment for _, deployment in load.results} == {"blue", "green"}
    assert {body.strip() for body in load.bodies} == {b"[38.5, 22.0]", b"[38.75, 22.25]"}
    assert sum(load.results.values()) > 200


@pytest.mark.parametrize("change", ["delete", "replace", "delete the endpoint"])
def test_requests_given_to_a_process_are_answered_before_it_is_stopped(azure: Any, change: str) -> None:
    azure.create_endpoint()
    # Three at a time in one process that works on one: two wait in its listen queue, where a SIGTERM would lose them.
    settings = {"max_concurrent_requests_per_instance": 3}
    azure.deploy("slow", "v2-slow", environment_variables={"SLOW_SECONDS": "0.7"}, request_settings=settings)
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(azure.score, "slow") for _ in range(3)]
        while [one["in_flight"] for one in azure.emulator.processes()] != [3]:
            pass
        if change == "delete":
            azure.delete_deployment("slow")
        elif change == "delete the endpoint":
            azure.client.online_endpoints.begin_delete(ENDPOINT).result()
        else:
            azure.deploy("slow", "v1", request_settings=settings)
        assert [one.result().status_code for one in asking] == [200, 200, 200]
    assert len(azure.pids("slow")) == (1 if change == "replace" else 0)
