"""Models, environments, codes and datastores: everything that Microsoft's client asks for them, driven by the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml.constants import ListViewType
from azure.ai.ml.entities import BuildContext, CodeConfiguration, Environment, ManagedOnlineDeployment, ManagedOnlineEndpoint, Model
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from aml_emulator.process import running_emulator

ENDPOINT = "canary"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    texts = {
        "model/weights.json": "[1]",
        "src/score.py": "def init():\n    pass\ndef run(data):\n    return 'here'\n",
        "context/Dockerfile.mine": "FROM scratch\n",
        "conda.yml": "dependencies:\n  - pip\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def archived(found: Any) -> list[str]:
    return [one.name for one in found]


def test_assets_are_numbered_found_by_their_latest_version_and_archived_one_by_one_or_whole(azure: Any, files: Path) -> None:
    models, environments = azure.client.models, azure.client.environments
    made: dict[str, Any] = {
        "models": lambda: models.create_or_update(Model(path=str(files / "model"), name="asset")),
        "environments": lambda: environments.create_or_update(
            Environment(name="asset", image=f"image-{len(list(environments.list()))}", conda_file=str(files / "conda.yml"))
        ),
    }
    assert [made["models"]().version, made["models"]().version] == ["1", "2"]
    assert made["environments"]().version == "1"
    for kind in (models, environments):
        latest = kind.get("asset", label="latest").version
        assert kind.list("asset").next().version in ("1", "2")
        kind.archive("asset", version=latest)
        assert latest not in [one.version for one in kind.list("asset")]
        kind.restore("asset", version=latest)
        kind.archive("asset")
        assert archived(kind.list()) == []
        assert archived(kind.list(list_view_type=ListViewType.ARCHIVED_ONLY)) == ["asset"]
        kind.restore("asset")
        assert archived(kind.list()) == ["asset"]
        assert kind.get("asset", label="latest").version == latest


def test_a_model_keeps_what_is_said_of_it_and_not_another_content(azure: Any, files: Path) -> None:
    models = azure.client.models
    model = models.create_or_update(Model(path=str(files / "model"), name="trees", version="1", tags={"a": "1"}, description="first"))
    model.tags, model.stage = {"a": "2"}, "Production"
    models.create_or_update(model)
    shown = models.get("trees", "1")
    assert (shown.tags, shown.stage, shown.description) == ({"a": "2"}, "Production", "first")
    (files / "model/weights.json").write_text("[2]")
    with pytest.raises(HttpResponseError):
        models.create_or_update(Model(path=str(files / "model"), name="trees", version="1"))


def test_the_default_datastore_is_there_with_its_secrets_and_no_other(azure: Any) -> None:
    datastores = azure.client.datastores
    assert [one.name for one in datastores.list()] == [datastores.get_default().name] == ["workspaceblobstore"]
    assert "sig=" in datastores.get("workspaceblobstore", include_secrets=True).credentials.sas_token
    assert "sig=" in datastores.get_default(include_secrets=True).credentials.sas_token
    with pytest.raises(ResourceNotFoundError):
        datastores.get("elsewhere")


def test_deployments_take_assets_however_they_are_named(azure: Any, files: Path) -> None:
    client = azure.client
    azure.create_endpoint()
    client.models.create_or_update(Model(path=str(files / "model"), name="trees"))
    client.environments.create_or_update(Environment(name="inference", image="x", conda_file=str(files / "conda.yml")))

    def deploy(name: str, model: Any, environment: Any, code: str) -> Any:
        entity = ManagedOnlineDeployment(
            name=name,
            endpoint_name=ENDPOINT,
            model=model,
            environment=environment,
            code_configuration=CodeConfiguration(code=code, scoring_script="score.py"),
            instance_type="Standard_DS3_v2",
            instance_count=1,
        )
        client.online_deployments.begin_create_or_update(entity).result()
        return client.online_deployments.get(name, ENDPOINT)

    latest = deploy("latest", "trees@latest", "inference@latest", str(files / "src"))
    registered = latest.code_configuration.code
    uploads = len(azure.emulator.requests.list("code.start_pending_upload"))
    named = deploy("named", "azureml:trees:1", "azureml:inference:1", registered)
    objects = deploy("objects", client.models.get("trees", "1"), client.environments.get("inference", "1"), str(files / "src"))
    curated = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
    built = Environment(build=BuildContext(path=str(files / "context"), dockerfile_path="Dockerfile.mine"))
    for name, environment in (("curated", curated), ("built", built)):
        # With `--environments reuse` it is no matter what an environment asks for.
        assert deploy(name, "trees@latest", environment, registered).provisioning_state == "Succeeded"
    assert latest.model == named.model == objects.model
    assert latest.model.endswith("/models/trees/versions/1")
    assert latest.environment == named.environment == objects.environment
    assert named.code_configuration.code == objects.code_configuration.code == registered
    assert len(azure.emulator.requests.list("code.start_pending_upload")) == uploads
    assert {azure.score(name).json() for name in ("latest", "named", "objects", "curated", "built")} == {"here"}


@pytest.mark.parametrize("name", ["models", "codes"])
def test_a_resource_group_and_a_workspace_may_have_any_name(tmp_path: Path, azure_of: Any, files: Path, name: str) -> None:
    with running_emulator(
        tmp_path / "emulator", "--resource-group", name, "--workspace", name, "--subscription", "environments"
    ) as emulator:
        azure = azure_of(emulator)
        azure.client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=ENDPOINT, auth_mode="key")).result()
        azure.key = azure.client.online_endpoints.get_keys(ENDPOINT).primary_key
        azure.deploy("blue", code=(files / "src/score.py").read_text())
        assert azure.score("blue").json() == "here"
