"""Who may come in: azure-identity's own credentials against the emulator's token routes, and scripts that know nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, DefaultAzureCredential, EnvironmentCredential, ManagedIdentityCredential

from aml_emulator.process import RunningEmulator

SCOPE = "https://management.azure.com/.default"
SCRIPT = """
import os
from azure.ai.ml import MLClient
from azure.ai.ml.entities import ManagedOnlineEndpoint, Model
from azure.identity import DefaultAzureCredential

ml_client = MLClient(
    DefaultAzureCredential(disable_instance_discovery=True),
    os.environ["AZURE_SUBSCRIPTION_ID"], os.environ["AZURE_RESOURCE_GROUP"], os.environ["AZUREML_WORKSPACE_NAME"],
)
ml_client.models.create_or_update(Model(path="weights.json", name="from-a-script"))
endpoint = ManagedOnlineEndpoint(name="from-a-script", auth_mode="key")
print(ml_client.online_endpoints.begin_create_or_update(endpoint).result().scoring_uri)
"""


def workspace_status(emulator: RunningEmulator, token: str | None) -> int:
    path = (
        f"/subscriptions/{emulator.subscription_id}/resourceGroups/{emulator.resource_group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{emulator.workspace}"
    )
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    response = requests.get(emulator.arm_url + path, headers=headers, verify=emulator.ca_bundle, timeout=30)
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    return response.status_code


@pytest.fixture
def environment(aml_emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aml_emulator.env().items():
        if name != "AZUREML_DEV_URL_MFE":
            monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("kind", [EnvironmentCredential, DefaultAzureCredential])
def test_credentials_from_the_environment_are_let_in(aml_emulator: RunningEmulator, kind: type) -> None:
    token = kind(disable_instance_discovery=True).get_token(SCOPE).token
    assert workspace_status(aml_emulator, token) == 200


def test_a_client_secret_is_let_in_and_a_wrong_one_is_not(aml_emulator: RunningEmulator) -> None:
    assert workspace_status(aml_emulator, aml_emulator.credential().get_token(SCOPE).token) == 200
    wrong = ClientSecretCredential(
        aml_emulator.tenant_id,
        aml_emulator.client_id,
        "wrong",
        authority=aml_emulator.authority_host.removeprefix("https://"),
        disable_instance_discovery=True,
        connection_verify=aml_emulator.ca_bundle,
    )
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        wrong.get_token(SCOPE)


def test_a_managed_identity_is_let_in(aml_emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{aml_emulator.arm_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    assert workspace_status(aml_emulator, ManagedIdentityCredential().get_token(SCOPE).token) == 200
    url, headers = f"{aml_emulator.arm_url}/msi/token", {"X-IDENTITY-HEADER": "x"}
    assert requests.get(url, headers=headers, verify=aml_emulator.ca_bundle, timeout=30).status_code == 400


def test_without_a_token_or_with_a_foreign_one_nobody_gets_in(aml_emulator: RunningEmulator) -> None:
    good = aml_emulator.credential().get_token(SCOPE).token
    for_scoring = aml_emulator.credential().get_token("https://ml.azure.com/.default").token
    for token in (None, "", "nonsense", "a.b.c", good[:-3] + "abc", for_scoring):
        assert workspace_status(aml_emulator, token) == 401


SECRET = 'ClientSecretCredential(*(os.environ[f"AZURE_{name}"] for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")), disable_instance_discovery=True)'


@pytest.mark.parametrize(
    "credential",
    [
        "DefaultAzureCredential()",
        "ManagedIdentityCredential()",
        "EnvironmentCredential(disable_instance_discovery=True)",
        SECRET,
    ],
)
def test_the_client_works_with_each_credential_that_the_readme_names(aml_emulator: RunningEmulator, credential: str) -> None:
    aml_emulator.reset()
    names = '"AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME"'
    script = "import os\nfrom azure.ai.ml import MLClient\nfrom azure.ai.ml.entities import ManagedOnlineEndpoint\nfrom azure.identity import *\n"
    script += f"ml_client = MLClient({credential}, *(os.environ[name] for name in ({names})))\n"
    script += "ml_client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name='houses', auth_mode='key')).result()\n"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AZURE")}
    ran = subprocess.run([sys.executable, "-c", script], env=clean | aml_emulator.exports(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert [entry["status"] for entry in aml_emulator.requests.list("endpoint.put")] == [201]


def test_a_script_written_for_azure_runs_with_the_printed_exports_alone(aml_emulator: RunningEmulator, tmp_path: Path) -> None:
    aml_emulator.reset()
    folder = Path(aml_emulator.ca_bundle).parent
    (tmp_path / "weights.json").write_text("[1]")
    (tmp_path / "script.py").write_text(SCRIPT)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AZURE")}
    printed = subprocess.run(
        [sys.executable, "-m", "aml_emulator.cli", "env", "--dir", str(folder)], check=True, capture_output=True, text=True
    )
    command = f"{printed.stdout}\nexec {sys.executable} script.py"
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    uri = f"{aml_emulator.scoring_url}/from-a-script/score"
    assert (ran.returncode, ran.stdout.strip()) == (0, uri), ran.stderr[-2000:]
    [upload] = [e for e in aml_emulator.requests.list("asset.put_version") if "/models/" in e["path"]]
    assert upload["path"].endswith("/models/from-a-script/versions/1")


def test_a_cloud_is_told_alone_or_in_a_list_as_the_api_version_has_it(aml_emulator: RunningEmulator) -> None:
    """Azure's SDK asks for an older version than `az cloud register`."""

    def told(version: str) -> Any:
        url = f"{aml_emulator.arm_url}/metadata/endpoints?api-version={version}"
        return requests.get(url, verify=aml_emulator.ca_bundle, timeout=30).json()

    assert told("2019-05-01") == [told("2022-09-01")]
    assert told("2022-09-01")["resourceManager"] == f"{aml_emulator.arm_url}/"


def test_whoever_has_a_token_sees_the_one_subscription(aml_emulator: RunningEmulator) -> None:
    url, verify = f"{aml_emulator.arm_url}/subscriptions?api-version=2022-12-01", aml_emulator.ca_bundle
    assert requests.get(url, verify=verify, timeout=30).status_code == 401
    headers = {"Authorization": f"Bearer {aml_emulator.credential().get_token(SCOPE).token}"}
    [found] = requests.get(url, headers=headers, verify=verify, timeout=30).json()["value"]
    assert (found["subscriptionId"], found["state"]) == (aml_emulator.subscription_id, "Enabled")
