"""What Azure refuses, in Azure's words: each rule of endpoints and deployments, through the wire as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceExistsError

ENDPOINT = "canary"


def rule(response: requests.Response) -> str:
    """The sentence inside Azure's wrapping of a broken rule."""
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["code"], error["message"]) == ("BadRequest", "The request is invalid.")
    assert {"type": "ComponentName", "info": {"value": "managementfrontend"}} in error["additionalInfo"]
    [detail] = error["details"]
    inner = json.loads(detail["message"])
    assert (detail["code"], inner["title"]) == ("InferencingClientCallFailed", "One or more validation errors occurred.")
    [text] = inner["errors"][""]
    return str(text)


def body_of(served: Any, name: str) -> dict[str, Any]:
    """The body that would put a deployment of the shared endpoint again."""
    arm = served.arm
    shown = arm.call("GET", f"onlineEndpoints/{ENDPOINT}/deployments/{name}").json()
    properties = {k: v for k, v in shown["properties"].items() if k != "provisioningState"}
    return {"location": "eastus", "properties": properties, "sku": shown["sku"], "tags": {}}


@pytest.fixture(scope="module")
def shared(served: Any, session_arm: Any) -> Any:
    served.arm = session_arm
    return served


@pytest.mark.parametrize(
    ("traffic", "text"),
    [
        ({"blue": 90}, "Traffic values need to sum to 100. The sum is 90."),
        ({"blue": 90, "green": 20}, "Traffic values need to sum to 100. The sum is 110."),
        ({"blue": 90, "purple": 10}, "Traffic is set for deployment [purple], but there is no such deployment in the endpoint."),
        ({"blue": 99.5, "green": 0.5}, "Traffic value [99.5] of deployment [blue] must be a whole number between 0 and 100."),
        ({"blue": 110, "green": -10}, "Traffic value [110] of deployment [blue] must be a whole number between 0 and 100."),
        ({"blue": "100"}, "Traffic value [100] of deployment [blue] must be a whole number between 0 and 100."),
        ({"blue": True}, "Traffic value [True] of deployment [blue] must be a whole number between 0 and 100."),
    ],
)
def test_traffic_is_whole_numbers_for_known_deployments_that_total_0_or_100(shared: Any, traffic: Any, text: str) -> None:
    assert rule(shared.arm.put_endpoint(traffic=traffic)) == text
    assert shared.score().status_code == 200


@pytest.mark.parametrize(
    ("mirror", "text"),
    [
        ({"green": 51}, "Mirror traffic values need to sum to utmost 50. The sum is 51."),
        ({"blue": 10, "green": 10}, "Mirror traffic can be set for one deployment only."),
        ({"blue": 10}, "Deployment [blue] can only be set to live or mirror traffic, not both."),
        ({"purple": 10}, "Traffic is set for deployment [purple], but there is no such deployment in the endpoint."),
    ],
)
def test_mirror_traffic_goes_to_one_deployment_without_live_traffic(shared: Any, mirror: Any, text: str) -> None:
    assert rule(shared.arm.put_endpoint(traffic={"blue": 100}, mirrorTraffic=mirror)) == text


def test_a_traffic_refusal_reaches_the_sdk_as_azure_sends_it(shared: Any) -> None:
    with pytest.raises(HttpResponseError) as refusal:
        shared.traffic(blue=90)
    assert (refusal.value.status_code, refusal.value.error.code) == (400, "BadRequest")
    assert refusal.value.error.details[0].code == "InferencingClientCallFailed"
    assert "Traffic values need to sum to 100" in str(refusal.value)


@pytest.mark.parametrize("name", ["ab", "a" * 33, "1abc", "abc-", "a_bc", "äbc"])
def test_names_are_3_to_32_letters_digits_and_hyphens(shared: Any, name: str) -> None:
    assert rule(shared.arm.put_endpoint(name)).startswith(f"Invalid endpoint name [{name}]")
    body = body_of(shared, "blue")
    response = shared.arm.call("PUT", f"onlineEndpoints/{ENDPOINT}/deployments/{name}", body)
    assert rule(response).startswith(f"Invalid deployment name [{name}]")


@pytest.mark.parametrize("capacity", [0, 51, -1, 1.5, "2"])
def test_instances_are_1_to_50(shared: Any, capacity: Any) -> None:
    body = body_of(shared, "blue")
    body["sku"]["capacity"] = capacity
    response = shared.arm.call("PUT", f"onlineEndpoints/{ENDPOINT}/deployments/blue", body)
    assert rule(response) == f"Instance count [{capacity}] must be between 1 and 50."


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"requestTimeout": "PT181S"}, 400, "requestTimeout [PT181S] must be above 0 and at most PT3M"),
        ({"requestTimeout": "PT0S"}, 400, "requestTimeout [PT0S]"),
        ({"requestTimeout": "5 seconds"}, 400, "must be an ISO 8601 duration"),
        ({"maxConcurrentRequestsPerInstance": 0}, 400, "maxConcurrentRequestsPerInstance [0]"),
    ],
)
def test_request_settings_have_limits(shared: Any, settings: Any, status: int, words: str) -> None:
    body = body_of(shared, "blue")
    body["properties"]["requestSettings"] = settings
    response = shared.arm.call("PUT", f"onlineEndpoints/{ENDPOINT}/deployments/blue", body)
    assert response.status_code == status
    assert words in response.text


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"endpointComputeType": "Kubernetes"}, 501, "NotImplemented"),
        ({"codeConfiguration": None}, 501, "NotImplemented"),
        ({"environmentId": None}, 501, "NotImplemented"),
        ({"instanceType": None}, 400, "UserError"),
        ({"scaleSettings": {"scaleType": "TargetUtilization"}}, 400, "BadRequest"),
        ({"model": "/subscriptions/x/models/unknown/versions/1"}, 400, "BadRequest"),
        ({"environmentVariables": {"A": 1}}, 400, "InvalidRequestContent"),
        ({"codeConfiguration": {"codeId": 5, "scoringScript": ["score.py"]}}, 400, "InvalidRequestContent"),
    ],
)
def test_a_deployment_body_that_cannot_run_is_refused_before_anything_starts(shared: Any, change: Any, status: int, code: str) -> None:
    body = body_of(shared, "blue")
    body["properties"] |= change
    response = shared.arm.call("PUT", f"onlineEndpoints/{ENDPOINT}/deployments/newone", body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert shared.pids("newone") == set()


def test_a_deployment_with_live_or_mirrored_traffic_cannot_be_deleted(shared: Any) -> None:
    with pytest.raises(HttpResponseError) as refusal:
        shared.delete_deployment("blue")
    assert "Can't delete deployment [blue] with non-zero traffic weight" in str(refusal.value)
    shared.mirror(green=10)
    response = shared.arm.call("DELETE", f"onlineEndpoints/{ENDPOINT}/deployments/green")
    assert rule(response) == "Can't delete deployment [green] with non-zero traffic weight"
    shared.mirror()


def test_an_operation_in_progress_makes_every_other_write_a_conflict(shared: Any) -> None:
    arm, body = shared.arm, body_of(shared, "green")
    shared.emulator.pace({"endpoint.update": {"reads": 2}})
    changed = arm.put_endpoint(traffic={"blue": 100})
    assert (changed.status_code, changed.json()["properties"]["provisioningState"]) == (200, "Updating")
    for method, path, sent in [
        ("PUT", f"onlineEndpoints/{ENDPOINT}", {"location": "eastus", "properties": {"authMode": "Key"}}),
        ("PATCH", f"onlineEndpoints/{ENDPOINT}", {"tags": {}}),
        ("DELETE", f"onlineEndpoints/{ENDPOINT}", None),
        ("POST", f"onlineEndpoints/{ENDPOINT}/regenerateKeys", {"keyType": "Primary"}),
        ("DELETE", f"onlineEndpoints/{ENDPOINT}/deployments/green", None),
    ]:
        refused = arm.call(method, path, sent)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "Conflict"), (method, path)
    refused = arm.call("PUT", f"onlineEndpoints/{ENDPOINT}/deployments/green", body)
    text = f"Cannot create a deployment in endpoint {ENDPOINT} because it is in Updating provisioning state."
    assert (refused.status_code, refused.json()["error"]["message"]) == (409, text)
    with pytest.raises(ResourceExistsError):
        shared.traffic(blue=100)
    states = [requests_status(arm, changed) for _ in range(3)]
    assert states == ["Updating", "Updating", "Succeeded"]
    shared.emulator.pace(pace="fast")
    shared.traffic(blue=100)


def requests_status(arm: Any, response: requests.Response) -> str:
    return str(arm.session.get(response.headers["Azure-AsyncOperation"], timeout=30).json()["status"])


def test_a_deployment_that_is_being_changed_takes_no_other_write(shared: Any) -> None:
    arm, path = shared.arm, f"onlineEndpoints/{ENDPOINT}/deployments/green"
    shared.emulator.pace({"deployment.*": {"reads": 1}})
    scaled = arm.call("PATCH", path, {"sku": {"name": "Default", "capacity": 1}})
    assert scaled.status_code == 202
    assert arm.call("GET", path).json()["properties"]["provisioningState"] == "Scaling"
    for method, sent in [("PUT", body_of(shared, "green")), ("DELETE", None), ("PATCH", {"tags": {}})]:
        assert arm.call(method, path, sent).status_code == 409, method
    assert arm.call("DELETE", f"onlineEndpoints/{ENDPOINT}").status_code == 409
    while requests_status(arm, scaled) != "Succeeded":
        pass
    shared.emulator.pace(pace="fast")


def test_nothing_can_be_deployed_to_an_endpoint_that_was_never_created(shared: Any) -> None:
    shared.emulator.faults.add("endpoint.put", name="stillborn", operation={"code": "InternalServerError", "message": "no"})
    created = shared.arm.put_endpoint("stillborn")
    while requests_status(shared.arm, created) == "Updating":
        pass
    shown = shared.arm.call("GET", "onlineEndpoints/stillborn").json()["properties"]
    assert (shown["provisioningState"], shown["scoringUri"]) == ("Failed", None)
    response = shared.arm.call("PUT", "onlineEndpoints/stillborn/deployments/blue", body_of(shared, "blue"))
    text = "Specified endpoint [stillborn] has not been created successfully. Please recreate the endpoint."
    assert rule(response) == text


def test_what_is_not_there_is_404_for_readers_and_204_for_delete(shared: Any) -> None:
    for path in ("onlineEndpoints/nobody", f"onlineEndpoints/{ENDPOINT}/deployments/nobody", "onlineEndpoints/nobody/deployments"):
        missing = shared.arm.call("GET", path)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert shared.arm.call("DELETE", "onlineEndpoints/nobody").status_code == 204
    assert shared.arm.call("DELETE", f"onlineEndpoints/{ENDPOINT}/deployments/nobody").status_code == 204
    assert (
        shared.arm.call("GET", "/subscriptions/other/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w").status_code
        == 404
    )


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase])
@pytest.mark.parametrize("version", ["2020-01-01", "2099-12-31-preview", "nonsense", None])
def test_paths_are_case_insensitive_and_any_api_version_is_taken(shared: Any, change: Any, version: str | None) -> None:
    arm, endpoint = shared.arm, f"onlineEndpoints/{ENDPOINT}"
    environment = arm.call("GET", f"{endpoint}/deployments/blue").json()["properties"]["environmentId"]
    operation = arm.call("GET", endpoint).json()["properties"]["properties"]["AzureAsyncOperationUri"]
    metrics = "providers/Microsoft.Insights/metrics"
    below = [endpoint, "onlineEndpoints", f"{endpoint}/deployments", f"{endpoint}/deployments/blue/skus", f"{endpoint}/{metrics}"]
    below += ["models", "models/weights", "models/weights/versions", "models/weights/versions/1", "datastores/workspaceblobstore"]
    paths = [
        arm.workspace,
        *(f"{arm.workspace}/{path}" for path in below),
        environment,
        operation[len(arm.emulator.arm_url) :].split("?")[0],
    ]
    query = "" if version is None else f"?api-version={version}"
    for path in paths:
        as_it_is = arm.session.get(f"{arm.emulator.arm_url}{path}{query}", timeout=30)
        changed = arm.session.get(f"{arm.emulator.arm_url}{change(path)}{query}", timeout=30)
        assert (as_it_is.status_code, changed.status_code) == (200, 200), path
        # Whatever way one asks, what there is keeps its own spelling.
        if "Insights" not in path:
            assert changed.json() == as_it_is.json()
    keys = arm.session.post(f"{arm.emulator.arm_url}{change(f'{arm.workspace}/{endpoint}/listKeys')}{query}", timeout=30)
    assert keys.json()["primaryKey"] == shared.key


def test_there_are_at_most_20_deployments_in_an_endpoint(shared: Any) -> None:
    arm, body = shared.arm, body_of(shared, "blue")
    settled(arm, arm.put_endpoint("crowded"))
    shared.emulator.faults.add("deployment.put", operation={"code": "OutOfQuota", "message": "no"}, count=None)
    for number in range(20):
        assert arm.call("PUT", f"onlineEndpoints/crowded/deployments/one-{number}", body).status_code == 201
    refused = arm.call("PUT", "onlineEndpoints/crowded/deployments/one-more", body)
    shared.emulator.faults.clear()
    assert rule(refused) == "Endpoint [crowded] has its limit of 20 deployments."


def test_there_are_at_most_100_endpoints(shared: Any) -> None:
    arm, there = shared.arm, len(list(shared.client.online_endpoints.list()))
    made = [f"many-{number}" for number in range(100 - there)]
    assert {arm.put_endpoint(name).status_code for name in made} == {201}
    assert rule(arm.put_endpoint("many-more")) == "There are 100 endpoints, which is the limit."
    # A list of all of them comes in pages that the client puts together.
    assert len(list(shared.client.online_endpoints.list())) == 100
    for name in made:
        arm.call("DELETE", f"onlineEndpoints/{name}")
    while len(list(shared.client.online_endpoints.list())) > there:
        pass


def test_keys_may_be_given_once_at_the_beginning(shared: Any) -> None:
    given = {"primaryKey": "mine", "secondaryKey": "also-mine"}
    settled(shared.arm, shared.arm.put_endpoint("keyed", keys=given))
    assert shared.arm.call("GET", "onlineEndpoints/keyed").json()["properties"]["keys"] is None
    assert shared.arm.call("POST", "onlineEndpoints/keyed/listKeys").json() == given
    settled(shared.arm, shared.arm.put_endpoint("keyed", keys={"primaryKey": "another"}))
    assert shared.arm.call("POST", "onlineEndpoints/keyed/listKeys").json() == given


def settled(arm: Any, accepted: requests.Response) -> str:
    while (status := requests_status(arm, accepted)) == "Updating":
        pass
    return status


def test_what_failed_at_first_takes_no_change_and_what_failed_later_shows_what_is_in_force(shared: Any) -> None:
    arm, failing = shared.arm, {"operation": {"code": "OutOfQuota", "message": "no"}}
    path = f"onlineEndpoints/{ENDPOINT}/deployments/stillborn"
    shared.emulator.faults.add("deployment.put", name="stillborn", **failing)
    assert settled(arm, arm.call("PUT", path, body_of(shared, "blue"))) == "Failed"
    text = "Specified deployment [stillborn] failed during initial provisioning and is in an unrecoverable state. Delete and re-create."
    for method, body in (("PUT", body_of(shared, "blue")), ("PATCH", {"sku": {"capacity": 2}}), ("PATCH", {"tags": {"a": "b"}})):
        assert rule(arm.call(method, path, body)) == text
    refused = arm.put_endpoint(traffic={"blue": 90, "stillborn": 10})
    assert rule(refused) == "Traffic cannot be sent to deployment [stillborn] because it is in Failed provisioning state."
    assert shared.score("stillborn").status_code == 404
    assert settled(arm, arm.call("DELETE", path)) == "Succeeded"

    green, before = f"onlineEndpoints/{ENDPOINT}/deployments/green", arm.call("GET", f"onlineEndpoints/{ENDPOINT}/deployments/green").json()
    shared.emulator.faults.add("deployment.put", name="green", **failing)
    changed = body_of(shared, "green") | {"tags": {"new": "tag"}}
    changed["properties"]["environmentVariables"] = {"NEW": "1"}
    assert settled(arm, arm.call("PUT", green, changed)) == "Failed"
    after = arm.call("GET", green).json()
    assert after["properties"].pop("provisioningState") == "Failed"
    for field in ("tags", "sku"):
        assert after[field] == before[field]
    assert after["properties"]["environmentVariables"] == before["properties"]["environmentVariables"]
    assert shared.score("green").status_code == 200

    # A delete that fails has deleted nothing.
    shared.emulator.faults.add("deployment.delete", name="green", **failing)
    assert settled(arm, arm.call("DELETE", green)) == "Failed"
    assert shared.score("green").status_code == 200
    assert settled(arm, arm.call("PUT", green, body_of(shared, "green"))) == "Succeeded"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "batchEndpoints"), ("POST", "onlineEndpoints/canary/explode"), ("DELETE", "models/m/versions/1"), ("GET", "/nowhere")],
)
def test_what_the_emulator_lacks_is_501_and_never_a_lie(shared: Any, method: str, path: str) -> None:
    response = shared.arm.call(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (501, "NotImplemented")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"location": "eastus"}', b'{"location": "eastus", "properties": 5}', b"[" * 100_000])
def test_malformed_bodies_get_a_4xx(shared: Any, content: bytes) -> None:
    url = f"{shared.emulator.arm_url}{shared.arm.workspace}/onlineEndpoints/another"
    response = shared.arm.session.put(url, data=content, timeout=30)
    assert 400 <= response.status_code < 500
    assert response.json()["error"]["code"]


def test_bodies_over_4_mb_are_refused(shared: Any) -> None:
    url = f"{shared.emulator.arm_url}{shared.arm.workspace}/onlineEndpoints/another"
    response = shared.arm.session.put(url, data=b"x" * (5 * 1024 * 1024), timeout=30)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "RequestEntityTooLarge")
