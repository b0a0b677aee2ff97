"""The powers of a test: what it can make the emulator do, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

from aml_emulator.process import EmulatorError, RunningEmulator

ENDPOINT = "canary"


def test_a_status_is_answered_as_often_as_asked_for(arm: Any) -> None:
    headers = {"Retry-After": "7"}
    arm.emulator.faults.add("endpoint.put", status=429, code="TooManyRequests", message="slow down", headers=headers, count=2)
    answers = [arm.put_endpoint() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 201]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].json()["error"]["message"] == "slow down"
    assert [entry["status"] for entry in arm.emulator.requests.list("endpoint.put")] == [429, 429, 201]


def test_a_fault_can_be_aimed_at_one_resource_and_at_a_family_of_operations(arm: Any) -> None:
    arm.emulator.faults.add("endpoint.*", name="Other", status=503, count=None)
    assert arm.put_endpoint("canary").status_code == 201
    assert [arm.put_endpoint("other").status_code, arm.call("GET", "onlineEndpoints/other").status_code] == [503, 503]
    arm.emulator.faults.clear()
    assert arm.put_endpoint("other").status_code == 201


def test_the_sdk_waits_out_a_503(azure: Any) -> None:
    azure.emulator.faults.add("endpoint.put", status=503, count=2)
    assert azure.create_endpoint().provisioning_state == "Succeeded"


def test_a_reset_breaks_the_connection_before_any_answer(arm: Any, aml_emulator: RunningEmulator) -> None:
    aml_emulator.faults.add("endpoint.get", reset=True, count=None)
    client = aml_emulator.ml_client(retry_total=0)
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        client.online_endpoints.get(ENDPOINT)
    with pytest.raises(requests.ConnectionError):
        arm.call("GET", f"onlineEndpoints/{ENDPOINT}")
    assert {entry["status"] for entry in aml_emulator.requests.list("endpoint.get")} == {0}


def test_an_operation_can_end_failed(azure: Any) -> None:
    azure.create_endpoint(tags={"step": "1"})
    azure.emulator.faults.add("endpoint.put", operation={"code": "OutOfQuota", "message": "no more cores"})
    with pytest.raises(HttpResponseError) as failure:
        azure.create_endpoint(tags={"step": "2"})
    assert (failure.value.status_code, failure.value.error.code, failure.value.error.message) == (200, "OutOfQuota", "no more cores")
    shown = azure.client.online_endpoints.get(ENDPOINT)
    assert (shown.provisioning_state, shown.tags) == ("Failed", {"step": "1"})


def test_an_operation_can_never_end(azure: Any, arm: Any) -> None:
    azure.create_endpoint()
    azure.emulator.faults.add("endpoint.put", operation="never_ends")
    changed = arm.put_endpoint(tags={"never": "seen"})
    states = [arm.session.get(changed.headers["Azure-AsyncOperation"], timeout=30).json()["status"] for _ in range(3)]
    assert states == ["Updating"] * 3
    assert arm.put_endpoint().status_code == 409


def test_reads_after_a_write_can_be_stale(azure: Any) -> None:
    azure.create_endpoint(tags={"step": "1"})
    azure.emulator.faults.add("endpoint.put", stale_reads=3)
    azure.create_endpoint(tags={"step": "2"})
    # Creating reads the endpoint once itself, at the end of its operation; fetching keys once more.
    reads = [azure.client.online_endpoints.get(ENDPOINT).tags["step"] for _ in range(2)]
    assert reads == ["1", "2"]
    stale = [entry for entry in azure.emulator.requests.list("endpoint.get") if entry.get("stale")]
    assert len(stale) == 3


def test_a_delay_holds_the_answer_back(arm: Any) -> None:
    arm.emulator.faults.add("workspace.get", delay=30)
    with pytest.raises(requests.Timeout):
        arm.session.get(f"{arm.emulator.arm_url}{arm.workspace}", timeout=0.5)
    assert arm.session.get(f"{arm.emulator.arm_url}{arm.workspace}", timeout=30).status_code == 200


def test_scoring_can_be_faulted_too(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue")
    azure.traffic(blue=100)
    azure.emulator.faults.add("score", name="blue", status=500, message="infrastructure", headers={"X-Why": "test"})
    azure.emulator.faults.add("score", name="blue", reset=True)
    first = azure.score()
    assert (first.status_code, first.text, first.headers["x-why"]) == (500, "infrastructure", "test")
    with pytest.raises(requests.ConnectionError):
        azure.score()
    assert azure.score().status_code == 200


def pattern(arm: Any, **fault: Any) -> list[int]:
    """Which of 40 requests are hit, with other traffic in between."""
    arm.emulator.faults.add("workspace.get", status=503, count=None, probability=0.3)
    arm.emulator.faults.add("endpoint.get", status=500, count=None, probability=0.5, **fault)
    hit = []
    for number in range(40):
        if number % 3 == 0:
            arm.session.get(f"{arm.emulator.arm_url}{arm.workspace}", timeout=30)
        hit.append(arm.call("GET", "onlineEndpoints/nobody").status_code)
    arm.emulator.faults.clear()
    return hit


def test_a_probability_is_seeded_and_between_never_and_always(arm: Any) -> None:
    first = pattern(arm, seed=7)
    assert set(first) == {404, 500}
    assert pattern(arm, seed=7) == first
    assert pattern(arm, seed=8) != first
    assert pattern(arm) == pattern(arm, seed=0)


def test_a_scoring_process_can_be_killed_by_the_requests_that_a_fault_hits(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue", count=2)
    azure.traffic(blue=100)
    for on in ("score", "deployment.get"):
        before = azure.pids("blue")
        fault = azure.emulator.faults.add(on, name="blue", kill=True)
        azure.score()
        azure.client.online_deployments.get("blue", ENDPOINT)
        [used] = [one for one in azure.emulator.faults.list() if one["id"] == fault["id"]]
        assert (used["hits"], used["kill"]) == (1, True)
        while len(azure.pids("blue") - before) != 1 or len(azure.pids("blue")) != 2:
            pass
    assert azure.client.online_deployments.get_logs("blue", ENDPOINT, lines=5).count("Name: ContainerCrashed") == 2
    assert azure.score().status_code == 200


def test_scoring_can_be_held_back_and_told_when_to_come_again(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue")
    azure.emulator.faults.add("score", name="blue", delay=30)
    headers = {"Authorization": f"Bearer {azure.key}", "azureml-model-deployment": "blue"}
    with pytest.raises(requests.Timeout):
        requests.post(f"{azure.emulator.scoring_url}/{ENDPOINT}/score", json={}, headers=headers, timeout=0.5)
    azure.emulator.faults.add("score", status=429, headers={"Retry-After": "3"})
    refused = azure.score("blue")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3")
    assert azure.score("blue").status_code == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "must name an operation"),
        ({"on": "endpoint.put", "colour": "red"}, "unknown field 'colour'"),
        ({"on": "endpoint.put", "operation": "sometimes"}, "never_ends"),
        ({"on": "endpoint.put", "status": "many"}, "many"),
        ({"on": "endpoint.put", "status": 9999}, "from 200 to 599"),
        ({"on": "endpoints.put"}, "no operation matches 'endpoints.put'"),
        ({"on": "endpoint.get", "operation": "never_ends"}, "are for writes"),
        ({"on": "score", "stale_reads": 1}, "are for writes"),
        ({"on": "workspace.get", "kill": True}, "is for score"),
        ({"on": "endpoint.put", "stale_reads": -1}, "stale_reads.* must be"),
        ({"on": "endpoint.put", "count": "many"}, "count.* must be"),
        ({"on": "endpoint.put", "count": 0}, "count.* must be"),
        ({"on": "endpoint.put", "name": 5}, "name.* must be"),
        ({"on": "endpoint.put", "delay": -1}, "delay.* must be"),
        ({"on": "endpoint.put", "delay": float("nan")}, "delay.* must be"),
        ({"on": "endpoint.put", "probability": 1.5}, "probability.* must be"),
        ({"on": "endpoint.put", "seed": 0.5}, "seed.* must be"),
        ({"on": "endpoint.put", "headers": {"a": "b\r\nc: d"}}, "no header"),
        ({"on": "endpoint.put", "headers": {"a b": "c"}}, "no header"),
        ({"on": "endpoint.put", "headers": {"a": "\u043a"}}, "no header"),
    ],
)
def test_a_fault_that_cannot_be_understood_is_refused(aml_emulator: RunningEmulator, body: Any, text: str) -> None:
    with pytest.raises(EmulatorError, match=text):
        aml_emulator.call("POST", "faults", body)


def test_the_request_log_holds_bodies_and_order_and_no_secrets_of_tokens(arm: Any) -> None:
    arm.emulator.requests.clear()
    arm.put_endpoint(tags={"git": "abc"})
    arm.call("GET", f"onlineEndpoints/{ENDPOINT}")
    put, get = arm.emulator.requests.list()
    assert (put["operation"], put["method"], put["status"], put["body"]["tags"]) == ("endpoint.put", "PUT", 201, {"git": "abc"})
    assert (get["operation"], get["seq"]) == ("endpoint.get", put["seq"] + 1)
    assert arm.emulator.requests.list(since=put["seq"]) == [get]


def test_the_logs_keep_little_of_what_is_large(arm: Any) -> None:
    arm.emulator.requests.clear()
    large = {"location": "eastus", "properties": {}, "tags": {"a": "x" * 100_000}}
    assert arm.call("PUT", "onlineEndpoints/large", large).status_code == 400
    arm.call("GET", "onlineEndpoints/" + "x" * 30_000)
    put, get = arm.emulator.requests.list()
    assert (put["body"], put["body_bytes"] > 100_000, len(get["path"])) == (None, True, 1000)
    arm.put_endpoint()
    requests.get(f"{arm.emulator.scoring_url}/{ENDPOINT}/" + "x" * 30_000, timeout=30)
    newest = arm.emulator.call("GET", "scoring-log")["requests"][-1]
    assert (newest["status"], len(newest["path"])) == (401, 1001)


def test_a_foreign_write_right_before_ours_is_overwritten_by_it(azure: Any) -> None:
    azure.create_endpoint(tags={"step": "1"})
    azure.emulator.faults.add("endpoint.put", foreign_write={"tags": {"step": "theirs"}, "description": "theirs"})
    azure.create_endpoint(tags={"step": "2"})
    shown = azure.client.online_endpoints.get(ENDPOINT)
    assert (shown.tags, shown.description) == ({"step": "2"}, None)
    theirs, ours = azure.emulator.requests.list("endpoint.put")[-2:]
    assert (theirs["foreign"], theirs["status"], theirs["body"]["tags"], ours["status"]) == (True, 200, {"step": "theirs"}, 200)


def test_a_foreign_write_after_a_read_is_lost_when_the_reader_writes_back(azure: Any) -> None:
    azure.create_endpoint(tags={"step": "1"})
    azure.emulator.faults.add("endpoint.get", foreign_write={"when": "after", "tags": {"step": "theirs"}})
    read = azure.client.online_endpoints.get(ENDPOINT)
    assert read.tags == {"step": "1"}
    assert azure.client.online_endpoints.get(ENDPOINT).tags == {"step": "theirs"}
    azure.client.online_endpoints.begin_create_or_update(read).result()
    assert azure.client.online_endpoints.get(ENDPOINT).tags == {"step": "1"}


def test_a_foreign_write_after_a_write_comes_when_that_has_ended(azure: Any, arm: Any) -> None:
    azure.create_endpoint(tags={"step": "1"})
    azure.emulator.pace({"endpoint.update": {"reads": 1}})
    azure.emulator.faults.add("endpoint.put", foreign_write={"when": "after", "tags": {"step": "theirs"}})
    ours = arm.put_endpoint(tags={"step": "2"})
    assert [entry.get("foreign") for entry in azure.emulator.requests.list("endpoint.put")][-1] is None
    azure.emulator.pace({"endpoint.update": "at_once"})
    while arm.session.get(ours.headers["Azure-AsyncOperation"], timeout=30).json()["status"] == "Updating":
        pass
    while not azure.emulator.requests.list("endpoint.put")[-1].get("foreign"):
        pass
    assert arm.call("GET", f"onlineEndpoints/{ENDPOINT}").json()["tags"] == {"step": "theirs"}


def test_a_foreign_write_obeys_azures_rules_as_anybodys(azure: Any) -> None:
    azure.create_endpoint()
    azure.emulator.faults.add("endpoint.put", foreign_write={"traffic": {"nobody": 100}})
    azure.create_endpoint(tags={"ours": "stands"})
    assert [entry["status"] for entry in azure.emulator.requests.list("endpoint.put")] == [201, 400, 200]
    with pytest.raises(EmulatorError, match="foreign_write"):
        azure.emulator.faults.add("endpoint.put", foreign_write={"when": "whenever"})


@pytest.mark.parametrize(
    "body",
    [
        {"transitions": {"endpoint.*": {"seconds": float("nan")}}},
        {"transitions": {"endpoint.*": {"seconds": -1}}},
        {"transitions": {"endpoint.*": {"reads": -1}}},
        {"transitions": {"endpoint.*": {"reads": float("inf")}}},
        {"metrics_lag": float("inf")},
        {"metrics_lag": -1},
    ],
)
def test_a_pace_that_could_not_be_kept_is_refused(aml_emulator: RunningEmulator, body: Any) -> None:
    before = aml_emulator.call("GET", "pace")
    with pytest.raises(EmulatorError, match="BadPace"):
        aml_emulator.call("POST", "pace", body)
    assert aml_emulator.call("GET", "pace") == before
