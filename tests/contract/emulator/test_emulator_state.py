"""With `--state`, whoever talked to an emulator before its end goes on talking to the next one as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import HttpResponseError

from aml_emulator.process import EmulatorError, RunningEmulator, running_emulator

ENDPOINT = "canary"
# An operation that never ends is what some of these would look like if they failed.
pytestmark = pytest.mark.timeout(120)
# What the first start makes and the next ones keep.
LASTING = ("arm_url", "scoring_url", "client_secret", "cloud_name", "ca_bundle")


@pytest.fixture
def started(tmp_path: Path) -> Callable[[], Any]:
    return lambda: running_emulator(tmp_path / "dir", "--state", str(tmp_path / "state"))


def lasting(emulator: RunningEmulator) -> list[str]:
    return [getattr(emulator, name) for name in LASTING]


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_the_same_client_goes_on_after_a_restart(started: Any, azure_of: Any, end: str) -> None:
    with started() as emulator:
        azure = azure_of(emulator)
        azure.create_endpoint(tags={"git": "abc"})
        azure.deploy("blue", "v1", tags={"made": "by hand"})
        azure.deploy("green", "v2", count=2)
        azure.traffic(blue=90, green=10)
        before, authority = lasting(emulator), Path(emulator.ca_bundle).read_bytes()
        shown = azure.client.online_endpoints.get(ENDPOINT)
        if end == "killed":
            os.kill(emulator.pid, signal.SIGKILL)
    with started() as again:
        assert lasting(again) == before
        assert Path(again.ca_bundle).read_bytes() == authority
        # `azure` is as it was: the client with its token, the endpoint's key, the addresses.
        assert azure.score("blue").json() == [38.5, 22.0]
        assert azure.score("green").json() == [38.75, 22.25]
        assert len(azure.pids("green")) == 2
        assert azure.client.online_endpoints.get(ENDPOINT)._to_dict() == shown._to_dict()
        blue = azure.client.online_deployments.get("blue", ENDPOINT)
        assert (blue.tags, blue.provisioning_state) == ({"made": "by hand"}, "Succeeded")
        assert azure.client.models.get("weights", "1").version == "1"
        # What was uploaded is known by its content, so it is not uploaded again.
        again.requests.clear()
        azure.deploy("blue", "v1", count=2)
        assert [entry["operation"] for entry in again.requests.list() if entry["operation"].startswith("blob.put")] == []
        azure.deploy("blue", "v2")
        assert azure.score("blue").json() == [38.75, 22.25]
        azure.client.online_endpoints.begin_delete(ENDPOINT).result()
    with started():
        assert list(azure.client.online_endpoints.list()) == []


def test_what_was_under_way_has_failed_after_a_kill_and_changed_nothing(started: Any, azure_of: Any) -> None:
    with started() as emulator:
        azure = azure_of(emulator)
        azure.create_endpoint()
        azure.deploy("blue", "v1")
        azure.traffic(blue=100)
        emulator.pace({"deployment.create": {"seconds": 600}, "deployment.scale": {"seconds": 600}, "deployment.update": {"seconds": 600}})
        new = azure.client.online_deployments.begin_create_or_update(azure.deployment("green", "v2"))
        replaced = azure.client.online_deployments.begin_create_or_update(azure.deployment("blue", "v2"))
        os.kill(emulator.pid, signal.SIGKILL)
    with started():
        for poller in (new, replaced):
            with pytest.raises(HttpResponseError) as caught:
                poller.result()
            assert caught.value.error.code == "OperationCanceled"
        states = {one.name: one.provisioning_state for one in azure.client.online_deployments.list(ENDPOINT)}
        assert states == {"blue": "Failed", "green": "Failed"}
        assert azure.score().json() == [38.5, 22.0]
        # One that never came up can only be deleted; one that did can be asked for again.
        azure.delete_deployment("green")
        azure.deploy("blue", "v2")
        assert azure.score().json() == [38.75, 22.25]


def test_a_deployment_that_does_not_come_up_again_says_so_and_can_be_replaced(started: Any, azure_of: Any, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    code = f"import os\ndef init():\n    assert os.path.exists({str(flag)!r})\ndef run(data):\n    return 'up'\n"
    with started() as emulator:
        azure = azure_of(emulator)
        azure.create_endpoint()
        azure.deploy("blue", code=code)
    flag.unlink()
    with started():
        assert azure.client.online_deployments.get("blue", ENDPOINT).provisioning_state == "Failed"
        assert "AssertionError" in azure.client.online_deployments.get_logs("blue", ENDPOINT, lines=50)
        flag.touch()
        azure.deploy("blue", code=code)
        assert azure.score("blue").json() == "up"


def test_a_port_that_was_taken_meanwhile_is_replaced_and_one_that_was_asked_for_is_not(started: Any, tmp_path: Path) -> None:
    with started() as emulator:
        first = emulator
    with socket.create_server(("127.0.0.1", urlsplit(first.scoring_url).port or 0)), started() as emulator:
        assert emulator.arm_url == first.arm_url
        assert emulator.scoring_url != first.scoring_url
    port = urlsplit(first.arm_url).port or 0
    asked = ("--state", str(tmp_path / "state"), "--arm-port", str(port))
    with socket.create_server(("127.0.0.1", port)), pytest.raises(EmulatorError, match="in use"), running_emulator(tmp_path, *asked):
        pass


def test_a_state_that_is_in_use_or_cannot_be_read_is_refused(started: Any, tmp_path: Path) -> None:
    other = ("--state", str(tmp_path / "state"))
    with started(), pytest.raises(EmulatorError, match="another emulator uses"), running_emulator(tmp_path / "other", *other):
        pass
    file = tmp_path / "state" / "state.json"
    assert file.stat().st_mode & 0o077 == 0
    whole = file.read_text()
    for broken in ("{", json.dumps(json.loads(whole) | {"version": 0})):
        file.write_text(broken)
        with pytest.raises(EmulatorError, match="cannot be read"), running_emulator(tmp_path / "other", *other):
            pass


def test_a_reset_is_kept_as_well_and_without_state_each_start_is_empty(started: Any, azure_of: Any, tmp_path: Path) -> None:
    with started() as emulator:
        azure_of(emulator).create_endpoint()
    with started() as emulator:
        assert len(list(azure_of(emulator).client.online_endpoints.list())) == 1
        emulator.reset()
    with started() as emulator:
        assert list(azure_of(emulator).client.online_endpoints.list()) == []
    with running_emulator(tmp_path / "plain") as emulator:
        azure_of(emulator).create_endpoint()
        os.kill(emulator.pid, signal.SIGKILL)
    with running_emulator(tmp_path / "plain") as emulator:
        assert list(azure_of(emulator).client.online_endpoints.list()) == []


def test_a_kill_while_deployments_come_up_again_changes_nothing_either(started: Any, azure_of: Any, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    code = f"import os, time\ndef init():\n    while not os.path.exists({str(flag)!r}):\n        time.sleep(0.01)\n"
    code += "def run(data):\n    return 'up'\n"
    with started() as emulator:
        azure = azure_of(emulator)
        azure.create_endpoint()
        azure.deploy("blue", code=code)
        azure.traffic(blue=100)
        emulator.pace({"endpoint.update": {"seconds": 600}})
        azure.client.online_endpoints.begin_create_or_update(azure.client.online_endpoints.get(ENDPOINT))
        os.kill(emulator.pid, signal.SIGKILL)
    flag.unlink()
    arguments = ("--dir", str(tmp_path / "dir"), "--state", str(tmp_path / "state"), "--until-stdin-closes")
    with subprocess.Popen([sys.executable, "-m", "aml_emulator.cli", "start", *arguments], stdin=subprocess.PIPE) as child:
        while not answers(emulator):
            assert child.poll() is None
        [blue] = azure.client.online_deployments.list(ENDPOINT)
        assert blue.provisioning_state == "Updating"
        # The change of the endpoint that was under way has failed, and may be asked for again.
        assert azure.client.online_endpoints.get(ENDPOINT).provisioning_state == "Failed"
        azure.traffic(blue=100)
        child.kill()
    flag.touch()
    with started():
        assert azure.client.online_deployments.get("blue", ENDPOINT).provisioning_state == "Succeeded"
        assert azure.client.online_endpoints.get(ENDPOINT).provisioning_state == "Succeeded"
        assert azure.score().json() == "up"


def answers(emulator: RunningEmulator) -> bool:
    try:
        return emulator.call("GET", "health")["status"] == "ok"
    except OSError:
        return False
