"""Endpoints and deployments from nothing to nothing, through Microsoft's client: one write for a change, none where nothing changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import requests
from azure.ai.ml.entities import Model

from aml_canary.domain.manifest import Probe, RequestSettings
from aml_canary.domain.observed import Facts
from aml_canary.errors import ForeignChange, Permanent
from aml_canary.gateways import azureml
from aml_canary.gateways.azureml.client import client
from tests.contract.azure_world import COMMIT, NAME, ROOT, create, deployment, endpoint, last_body, written


def test_an_endpoint_is_created_without_the_traffic_its_manifest_wants_one_day(emulator):
    azureml.create_endpoint(endpoint(traffic={"blue": 100}, mirror_traffic={"green": 10}, tags={"team": "research"}), Facts(commit=COMMIT))
    body = last_body(emulator, "endpoint.put")
    assert (body["properties"]["traffic"], body["properties"]["mirrorTraffic"]) == ({}, {})
    live = azureml.observe(NAME)
    assert (live.exists, live.state, live.auth_mode, live.traffic, live.facts.commit) == (True, "Succeeded", "key", {}, COMMIT)
    assert client().online_endpoints.get(NAME).tags["team"] == "research"


@pytest.mark.parametrize("mode", ["key", "aml_token"])
def test_an_authentication_mode_comes_back_as_the_manifest_spells_it(emulator, mode):
    azureml.create_endpoint(endpoint(auth_mode=mode), Facts(commit=COMMIT))
    assert azureml.observe(NAME).auth_mode == mode
    assert azureml.scoring_access(NAME)


def test_creating_an_endpoint_once_more_writes_nothing(emulator):
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    emulator.requests.clear()
    azureml.create_endpoint(endpoint(description="changed"), Facts(commit=COMMIT))
    assert written(emulator) == []


def test_what_is_not_there_is_observed_as_absent(emulator):
    live = azureml.observe("nowhere")
    assert (live.name, live.exists, live.deployments) == ("nowhere", False, {})


def test_the_workspaces_endpoints_are_listed_by_name(emulator):
    assert azureml.endpoint_names() == ()
    for name in ("zebra", "aardvark"):
        azureml.create_endpoint(endpoint().model_copy(update={"name": name}), Facts(commit=COMMIT))
    assert azureml.endpoint_names() == ("aardvark", "zebra")


def test_deleting_an_endpoint_is_one_write_and_none_the_second_time(emulator):
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    emulator.requests.clear()
    azureml.delete_endpoint(NAME)
    assert azureml.observe(NAME).exists is False
    azureml.delete_endpoint(NAME)
    assert written(emulator) == ["endpoint.delete"]


def test_a_deployment_from_its_creation_to_its_end(emulator, tmp_path: Path):
    """One life in one test, because each creation starts real processes."""
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    emulator.requests.clear()
    settings = RequestSettings(request_timeout_ms=2750, max_concurrent_requests_per_instance=3, max_queue_wait_ms=1250)
    blue = create("blue", request_settings=settings, readiness_probe=Probe(initial_delay=1, period=1), tags={"cost": "7"})
    assert written(emulator) == ["deployment.put"]

    there = azureml.observe(NAME).deployments["blue"]
    assert (there.healthy, there.instance_count, there.instance_type, there.fingerprint) == (True, 1, "Standard_F2s_v2", "v1")
    assert there.created_at
    # The SDK names a model of files after their content.
    assert there.model is not None
    assert there.model.endswith(":1")

    # A second try after a lost answer.
    emulator.requests.clear()
    azureml.create_deployment(NAME, blue, "v1", COMMIT, ROOT)
    assert written(emulator) == []

    # Somebody else's tags, and a checkout at another place: what runs stays as it is.
    before = on_the_wire(emulator)
    on_the_wire(emulator, "PATCH", json={"tags": {**before["tags"], "policy": "audited"}})
    azureml.observe(NAME)
    elsewhere = tmp_path / "another" / "checkout"
    shutil.copytree(ROOT / "examples" / "models", elsewhere / "examples" / "models", ignore=shutil.ignore_patterns("__pycache__"))
    pids = {one["pid"] for one in emulator.processes()}
    emulator.requests.clear()
    scaled = blue.model_copy(update={"instance_count": 2})
    azureml.scale_deployment(NAME, scaled, "v1", "another commit", elsewhere)
    assert written(emulator) == ["deployment.put"]
    assert azureml.observe(NAME).deployments["blue"].instance_count == 2
    assert azureml.observe(NAME).deployments["blue"].identity == there.identity
    assert pids < {one["pid"] for one in emulator.processes()}
    now = on_the_wire(emulator)
    assert what_runs(now) == what_runs(before)
    assert now["properties"]["requestSettings"]["requestTimeout"] == "PT2.75S"
    assert now["properties"]["requestSettings"]["maxQueueWait"] == "PT1.25S"
    ours = {"aml-canary.commit": "another commit", "aml-canary.instances": "2"}
    assert now["tags"] == {**before["tags"], "policy": "audited", **ours}
    assert azureml.observe(NAME).deployments["blue"].applied_count == 2

    # Once more, after a lost answer; and when Azure shows the old count for a while.
    emulator.requests.clear()
    azureml.scale_deployment(NAME, scaled, "v1", COMMIT, ROOT)
    assert written(emulator) == []
    emulator.faults.add("deployment.put", stale_reads=4)
    azureml.scale_deployment(NAME, blue, "v1", COMMIT, ROOT)
    assert written(emulator) == ["deployment.put"]
    assert client().online_deployments.get("blue", NAME).instance_count == 1

    # What it runs is never changed: not by scaling, not by creating over it.
    emulator.requests.clear()
    with pytest.raises(ForeignChange, match="runs something else than the manifest says"):
        azureml.scale_deployment(NAME, deployment("blue", "v2", instance_count=3), "v2", COMMIT, ROOT)
    with pytest.raises(ForeignChange, match="another one of that name appeared meanwhile"):
        azureml.create_deployment(NAME, deployment("blue", "v2"), "v2", COMMIT, ROOT)
    assert written(emulator) == []

    azureml.delete_deployment(NAME, "blue")
    azureml.delete_deployment(NAME, "blue")
    assert written(emulator) == ["deployment.delete"]
    assert azureml.observe(NAME).deployments == {}
    with pytest.raises(ForeignChange, match="it is gone"):
        azureml.scale_deployment(NAME, scaled, "v1", COMMIT, ROOT)


def on_the_wire(emulator, method="GET", **options):
    """Blue, without the SDK in between."""
    token = emulator.credential().get_token("https://management.azure.com/.default").token
    url = (
        f"{emulator.arm_url}/subscriptions/{emulator.subscription_id}/resourceGroups/{emulator.resource_group}/providers"
        f"/Microsoft.MachineLearningServices/workspaces/{emulator.workspace}/onlineEndpoints/{NAME}/deployments/blue?api-version=2023-04-01"
    )
    headers = {"Authorization": f"Bearer {token}"}
    response = requests.request(method, url, headers=headers, verify=emulator.ca_bundle, timeout=30, **options)
    assert response.status_code < 300, response.text
    return response.json()


def what_runs(body):
    return {key: body["properties"][key] for key in ("model", "codeConfiguration", "environmentId", "requestSettings", "readinessProbe")}


def test_a_container_that_crashes_is_permanent_with_the_tail_of_its_log(emulator):
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    with pytest.raises(Permanent) as failure:
        create("green", "v2-crash")
    text = str(failure.value)
    assert text.startswith("Azure failed to create deployment green of churn: (")
    assert "The last lines of the container's log:" in text
    assert "RuntimeError: cannot load the model: unsupported format version 7" in text
    # A second try finds the wreck, does not touch it, and says the same.
    emulator.requests.clear()
    with pytest.raises(Permanent, match=r"it is Failed\.(?s:.*)unsupported format version 7"):
        create("green", "v2-crash")
    assert written(emulator) == []
    assert azureml.observe(NAME).deployments["green"].healthy is False
    azureml.delete_deployment(NAME, "green")
    assert azureml.observe(NAME).deployments == {}


def test_a_log_that_cannot_be_read_does_not_hide_why_a_deployment_failed(emulator):
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    emulator.faults.add("deployment.put", operation={"code": "OutOfQuota", "message": "Not enough cores."})
    emulator.faults.add("deployment.get_logs", status=500)
    with pytest.raises(Permanent, match=r"\(OutOfQuota\) Not enough cores\.(?s:.*)the log could not be read: HttpResponseError"):
        create("blue")


def test_what_the_sdk_itself_refuses_is_permanent(emulator):
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    with pytest.raises(Permanent, match="refused to create deployment blue"):
        create("blue", model={"path": "examples/models/no-such-folder"})
    assert "deployment.put" not in written(emulator)


def test_a_deployment_that_is_being_created_is_observed_once_that_is_done(emulator):
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    emulator.pace({"deployment.create": {"reads": 6}})
    create("blue")
    emulator.pace({"deployment.delete": {"seconds": 0.5}})
    client().online_deployments.begin_delete("blue", NAME)
    assert azureml.observe(NAME).deployments == {}


def test_a_registered_model_is_observed_by_name_and_version(emulator):
    client().models.create_or_update(Model(name="weights", version="3", path=str(ROOT / "examples" / "models" / "model")))
    azureml.create_endpoint(endpoint(), Facts(commit=COMMIT))
    create("blue", model="azureml:weights:3")
    assert azureml.observe(NAME).deployments["blue"].model == "weights:3"
