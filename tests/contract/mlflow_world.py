"""An MLflow model as MLflow writes one, small and with nothing but arithmetic in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import ManagedOnlineDeployment, Model

from aml_emulator.environments import OWN_PYTHON
from tests.contract.emulator.conftest import ENDPOINT

CODE = """
import json, os
class Houses:
    def __init__(self, base):
        self.base = base
    def predict(self, data, params=None):
        # A table, a list, or lists by name.
        if isinstance(data, dict):
            return {"prices": data["rooms"] * self.base}
        return (data.sum(axis=1) + self.base) * (params or {}).get("times", 1)
def _load_pyfunc(folder):
    with open(os.path.join(folder, "base.json")) as file:
        return Houses(json.load(file))
"""
MLMODEL = """
flavors:
  python_function: {loader_module: houses, code: code, data: data, env: {conda: conda.yaml, virtualenv: python_env.yaml}}
signature: {params: '[{"name": "times", "type": "double", "default": 1.0, "shape": null}]'}
"""
CONDA = {"dependencies": [f"python={OWN_PYTHON}", "pip<=24.0", {"pip": ["mlflow-skinny<4", "pandas"]}]}


def logged(folder: Path, mlmodel: str = MLMODEL, conda: Any = CONDA) -> Path:
    """The folder that MLflow makes of a model."""
    for name, text in {"MLmodel": mlmodel, "conda.yaml": json.dumps(conda), "code/houses.py": CODE, "data/base.json": "1.5"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def deployment(path: Path, kind: str = AssetTypes.MLFLOW_MODEL) -> ManagedOnlineDeployment:
    """As Microsoft's documents have it: a model, and nothing else of what would serve it."""
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    return ManagedOnlineDeployment(
        name="blue",
        endpoint_name=ENDPOINT,
        model=Model(path=str(path), type=kind),
        instance_type="Standard_DS3_v2",
        instance_count=1,
        environment_variables=variables,
    )
