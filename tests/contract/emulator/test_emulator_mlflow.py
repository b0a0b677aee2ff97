"""MLflow models that come without code and environment: what they ask for and what is refused (`test_mlflow_models` has one that answers)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml.constants import AssetTypes
from azure.core.exceptions import HttpResponseError

from aml_emulator import no_code
from aml_emulator.errors import OperationFailedError
from tests.contract.emulator.conftest import ENDPOINT, Azure
from tests.contract.mlflow_world import CONDA, MLMODEL, deployment, logged


@pytest.mark.parametrize(
    ("env", "pip", "added"),
    [
        ("conda.yaml", ["mlflow==2.20"], []),
        ("{conda: conda.yaml}", ["mlflow-skinny"], []),
        ("conda.yaml", ["mlflow [extras] >= 3"], []),
        ("conda.yaml", ["mlflowish", "scikit-learn==1.5"], [{"pip": ["mlflow-skinny"]}]),
    ],
)
def test_its_environment_is_what_its_conda_file_lists_and_mlflow(tmp_path: Path, env: str, pip: list[str], added: list[Any]) -> None:
    listed = ["python=3.11", {"pip": pip}]
    model = logged(tmp_path, f"flavors: {{python_function: {{env: {env}}}}}", {"dependencies": listed})
    assert json.loads(no_code.environment(model)["condaFile"]) == {"dependencies": listed + added}


def test_a_model_that_names_no_environment_gets_mlflow_alone(tmp_path: Path) -> None:
    made = no_code.environment(logged(tmp_path, "flavors: {python_function: {loader_module: houses}}"))
    assert json.loads(made["condaFile"]) == {"dependencies": [{"pip": ["mlflow-skinny"]}]}


@pytest.mark.parametrize(
    ("mlmodel", "conda"),
    [
        ("[]", CONDA),
        ("flavors: {sklearn: {}}", CONDA),
        ("flavors: {python_function: none}", CONDA),
        ("flavors: [", CONDA),
        ("flavors: {python_function: {env: other.yaml}}", CONDA),
        ("flavors: {python_function: {env: ../conda.yaml}}", CONDA),
        (MLMODEL, ["numpy"]),
    ],
)
def test_what_is_no_mlflow_model_fails_as_an_image_build_that_says_so(tmp_path: Path, mlmodel: str, conda: Any) -> None:
    (tmp_path / "conda.yaml").write_text(json.dumps(CONDA))
    with pytest.raises(OperationFailedError, match="cannot be served as an MLflow model") as failure:
        no_code.environment(logged(tmp_path / "model", mlmodel, conda))
    assert failure.value.code == "ImageBuildFailure"


def test_where_environments_are_reused_and_mlflow_is_not_there_the_log_says_so(azure: Azure, tmp_path: Path) -> None:
    azure.create_endpoint()
    with pytest.raises(HttpResponseError, match="crashed or terminated"):
        azure.client.online_deployments.begin_create_or_update(deployment(logged(tmp_path / "houses"))).result()
    assert "No module named 'mlflow'" in azure.client.online_deployments.get_logs("blue", ENDPOINT, lines=100)


@pytest.mark.parametrize("kind", [AssetTypes.CUSTOM_MODEL, AssetTypes.TRITON_MODEL])
def test_another_model_without_code_is_501(azure: Azure, tmp_path: Path, kind: str) -> None:
    azure.create_endpoint()
    with pytest.raises(HttpResponseError, match="custom container") as refused:
        azure.client.online_deployments.begin_create_or_update(deployment(logged(tmp_path / "houses"), kind)).result()
    assert refused.value.status_code == 501
