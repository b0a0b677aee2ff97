"""A rollout from the first endpoint to the last delete, with Microsoft's unmodified client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml.entities import Environment
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from aml_emulator.process import RunningEmulator

ENDPOINT, V1, V2 = "canary", [38.5, 22.0], [38.75, 22.25]


def test_a_blue_green_rollout_goes_from_first_endpoint_to_last_delete(azure: Any, tmp_path: Path) -> None:
    sample = tmp_path / "sample-request.json"
    sample.write_text(json.dumps({"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}))
    endpoints, deployments = azure.client.online_endpoints, azure.client.online_deployments

    created = azure.create_endpoint(tags={"git": "abc"}, description="for the canary")
    assert (created.provisioning_state, created.tags, created.traffic) == ("Succeeded", {"git": "abc"}, {})
    assert created.scoring_uri == f"{azure.emulator.scoring_url}/{ENDPOINT}/score"
    assert created.identity.type == "system_assigned"

    blue = azure.deploy("blue", "v1")
    assert (blue.provisioning_state, blue.instance_count, blue.instance_type) == ("Succeeded", 1, "Standard_DS3_v2")
    azure.traffic(blue=100)
    assert json.loads(endpoints.invoke(ENDPOINT, request_file=str(sample))) == V1

    azure.deploy("green", "v2")
    assert endpoints.get(ENDPOINT).traffic == {"blue": 100, "green": 0}
    assert azure.score("green").json() == V2
    assert azure.score().json() == V1

    azure.traffic(blue=0, green=100)
    assert azure.score().json() == V2
    assert {one.name for one in deployments.list(ENDPOINT)} == {"blue", "green"}
    assert [one.name for one in endpoints.list()] == [ENDPOINT]

    azure.delete_deployment("blue")
    assert [one.name for one in deployments.list(ENDPOINT)] == ["green"]
    assert azure.score().json() == V2
    with pytest.raises(ResourceNotFoundError):
        deployments.get("blue", ENDPOINT)

    endpoints.begin_delete(ENDPOINT).result()
    with pytest.raises(ResourceNotFoundError):
        endpoints.get(ENDPOINT)
    assert azure.emulator.processes() == []


def test_the_same_code_model_and_environment_start_nothing_new(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue")
    pids, seen = azure.pids("blue"), azure.emulator.requests.list()[-1]["seq"]
    azure.deploy("blue")
    assert azure.pids("blue") == pids
    # The code is found by its hash under the name of the first upload, so nothing is sent again.
    sent = [entry["path"] for entry in azure.emulator.requests.list("blob.put", since=seen)]
    assert [path for path in sent if "score.py" in path] == []
    assert azure.emulator.requests.list("code.start_pending_upload", since=seen) == []


def test_scaling_keeps_the_processes_that_run(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue")
    one = azure.pids("blue")
    assert azure.deploy("blue", count=3).instance_count == 3
    three = azure.pids("blue")
    assert len(three) == 3
    assert one < three
    azure.deploy("blue", count=2)
    assert len(azure.pids("blue")) == 2
    assert azure.pids("blue") < three


def test_new_code_replaces_the_processes_and_the_answers(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue", "v1")
    azure.traffic(blue=100)
    before = azure.pids("blue")
    azure.deploy("blue", "v2")
    assert not azure.pids("blue") & before
    assert azure.score().json() == V2


def test_a_deployment_whose_init_fails_ends_failed_with_its_log_and_cannot_be_mended(azure: Any) -> None:
    azure.create_endpoint()
    with pytest.raises(HttpResponseError) as failure:
        azure.deploy("bad", "v2-crash")
    assert failure.value.error.code == "ResourceNotReady"
    assert "User container has crashed or terminated" in failure.value.error.message
    deployments = azure.client.online_deployments
    assert deployments.get("bad", ENDPOINT).provisioning_state == "Failed"
    assert "unsupported format version 7" in deployments.get_logs("bad", ENDPOINT, lines=100)
    with pytest.raises(HttpResponseError) as refusal:
        azure.deploy("bad", "v1")
    assert "[bad] failed during initial provisioning and is in an unrecoverable state. Delete and re-create." in str(refusal.value)
    azure.delete_deployment("bad")
    assert azure.deploy("bad", "v1").provisioning_state == "Succeeded"


def test_a_failed_update_leaves_the_old_version_serving(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue", "v1")
    azure.traffic(blue=100)
    with pytest.raises(HttpResponseError) as failure:
        azure.deploy("blue", "v2-crash")
    assert failure.value.error.code == "ResourceNotReady"
    assert azure.client.online_deployments.get("blue", ENDPOINT).provisioning_state == "Failed"
    assert azure.score().json() == V1
    assert "unsupported format version 7" in azure.client.online_deployments.get_logs("blue", ENDPOINT, lines=100)
    azure.deploy("blue", "v2")
    assert azure.score().json() == V2


def test_an_endpoint_built_anew_and_put_over_a_live_one_takes_its_traffic_away(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue")
    azure.traffic(blue=100)
    azure.create_endpoint(tags={"only": "tags"})
    assert azure.client.online_endpoints.get(ENDPOINT).traffic == {"blue": 0}
    refused = azure.score()
    assert (refused.status_code, refused.text) == (404, "No valid deployments to route to")


def test_deleting_an_endpoint_takes_its_deployments_along_and_twice_is_fine(azure: Any, arm: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue", count=2)
    azure.traffic(blue=100)
    azure.client.online_endpoints.begin_delete(ENDPOINT).result()
    assert azure.emulator.processes() == []
    assert arm.call("DELETE", f"onlineEndpoints/{ENDPOINT}").status_code == 204
    azure.client.online_endpoints.begin_delete(ENDPOINT).result()


def test_an_environment_is_found_by_its_label(azure: Any) -> None:
    conda = azure.deployment("x").environment.conda_file
    for version in ("3", "7"):
        asset = Environment(name="inference", version=version, image="mcr.example/azureml/minimal", conda_file=conda)
        azure.client.environments.create_or_update(asset)
    found = azure.client.environments.get("inference", label="latest")
    assert (found.version, found.conda_file) == ("7", conda)
    azure.create_endpoint()
    entity = azure.deployment("blue")
    entity.environment = "inference@latest"
    blue = azure.client.online_deployments.begin_create_or_update(entity).result()
    assert blue.environment.endswith("/environments/inference/versions/7")


def test_a_reset_leaves_nothing(azure: Any, aml_emulator: RunningEmulator) -> None:
    azure.create_endpoint()
    azure.deploy("blue")
    aml_emulator.faults.add("endpoint.get", status=500)
    aml_emulator.reset()
    assert list(azure.client.online_endpoints.list()) == []
    assert list(azure.client.models.list()) == []
    assert (aml_emulator.processes(), aml_emulator.faults.list()) == ([], [])
