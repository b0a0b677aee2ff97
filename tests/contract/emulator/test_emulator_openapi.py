"""Answers of the control plane are what Microsoft's OpenAPI description says.

Every contract test checks the answers it gets (../conftest.py); here every described operation gets some, and the
check itself is shown to see a lie.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aml_emulator.process import running_emulator
from tests.contract.emulator import openapi
from tests.contract.emulator.conftest import Arm
from tests.contract.emulator.openapi import Recorder

ENDPOINT = "canary"
pytestmark = pytest.mark.skipif(not openapi.FOLDER.exists(), reason=openapi.MISSING)


@pytest.mark.parametrize("version", [path.name.removesuffix(".online-only.json") for path in openapi.FOLDER.glob("*.online-only.json")])
def test_every_operation_answers_as_described_when_it_goes_well_and_when_it_does_not(served: Any, session_arm: Any, version: str) -> None:
    arm, recorder = session_arm, Recorder()

    def ask(method: str, path: str, body: Any = None) -> Any:
        url = f"{arm.emulator.arm_url}{arm.workspace}/{path}?api-version={version}"
        response = arm.session.request(method, url, json=body, timeout=30)
        recorder.note(response)
        return response

    endpoint, blue = f"onlineEndpoints/{ENDPOINT}", f"onlineEndpoints/{ENDPOINT}/deployments/blue"
    whole = ask("GET", blue).json()
    ask("GET", endpoint)
    ask("GET", "onlineEndpoints")
    ask("GET", f"{endpoint}/deployments")
    ask("GET", f"{blue}/skus")
    ask("POST", f"{blue}/getLogs", {"tail": 5})
    ask("POST", f"{endpoint}/listKeys")
    token = {"location": "eastus", "properties": {"authMode": "AMLToken"}, "identity": {"type": "SystemAssigned"}}
    with_token = ask("PUT", "onlineEndpoints/described", token)
    settle(arm, with_token)
    ask("POST", "onlineEndpoints/described/token")
    settle(arm, ask("PUT", "onlineEndpoints/described", token | {"tags": {"a": "b"}}))
    settle(arm, ask("PATCH", "onlineEndpoints/described", {"tags": {"a": "c"}}))
    settle(arm, ask("POST", f"{endpoint}/regenerateKeys", {"keyType": "Secondary"}))
    settle(arm, ask("PATCH", blue, {"sku": {"capacity": 1}}))
    properties = {k: v for k, v in whole["properties"].items() if k != "provisioningState"}
    body = {"location": "eastus", "properties": properties, "sku": whole["sku"]}
    settle(arm, ask("PUT", blue, body))
    settle(arm, ask("PUT", f"{endpoint}/deployments/described", body))
    settle(arm, ask("DELETE", f"{endpoint}/deployments/described"))
    settle(arm, ask("DELETE", "onlineEndpoints/described"))
    went_well = {name for name, status in recorder.seen if status < 300}
    assert went_well == {operation["operationId"] for _, _, operation in openapi.description(version).operations}
    for method, path, wrong in (
        ("GET", "onlineEndpoints/nobody", None),
        ("GET", f"{endpoint}/deployments/nobody", None),
        ("DELETE", "onlineEndpoints/nobody", None),
        ("PUT", endpoint, {"location": "eastus", "properties": {"authMode": "Key", "traffic": {"blue": 7}}}),
        ("PUT", f"{endpoint}/deployments/x", body),
        ("PATCH", blue, {"sku": {"capacity": 1000}}),
        ("POST", f"{endpoint}/token", None),
        ("PUT", "onlineEndpoints/1", token),
    ):
        assert ask(method, path, wrong).status_code in (204, 400, 404)
    assert recorder.taken() == []


def settle(arm: Any, accepted: Any) -> None:
    """Follows an operation to its end, as a client does."""
    assert accepted.status_code in (200, 201, 202), accepted.text
    while (state := arm.session.get(accepted.headers["Azure-AsyncOperation"], timeout=30).json())["status"] == "Updating":
        pass
    assert state["status"] == "Succeeded", state


GOOD = {
    "id": "/x", "name": "x", "type": "t", "location": "eastus", "kind": "Managed", "tags": {},
    "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "Key", "provisioningState": "Succeeded", "traffic": {"blue": 100}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("lie", "seen"),
    [
        ({}, []),
        ({"location": None}, ["$.location"]),
        ({"colour": "red"}, ["$: "]),
        ({"properties": {"authMode": "Password"}}, ["$.properties.authMode"]),
        ({"properties": {"authMode": "Key", "traffic": {"blue": 0.5}}}, ["$.properties.traffic.blue"]),
        ({"properties": {"authMode": "Key", "scoringUri": "nowhere"}}, ["$.properties.scoringUri"]),
        ({"systemData": {"createdAt": "yesterday"}}, ["$.systemData.createdAt"]),
        ({"identity": {"type": "SystemAssigned", "principalId": "me"}}, ["$.identity.principalId"]),
    ],
)
def test_a_lie_in_an_answer_is_seen(lie: Any, seen: list[str]) -> None:
    path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/onlineEndpoints/x"
    name, wrong = openapi.check("GET", f"https://127.0.0.1{path}?api-version=2023-04-01", 200, {}, json.dumps(GOOD | lie))
    assert name == "OnlineEndpoints_Get"
    assert [text.split("200: ")[1][: len(start)] for text, start in zip(wrong, seen, strict=True)] == seen


def test_answers_to_any_process_are_written_down_and_a_lie_among_them_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = tmp_path / "answers.jsonl"
    with running_emulator(tmp_path / "emulator", "--answers", str(answers)) as emulator:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", emulator.ca_bundle)
        arm = Arm(emulator)
        assert arm.put_endpoint().status_code == 201
        assert arm.call("GET", "onlineEndpoints/nobody").status_code == 404
        assert arm.call("GET", "onlineEndpoints").status_code == 200
    assert openapi.checked(answers) == ({"OnlineEndpoints_CreateOrUpdate", "OnlineEndpoints_Get", "OnlineEndpoints_List"}, [])
    answers.write_text(answers.read_text().replace('\\"authMode\\"', '\\"authorization\\"'))
    assert "authorization" in "".join(openapi.checked(answers)[1])
