"""The installed program against an emulator: it looks, and never writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from aml_canary.domain.observed import Facts
from aml_canary.gateways import azureml
from tests.contract.azure_world import COMMIT, NAME, ROOT, endpoint

PROGRAM = Path(sys.executable).parent / "aml-canary"
CHURN = "examples/manifests/churn.canary.yml"


def cli(installation: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": installation["AML_CANARY_HOME"], **installation}
    found = subprocess.run([PROGRAM, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" not in found.stderr, found.stderr
    return found


def writes(emulator) -> list[str]:
    return [r["operation"] for r in emulator.requests.list() if r["method"] in ("PUT", "PATCH", "DELETE")]


def test_a_plan_against_azure_shows_what_is_left_and_writes_nothing(emulator, installation):
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    emulator.requests.clear()
    found = cli(installation, "plan", CHURN, "--format", "json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["steps"][0]["step"] == "create-blue"
    assert writes(emulator) == []
    azureml.delete_endpoint(NAME)
    assert "Endpoint churn does not exist yet." in cli(installation, "plan", CHURN).stdout


def test_a_bad_manifest_never_reaches_azure(emulator, installation, tmp_path):
    (tmp_path / "bad.canary.yml").write_text("endpoint:\n  name: churn\n  traffic: {blue: 12}\ndeployments:\n  blue: {}\n")
    found = cli(installation, "plan", tmp_path / "bad.canary.yml")
    assert found.returncode == 1
    assert "bad.canary.yml:3: error: endpoint.traffic: the weights total 12, not 100 [traffic-total]" in found.stderr
    assert emulator.requests.list() == []


def test_azures_own_words_reach_the_terminal(emulator, installation):
    emulator.faults.add("endpoint.get", status=403, code="AuthorizationFailed", message="No right to read.", count=None)
    found = cli(installation, "plan", CHURN)
    assert found.returncode == 1
    assert "HTTP 403 (AuthorizationFailed) No right to read." in found.stderr


def test_status_says_so_when_prefect_does_not_answer(emulator, installation):
    found = cli({**installation, "PREFECT_API_URL": "http://127.0.0.1:9/api"}, "status")
    assert found.returncode == 1
    assert "Prefect's API did not answer" in found.stderr


def test_which_cloud_is_spoken_to_is_said_by_the_settings_alone(emulator, installation):
    """Azure's SDK cannot even be imported where this variable names a cloud that it does not know."""
    elsewhere = {**installation, "AZUREML_CURRENT_CLOUD": "SomebodyElses"}
    assert "Endpoint churn does not exist yet." in cli(elsewhere, "plan", CHURN).stdout
    assert f"azure: workspace {installation['AML_CANARY_WORKSPACE']} in " in cli(elsewhere, "doctor").stdout
    # As a flow's process begins.
    program = "from flows.__main__ import import_all; import_all(); from aml_canary.gateways import azureml; print(azureml.glance('churn'))"
    env = {"PATH": os.environ["PATH"], **elsewhere}
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert "name='churn', exists=False" in run.stdout, run.stderr


def test_a_cloud_that_azures_sdk_does_not_know_is_told_with_the_setting(installation):
    # Where it asks for clouds that it does not know.
    unknown = {**installation, "AML_CANARY_CLOUD_NAME": "MoonCloud", "ARM_CLOUD_METADATA_URL": "http://127.0.0.1:9/metadata"}
    del unknown["AML_CANARY_CLOUD_METADATA"]
    for command in (("plan", CHURN), ("doctor",)):
        found = cli(unknown, *command)
        assert found.returncode == 1
        assert "AML_CANARY_CLOUD_NAME is MoonCloud, and Azure's SDK says: Unknown cloud" in " ".join((found.stdout + found.stderr).split())
