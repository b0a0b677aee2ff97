"""Whatever comes in, the control plane answers with Azure's error shape: a 4xx or an honest 501, never a traceback."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers(-5, 200) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3))
ENDPOINT_KEYS = ["authMode", "traffic", "mirrorTraffic", "properties", "description", "publicNetworkAccess"]
DEPLOYMENT_KEYS = [
    "endpointComputeType", "instanceType", "environmentId", "codeConfiguration", "model", "scaleSettings", "requestSettings",
    "readinessProbe", "livenessProbe", "environmentVariables", "properties",
]  # fmt: skip
KNOWN = st.sampled_from(
    ["Key", "Managed", "Standard_DS3_v2", {"blue": 100}, {"requestTimeout": "PT1S"}, {"codeId": "x", "scoringScript": "y"}]
)


def bodies(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.sampled_from(keys), KNOWN | VALUES, max_size=len(keys))
    outer = {"location": st.just("eastus") | VALUES, "properties": properties | VALUES}
    return st.fixed_dictionaries(outer, optional={"tags": VALUES, "sku": VALUES | st.just({"capacity": 1}), "identity": VALUES})


SENT = st.one_of(
    st.tuples(st.just("PUT"), st.sampled_from(["onlineEndpoints/fuzz", "onlineEndpoints/canary"]), bodies(ENDPOINT_KEYS)),
    st.tuples(st.just("PUT"), st.just("onlineEndpoints/canary/deployments/fuzz"), bodies(DEPLOYMENT_KEYS)),
    st.tuples(st.just("PATCH"), st.just("onlineEndpoints/canary"), VALUES),
    st.tuples(st.just("POST"), st.just("onlineEndpoints/canary/regenerateKeys"), VALUES),
    st.tuples(
        st.just("PUT"),
        st.sampled_from([f"{kind}/fuzz/versions/1" for kind in ("codes", "models", "environments")]),
        bodies(["codeUri", "modelUri", "condaFile", "image", "properties", "flavors"]),
    ),
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
    response = target.call(method, path.lstrip("/") or "x", body)
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
