"""Long-running operations: headers, states and pace, as the recordings of the real service show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

ENDPOINT = "canary"


def test_a_put_answers_at_once_and_tells_where_to_ask(arm: Any) -> None:
    arm.emulator.pace({"endpoint.create": {"reads": 1}})
    created = arm.put_endpoint(tags={"git": "abc"})
    body, headers = created.json(), created.headers
    assert created.status_code == 201
    assert headers["Location"].startswith(f"{arm.emulator.arm_url}{arm.workspace}/onlineEndpoints/{ENDPOINT}?")
    assert (headers["x-ms-async-operation-timeout"], headers["x-ms-retry-after-ms"]) == ("PT30M", "50")
    assert "Retry-After" not in headers
    assert (body["kind"], body["properties"]["provisioningState"], body["properties"]["scoringUri"]) == ("Managed", "Creating", None)
    assert body["properties"]["properties"]["azureml.onlineendpointid"].endswith(f"/onlineendpoints/{ENDPOINT}")

    status = arm.session.get(headers["Azure-AsyncOperation"], timeout=30)
    first = status.json()
    assert status.headers["x-ms-retry-after-ms"] == "50"
    assert (first["status"], first["percentComplete"], first["endTime"]) == ("Updating", 0.0, "0001-01-01T00:00:00+00:00")
    assert first["name"].startswith("oeidp:")
    last = arm.session.get(headers["Azure-AsyncOperation"], timeout=30).json()
    assert (last["status"], last["percentComplete"]) == ("Succeeded", 100.0)
    shown = arm.call("GET", f"onlineEndpoints/{ENDPOINT}").json()
    assert (shown["properties"]["provisioningState"], shown["tags"]) == ("Succeeded", {"git": "abc"})


def test_azures_pace_gives_no_hint(arm: Any) -> None:
    arm.emulator.pace({"*": "at_once"}, pace="azure")
    created = arm.put_endpoint()
    assert {"x-ms-retry-after-ms", "retry-after-ms", "Retry-After"} & set(created.headers) == set()


def test_a_delete_is_202_with_a_body_of_null_and_a_place_for_the_result(arm: Any) -> None:
    arm.put_endpoint()
    arm.emulator.pace({"endpoint.delete": {"reads": 1}})
    deleted = arm.call("DELETE", f"onlineEndpoints/{ENDPOINT}")
    assert (deleted.status_code, deleted.text) == (202, "null")
    assert "/mfeOperationResults/" in deleted.headers["Location"]
    assert arm.session.get(deleted.headers["Location"], timeout=30).status_code == 202
    assert arm.call("GET", f"onlineEndpoints/{ENDPOINT}").json()["properties"]["provisioningState"] == "Deleting"
    arm.session.get(deleted.headers["Azure-AsyncOperation"], timeout=30)
    assert arm.session.get(deleted.headers["Location"], timeout=30).status_code == 200
    assert arm.call("GET", f"onlineEndpoints/{ENDPOINT}").status_code == 404


def test_what_was_asked_for_is_not_shown_before_it_is_in_force(arm: Any) -> None:
    arm.put_endpoint(tags={"step": "1"})
    arm.emulator.pace({"endpoint.update": {"reads": 1}})
    changed = arm.put_endpoint(tags={"step": "2"})
    shown = arm.call("GET", f"onlineEndpoints/{ENDPOINT}").json()
    assert (shown["tags"], shown["properties"]["provisioningState"]) == ({"step": "1"}, "Updating")
    arm.session.get(changed.headers["Azure-AsyncOperation"], timeout=30)
    assert arm.call("GET", f"onlineEndpoints/{ENDPOINT}").json()["tags"] == {"step": "2"}


def test_an_endpoint_patch_changes_tags_and_nothing_else(arm: Any) -> None:
    arm.put_endpoint(tags={"a": "1"}, description="kept")
    assert arm.call("PATCH", f"onlineEndpoints/{ENDPOINT}", {"tags": {"b": "2"}}).status_code == 202
    shown = arm.call("GET", f"onlineEndpoints/{ENDPOINT}").json()
    assert (shown["tags"], shown["properties"]["description"]) == ({"b": "2"}, "kept")
    assert arm.call("PATCH", f"onlineEndpoints/{ENDPOINT}", {"properties": {}}).status_code == 400


def test_each_kind_of_operation_ends_at_once_after_reads_or_after_seconds(arm: Any) -> None:
    arm.emulator.pace({"endpoint.*": "at_once", "endpoint.update": {"reads": 3}, "endpoint.delete": {"seconds": 600}})

    def ask(answer: Any) -> str:
        return str(arm.session.get(answer.headers["Azure-AsyncOperation"], timeout=30).json()["status"])

    def state() -> str:
        return str(arm.call("GET", f"onlineEndpoints/{ENDPOINT}").json()["properties"]["provisioningState"])

    assert ask(arm.put_endpoint()) == "Succeeded"
    changed = arm.put_endpoint(tags={"a": "b"})
    # Only asking for the operation itself counts as a read of it.
    assert [state() for _ in range(5)] == ["Updating"] * 5
    assert [ask(changed) for _ in range(4)] == ["Updating"] * 3 + ["Succeeded"]
    assert ask(arm.call("POST", f"onlineEndpoints/{ENDPOINT}/regenerateKeys", {"keyType": "Primary"})) == "Succeeded"
    arm.emulator.pace({"endpoint.update": {"seconds": 0.2}})
    changed, reads = arm.put_endpoint(tags={"a": "c"}), 0
    while ask(changed) == "Updating":
        reads += 1
    assert reads > 0
    deleted = arm.call("DELETE", f"onlineEndpoints/{ENDPOINT}")
    assert {ask(deleted) for _ in range(20)} == {"Updating"}
    assert state() == "Deleting"


def test_an_unknown_pace_is_refused_with_the_known_ones(arm: Any) -> None:
    with pytest.raises(Exception, match=r"endpoint\.create"):
        arm.emulator.pace({"endpoint.explode": "at_once"})


def test_lists_come_in_pages(arm: Any) -> None:
    for number in range(3):
        arm.put_endpoint(f"endpoint-{number}")
    first = arm.session.get(f"{arm.emulator.arm_url}{arm.workspace}/onlineEndpoints?count=2", timeout=30).json()
    rest = arm.session.get(first["nextLink"], timeout=30).json()
    assert [one["name"] for one in first["value"] + rest["value"]] == [f"endpoint-{n}" for n in range(3)]
    assert "nextLink" not in rest


def test_a_large_model_goes_up_in_blocks_and_is_found_again(azure: Any, tmp_path: Any) -> None:
    from azure.ai.ml.entities import Model

    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    azure.client.models.create_or_update(Model(path=str(large), name="large", version="1"))
    sent = azure.emulator.requests.list("blob.put")
    assert len(sent) > 2
    azure.client.models.create_or_update(Model(path=str(large), name="large", version="2"))
    assert azure.emulator.requests.list("blob.put") == sent
    stored = azure.client.models.get("large", version="2")
    assert stored.path.endswith("/large.bin")


def test_a_registered_model_can_be_downloaded_again(azure: Any, tmp_path: Any) -> None:
    from azure.ai.ml.entities import Model

    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    # Above 32 MiB the client asks for a blob in ranges; an empty one has no range to give.
    contents = {"a.bin": bytes(range(256)) * 140_000, "inner/<b>.txt": b"b", "inner/empty": b""}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    azure.client.models.create_or_update(Model(path=str(folder), name="whole", version="1"))
    azure.client.models.download("whole", "1", download_path=str(tmp_path / "back"))
    back = {p.relative_to(tmp_path / "back/whole/model").as_posix(): p.read_bytes() for p in (tmp_path / "back").rglob("*") if p.is_file()}
    assert back == contents
    assert {entry["status"] for entry in azure.emulator.requests.list("blob.get")} == {206, 416, 200}


def test_a_download_passes_through_memory_in_pieces(azure: Any, tmp_path: Any) -> None:
    from azure.ai.ml.entities import Model

    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(60 * 1024 * 1024)
    azure.client.models.create_or_update(Model(path=str(large), name="large", version="1"))
    [path] = {entry["path"] for entry in azure.emulator.requests.list("blob.put") if entry["path"].endswith("/large.bin")}
    secret = azure.client.datastores.get("workspaceblobstore", include_secrets=True).credentials.sas_token
    process = Path(f"/proc/{azure.emulator.pid}")

    def peak(which: str) -> int:
        return int((process / "status").read_text().split(f"{which}:")[1].split()[0])

    (process / "clear_refs").write_text("5")
    before = peak("VmRSS")
    for headers, status in (({}, 200), ({"x-ms-range": f"bytes=1-{large.stat().st_size}"}, 206)):
        with requests.get(f"{azure.emulator.arm_url}{path}?{secret}", headers=headers, stream=True, timeout=60) as answer:
            size = sum(len(piece) for piece in answer.iter_content(1024 * 1024))
        assert (answer.status_code, size) == (status, large.stat().st_size - (status == 206))
    assert peak("VmHWM") - before < 8 * 1024


def test_at_azures_pace_a_deployment_goes_through_the_states_and_headers_of_the_recordings(served: Any, session_arm: Any) -> None:
    arm = session_arm
    arm.emulator.pace({"deployment.*": {"reads": 2}, "endpoint.*": {"reads": 1}}, pace="azure")
    try:
        blue = f"onlineEndpoints/{ENDPOINT}/deployments/blue"
        shown = arm.call("GET", blue).json()
        properties = {k: v for k, v in shown["properties"].items() if k != "provisioningState"}
        changed = arm.call("PUT", blue, {"location": "eastus", "properties": properties, "sku": shown["sku"], "tags": {"a": "b"}})
        scaled_while_busy = arm.call("PATCH", blue, {"sku": {"capacity": 2}})
        assert (changed.status_code, changed.json()["properties"]["provisioningState"], scaled_while_busy.status_code) == (
            200,
            "Updating",
            409,
        )
        assert {"x-ms-retry-after-ms", "retry-after-ms", "Retry-After"} & set(changed.headers) == set()
        assert (
            changed.headers["x-ms-async-operation-timeout"],
            "/mfeOperationsStatus/odidp:" in changed.headers["Azure-AsyncOperation"],
        ) == ("PT30M", True)
        asked = [arm.session.get(changed.headers["Azure-AsyncOperation"], timeout=30) for _ in range(3)]
        assert [one.json()["status"] for one in asked] == ["Updating", "Updating", "Succeeded"]
        assert all("x-ms-retry-after-ms" not in one.headers for one in asked)
        scaled = arm.call("PATCH", blue, {"sku": {"capacity": 1}})
        assert (scaled.status_code, arm.call("GET", blue).json()["properties"]["provisioningState"]) == (202, "Scaling")
        while arm.session.get(scaled.headers["Azure-AsyncOperation"], timeout=30).json()["status"] == "Updating":
            pass
    finally:
        arm.emulator.pace(pace="fast")


def test_an_operation_that_nobody_reads_is_let_go_by_another_pace(arm: Any) -> None:
    """Whoever began it may be gone; a later look at the resource finds it done."""
    arm.emulator.pace({"endpoint.create": {"reads": 10**6}})
    assert arm.put_endpoint().status_code == 201

    def state() -> str:
        return str(arm.call("GET", f"onlineEndpoints/{ENDPOINT}").json()["properties"]["provisioningState"])

    assert {state() for _ in range(20)} == {"Creating"}
    arm.emulator.pace(pace="fast")
    assert any(state() == "Succeeded" for _ in range(500))
