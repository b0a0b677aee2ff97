"""The emulator as its user meets it: Microsoft's unmodified client, real credentials, real scoring processes."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from azure.ai.ml import MLClient
from azure.ai.ml.entities import (
    CodeConfiguration,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    OnlineRequestSettings,
)

from aml_emulator.process import RunningEmulator

MODELS = Path(__file__).parents[3] / "examples" / "models"
ROWS = {"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}
V1, V2 = [38.5, 22.0], [38.75, 22.25]
ENDPOINT = "canary"


class Arm:
    """The control plane without the SDK, for what the SDK would not send."""

    def __init__(self, emulator: RunningEmulator):
        self.emulator = emulator
        self.session = requests.Session()
        self.session.verify = emulator.ca_bundle
        token = emulator.credential().get_token("https://management.azure.com/.default").token
        self.session.headers["Authorization"] = f"Bearer {token}"
        self.workspace = (
            f"/subscriptions/{emulator.subscription_id}/resourceGroups/{emulator.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{emulator.workspace}"
        )

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """`path` is below the workspace unless it starts with a slash."""
        url = self.emulator.arm_url + (path if path.startswith("/") else f"{self.workspace}/{path}")
        return self.session.request(method, url, json=body, params={"api-version": "2023-04-01"}, timeout=30, **options)

    def put_endpoint(self, name: str = ENDPOINT, tags: dict[str, str] | None = None, **properties: Any) -> requests.Response:
        body = {"location": "eastus", "properties": {"authMode": "Key", **properties}, "tags": tags or {}}
        return self.call("PUT", f"onlineEndpoints/{name}", body)


class Azure:
    """What tests do again and again, through the SDK; and scoring, with a client of our own."""

    def __init__(self, client: MLClient, emulator: RunningEmulator):
        self.client, self.emulator = client, emulator
        self.key = ""

    def create_endpoint(self, auth_mode: str = "key", **fields: Any) -> ManagedOnlineEndpoint:
        entity = ManagedOnlineEndpoint(name=ENDPOINT, auth_mode=auth_mode, **fields)
        endpoint = self.client.online_endpoints.begin_create_or_update(entity).result()
        keys = self.client.online_endpoints.get_keys(ENDPOINT)
        self.key = getattr(keys, "primary_key", None) or keys.access_token
        return endpoint

    def keep_alive(self) -> KeepAlive:
        return KeepAlive(self)

    def deployment(self, name: str, model: str = "v1", count: int = 1, code: str | None = None, **fields: Any) -> ManagedOnlineDeployment:
        """`model` is a folder of examples/models, or `code` the text of a score.py."""
        folder = MODELS / model
        if code is not None:
            folder = Path(tempfile.mkdtemp(prefix="code-"))
            (folder / "score.py").write_text(code)
        settings = {"max_concurrent_requests_per_instance": 1, **fields.pop("request_settings", {})}
        return ManagedOnlineDeployment(
            name=name,
            endpoint_name=ENDPOINT,
            model=Model(path=str(MODELS / "model"), name="weights", version="1"),
            environment=Environment(conda_file=str(MODELS / "environment.yml"), image="mcr.example/azureml/minimal"),
            code_configuration=CodeConfiguration(code=str(folder), scoring_script="score.py"),
            instance_type="Standard_DS3_v2",
            instance_count=count,
            request_settings=OnlineRequestSettings(**settings),
            **fields,
        )

    def deploy(self, name: str, model: str = "v1", count: int = 1, **fields: Any) -> ManagedOnlineDeployment:
        entity = self.deployment(name, model, count, **fields)
        return self.client.online_deployments.begin_create_or_update(entity).result()

    def traffic(self, **weights: int) -> None:
        endpoint = self.client.online_endpoints.get(ENDPOINT)
        endpoint.traffic = weights
        self.client.online_endpoints.begin_create_or_update(endpoint).result()

    def mirror(self, **weights: int) -> None:
        endpoint = self.client.online_endpoints.get(ENDPOINT)
        endpoint.mirror_traffic = weights
        self.client.online_endpoints.begin_create_or_update(endpoint).result()

    def delete_deployment(self, name: str) -> None:
        self.client.online_deployments.begin_delete(name, ENDPOINT).result()

    def score(self, deployment: str | None = None, body: Any = ROWS, **headers: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if deployment:
            headers["azureml-model-deployment"] = deployment
        return requests.post(f"{self.emulator.scoring_url}/{ENDPOINT}/score", json=body, headers=headers, timeout=30)

    def pids(self, deployment: str) -> set[int]:
        return {one["pid"] for one in self.emulator.processes() if one["deployment"] == deployment}


class KeepAlive:
    """One client connection, as a service that calls its model keeps."""

    def __init__(self, azure: Azure):
        address = urlsplit(azure.emulator.scoring_url)
        self.connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        self.headers = {"Authorization": f"Bearer {azure.key}", "Content-Type": "application/json"}

    def score(self, deployment: str | None = None) -> tuple[int, str, bytes]:
        headers = self.headers | ({"azureml-model-deployment": deployment} if deployment else {})
        self.connection.request("POST", f"/{ENDPOINT}/score", json.dumps(ROWS), headers)
        response = self.connection.getresponse()
        return response.status, response.headers.get("azureml-model-deployment", ""), response.read()


@pytest.fixture(scope="session")
def sdk(aml_emulator: RunningEmulator) -> MLClient:
    return aml_emulator.ml_client(retry_backoff_factor=0.01)


@pytest.fixture(scope="session")
def session_arm(aml_emulator: RunningEmulator) -> Arm:
    return Arm(aml_emulator)


@pytest.fixture
def azure(sdk: MLClient, aml_emulator: RunningEmulator) -> Iterator[Azure]:
    """An empty workspace."""
    aml_emulator.reset()
    yield Azure(sdk, aml_emulator)
    aml_emulator.reset()


@pytest.fixture
def arm(azure: Azure, session_arm: Arm) -> Arm:
    return session_arm


@pytest.fixture(scope="module")
def served(sdk: MLClient, aml_emulator: RunningEmulator) -> Iterator[Azure]:
    """An endpoint with blue (v1, all traffic) and green (v2, none), shared by tests that leave it as it is."""
    aml_emulator.reset()
    azure = Azure(sdk, aml_emulator)
    azure.create_endpoint()
    azure.deploy("blue", "v1")
    azure.deploy("green", "v2")
    azure.traffic(blue=100)
    yield azure
    aml_emulator.reset()


@pytest.fixture
def azure_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunningEmulator], Azure]:
    """For tests with an emulator of their own."""

    def make(emulator: RunningEmulator) -> Azure:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", emulator.ca_bundle)
        return Azure(emulator.ml_client(), emulator)

    return make
