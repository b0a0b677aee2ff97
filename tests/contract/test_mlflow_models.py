"""An MLflow model without code and environment, in an environment made for it: it answers as Azure's do, and what `init` writes leads there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aml_canary.domain.manifest_reader import read_manifest, require
from aml_canary.domain.observed import Facts
from aml_canary.domain.order import order_of
from aml_canary.domain.starter import Beginning, files
from aml_canary.gateways import azureml
from aml_canary.gateways.folder import FolderTree
from aml_emulator.process import running_emulator
from tests.contract.conftest import environment, forget
from tests.contract.emulator.conftest import ENDPOINT, Azure
from tests.contract.emulator.test_emulator_environments import no_index
from tests.contract.mlflow_world import deployment, logged


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """An emulator that makes environments, as this process's installation."""
    if reason := no_index():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("mlflow")
    with running_emulator(folder / "emulator", "--environments", "cached") as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(emulator, folder / "home").items():
            patch.setenv(name, value)
        forget()
        yield Azure(emulator.ml_client(), emulator)
    forget()


def test_a_model_without_code_or_environment_answers_tables_lists_and_lists_by_name(cached: Azure, tmp_path: Path) -> None:
    cached.create_endpoint()
    made = cached.client.online_deployments.begin_create_or_update(deployment(logged(tmp_path / "houses"))).result()
    assert (made.provisioning_state, made.code_configuration, made.environment) == ("Succeeded", None, None)
    for data, answer in [
        ({"columns": ["rooms", "floors"], "index": [7], "data": [[1, 2]]}, [4.5]),
        ([[1, 2], [3, 4]], [4.5, 8.5]),
        ({"rooms": [2, 4]}, {"prices": [3.0, 6.0]}),
    ]:
        assert cached.score("blue", {"input_data": data}).json() == answer
    assert cached.score("blue", {"input_data": [[1, 2]], "params": {"times": 2}}).json() == [9.0]
    refused = cached.score("blue", {"data": [[1, 2]]})
    assert (refused.status_code, refused.headers["ms-azureml-model-error-statuscode"]) == (424, "500")
    assert "no key input_data" in cached.client.online_deployments.get_logs("blue", ENDPOINT, lines=100)


def test_what_init_writes_for_an_mlflow_model_is_served(cached: Azure, tmp_path: Path) -> None:
    logged(tmp_path / "models/houses")
    begin = Beginning("houses", "models/houses", "acme/models", "github", "https://git.example.test/acme/models")
    for name, text in files(begin).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    tree = FolderTree(tmp_path)
    order = order_of(require(read_manifest(tree, "configs/houses.canary.yml")), tree, begin.url, "c" * 40)
    [stage] = order.stages
    azureml.create_endpoint(stage.stage.endpoint, Facts(commit="c" * 40))
    azureml.create_deployment("houses", stage.stage.deployments["blue"], stage.fingerprints["blue"], "c" * 40, tmp_path)
    [answer] = json.loads(
        cached.client.online_endpoints.invoke(
            endpoint_name="houses", request_file=str(tmp_path / "configs/houses-request.json"), deployment_name="blue"
        )
    )
    assert answer == 4.5
