"""Whatever comes in, the control plane answers with Azure's error shape: a 4xx or an honest 501, never a traceback."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aml_emulator.server import Emulator
from aml_emulator.settings import Settings

SCALARS = st.none() | st.booleans() | st.integers(-5, 200) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3))
ENDPOINT_KEYS = ["authMode", "traffic", "mirrorTraffic", "properties", "description", "publicNetworkAccess", "compute", "keys"]
DEPLOYMENT_KEYS = [
    "endpointComputeType", "instanceType", "environmentId", "codeConfiguration", "model", "scaleSettings", "requestSettings",
    "readinessProbe", "livenessProbe", "environmentVariables", "properties", "description", "dataCollector", "appInsightsEnabled",
]  # fmt: skip
KNOWN = st.sampled_from(
    ["Key", "Managed", "Standard_DS3_v2", {"blue": 100}, {"requestTimeout": "PT1S"}, {"codeId": "x", "scoringScript": "y"}]
)


def bodies(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.sampled_from(keys), KNOWN | VALUES, max_size=len(keys))
    outer = {"location": st.just("eastus") | VALUES, "properties": properties | VALUES}
    return st.fixed_dictionaries(
        outer, optional={"tags": VALUES, "kind": VALUES, "sku": VALUES | st.just({"capacity": 1}), "identity": VALUES}
    )


SENT = st.one_of(
    st.tuples(st.just("PUT"), st.sampled_from(["onlineEndpoints/fuzz", "onlineEndpoints/canary"]), bodies(ENDPOINT_KEYS)),
    st.tuples(st.just("PUT"), st.just("onlineEndpoints/canary/deployments/fuzz"), bodies(DEPLOYMENT_KEYS)),
    st.tuples(st.just("PATCH"), st.just("onlineEndpoints/canary"), VALUES),
    st.tuples(st.just("POST"), st.just("onlineEndpoints/canary/regenerateKeys"), VALUES),
    st.tuples(
        st.just("PUT"),
        st.sampled_from([f"{kind}/fuzz/versions/1" for kind in ("codes", "models", "environments")]),
        bodies(["codeUri", "modelUri", "condaFile", "image", "properties", "flavors", "tags", "description", "isArchived", "build"]),
    ),
    st.tuples(st.just("PUT"), st.sampled_from(["codes/fuzz", "models/fuzz", "environments/fuzz"]), bodies(["isArchived", "tags"])),
    st.tuples(st.just("POST"), st.sampled_from(["/_emulator/faults", "/_emulator/pace", "/_emulator/kill"]), VALUES),
    st.tuples(st.just("DELETE"), st.just("/_emulator/faults/").flatmap(lambda path: st.text(max_size=4).map(path.__add__)), st.none()),
    st.tuples(st.just("GET"), st.text(max_size=20), st.none()),
    st.tuples(st.just("GET"), st.just("onlineEndpoints?count=x&$skip=-1"), st.none()),
)


@pytest.fixture(scope="module")
def target(aml_emulator: Any, session_arm: Any) -> Any:
    aml_emulator.reset()
    session_arm.put_endpoint("canary")
    yield session_arm
    aml_emulator.reset()


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(sent=SENT)
def test_no_request_gets_a_traceback(target: Any, sent: tuple[str, str, Any]) -> None:
    method, path, body = sent
    response = target.call(method, path if path.startswith("/_") else path.lstrip("/") or "x", body)
    assert response.status_code < 500 or response.status_code == 501, response.text
    if response.status_code >= 400:
        assert response.json()["error"]["code"]


@pytest.mark.parametrize("text", ["a: &a [1]\nb: [*a, *a]", "[" * 3000, "a: [", "!!python/object/apply:os.getcwd []"])
def test_a_conda_file_is_read_safely(target: Any, text: str) -> None:
    body = {"properties": {"condaFile": text, "image": "x"}}
    response = target.call("PUT", "environments/hostile/versions/1", body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "InvalidRequestContent")


@pytest.mark.parametrize("path", ["../../etc/passwd", "a/../../../x", "a//b", "./a"])
def test_a_blob_cannot_leave_its_folder(target: Any, path: str) -> None:
    uri = target.call("POST", "codes/c/versions/1/startPendingUpload", {}).json()["blobReferenceForConsumption"]
    container, _, signature = uri["credential"]["sasUri"].partition("?")
    import requests

    request = requests.Request("PUT", "https://x/", data=b"x").prepare()
    request.url = f"{container}/{path}?{signature}"
    assert target.session.send(request, verify=target.emulator.ca_bundle, timeout=30).status_code in (400, 403, 501)
    unsigned = target.session.put(f"{container}/score.py", data=b"x", timeout=30)
    assert (unsigned.status_code, unsigned.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")


def answer_to(folder: Path, *pieces: bytes, patience: float = 120) -> tuple[int, dict[str, Any]]:
    """Status and body of what an emulator of this test's own process says before it closes the connection."""

    async def ask() -> bytes:
        emulator = Emulator(Settings(folder, patience=patience))
        await emulator.start()
        try:
            trusted = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            reader, writer = await asyncio.open_connection("127.0.0.1", emulator.settings.arm_port, ssl=trusted)
            reading = asyncio.create_task(reader.read())
            await _send(writer, pieces)
            return await asyncio.wait_for(reading, 30)
        finally:
            await emulator.stop()

    head, _, body = asyncio.run(ask()).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


async def _send(writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        # Refused before it had said everything.
        pass


GOOD = {"location": "eastus", "properties": {"authMode": "Key"}}


@pytest.mark.parametrize(
    "change",
    [
        {"location": {"a": 1}},
        {"kind": 5},
        {"tags": {"a": 1}},
        {"identity": {"type": 5}},
        {"properties": {"authMode": "Key", "description": {"a": 1}}},
        {"properties": {"authMode": "Key", "publicNetworkAccess": 7}},
        {"properties": {"authMode": "Key", "properties": {"a": [1]}}},
        {"properties": {"authMode": "Key", "properties": {"a": [[[[]]]]}}},
        {"properties": {"authMode": "Key", "keys": {"primaryKey": 5}}},
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_and_shown_to_nobody(target: Any, change: Any) -> None:
    response = target.call("PUT", "onlineEndpoints/shapes", GOOD | change)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "InvalidRequestContent")
    assert target.call("GET", "onlineEndpoints/shapes").status_code == 404
    for path in ("onlineEndpoints?computeType=Managed", "onlineEndpoints?tags=a", "onlineEndpoints?properties=a"):
        target.session.get(f"{target.emulator.arm_url}{target.workspace}/{path}", timeout=30).raise_for_status()


@pytest.mark.parametrize(
    "properties",
    [
        {"tags": 7},
        {"tags": {"a": 1}},
        {"description": []},
        {"isArchived": "x"},
        {"codeUri": 5},
        {"modelUri": 5},
        {"condaFile": ["x"]},
        {"image": 5},
        {"flavors": 5},
        {"properties": {"hash_sha256": {}}},
        {"build": {"dockerfilePath": 5}},
    ],
)
@pytest.mark.parametrize("kind", ["codes", "models", "environments"])
def test_an_asset_with_a_value_of_the_wrong_kind_is_refused(target: Any, kind: str, properties: Any) -> None:
    response = target.call("PUT", f"{kind}/shapes/versions/1", {"properties": properties})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "InvalidRequestContent")
    for query in ("tags=a", "properties=a", "hash=x", "listViewType=ActiveOnly"):
        target.session.get(f"{target.emulator.arm_url}{target.workspace}/{kind}/shapes/versions?{query}", timeout=30).raise_for_status()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"codeConfiguration": {"codeId": "C", "scoringScript": "a\0b"}}, 400, "InvalidRequestContent"),
        ({"environmentVariables": {"A": "\ud800"}}, 400, "InvalidRequestContent"),
        ({"environmentVariables": {"A": "a\0b"}}, 400, "InvalidRequestContent"),
        ({"environmentVariables": {"WORKER_COUNT": "\u00b2"}}, 400, "BadRequest"),
        ({"environmentVariables": {"WORKER_COUNT": "1000000"}}, 400, "BadRequest"),
        ({"appInsightsEnabled": "yes"}, 400, "InvalidRequestContent"),
        ({"livenessProbe": {"timeout": 5}}, 400, "InvalidRequestContent"),
        ({"readinessProbe": {"successThreshold": "x"}}, 400, "InvalidRequestContent"),
        ({"modelMountPath": 5}, 400, "InvalidRequestContent"),
        ({"dataCollector": {"collections": {"inputs": {}}}}, 501, "NotImplemented"),
    ],
)
def test_a_deployment_with_a_value_of_the_wrong_kind_is_refused(target: Any, change: Any, status: int, code: str) -> None:
    target.call("PUT", "codes/shapes/versions/1", {"properties": {"codeUri": "https://nowhere"}})
    code_id = f"{target.workspace}/codes/shapes/versions/1"
    properties = {
        "endpointComputeType": "Managed", "instanceType": "x", "environmentId": "azureml://registries/a/environments/b/versions/1",
        "codeConfiguration": {"codeId": code_id, "scoringScript": "score.py"},
    }  # fmt: skip
    response = target.call("PUT", "onlineEndpoints/canary/deployments/shapes", {"location": "e", "properties": properties | change})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert target.call("GET", "onlineEndpoints/canary/deployments/shapes").status_code == 404


@pytest.mark.parametrize("change", [{"kind": "Kubernetes"}, {"properties": {"authMode": "Key", "compute": "azureml:cluster"}}])
def test_an_endpoint_on_kubernetes_is_501_and_never_a_managed_one(target: Any, change: Any) -> None:
    response = target.call("PUT", "onlineEndpoints/kubernetes", GOOD | change)
    assert (response.status_code, response.json()["error"]["code"]) == (501, "NotImplemented")


def test_a_blob_of_another_kind_and_a_copy_are_501_and_never_an_empty_blob(target: Any) -> None:
    reference = target.call("POST", "codes/c/versions/1/startPendingUpload", {}).json()["blobReferenceForConsumption"]
    container, _, signature = reference["credential"]["sasUri"].partition("?")
    for headers in ({"x-ms-blob-type": "AppendBlob"}, {"x-ms-copy-source": "https://elsewhere"}):
        answer = target.session.put(f"{container}/x?{signature}", headers=headers, timeout=30)
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (501, "NotImplemented")
    assert target.session.head(f"{container}/x?{signature}", timeout=30).status_code == 404


PUT = b"PUT /_emulator/pace HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"GET / HT",),
        (b"GET /_emulator/health HTTP/1.1\r\nHost: x\r\n",),
        (PUT + b"Content-Length: 10\r\n\r\n12345",),
        (PUT.replace(b"PUT", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",),
    ],
    ids=["nothing", "half a line", "half a head", "half a body of no operation", "half a body"],
)
def test_who_is_slow_is_not_waited_for(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    status, body = answer_to(tmp_path, *pieces, patience=0.5)
    # What is no operation is said at once, whatever its body would have been.
    expected = (501, "NotImplemented") if pieces and pieces[0].startswith(b"PUT") else (408, "RequestTimeout")
    assert (status, body["error"]["code"]) == expected


@pytest.mark.parametrize(
    "pieces",
    [
        (b"GET / HTTP/1.1\r\nA: ", *[b"x" * 100_000] * 50, b"\r\n\r\n"),
        (b"GET /", *[b"x" * 100_000] * 50, b" HTTP/1.1\r\n\r\n"),
        (b"GET / HTTP/1.1\r\n", *[b"A: b\r\n" * 10_000] * 50),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", *[b"A: b\r\n" * 10_000] * 50),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n1;", *[b"a" * 100_000] * 50),
    ],
    ids=["a header", "a path", "headers", "trailers", "a chunk's extension"],
)
def test_heads_without_an_end_are_refused_before_they_fill_memory(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    status, body = answer_to(tmp_path, *pieces)
    assert (status, body["error"]["code"]) == (431, "RequestHeaderFieldsTooLarge")
