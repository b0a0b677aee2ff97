"""What Azure makes for an MLflow model that comes without scoring code or environment: both, from what the model says of itself.

The code is `mlflow_code`; the environment has what the model's own conda file lists, and what serving it takes. Documented by Microsoft as
"no-code deployment". May import: `errors`, `state`, `wire`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from aml_emulator.errors import OperationFailedError
from aml_emulator.state import Asset
from aml_emulator.wire import Json

CODE = Path(__file__).with_name("mlflow_code")
SCRIPT = "mlflow_score.py"
# Azure adds it; a model that was logged with all of MLflow has it already.
MLFLOW = "mlflow-skinny"


def is_mlflow(model: Asset | None) -> bool:
    return model is not None and str(model.properties.get("modelType", "")).lower() == "mlflow_model"


def environment(model: Path) -> Json:
    """An environment's properties for the model in a folder. Raises OperationFailedError where it is no MLflow model."""
    try:
        described = _mapping((model / "MLmodel").read_text())
        python = described["flavors"]["python_function"]
        env = python.get("env")
        named = env.get("conda") if isinstance(env, dict) else env
        conda = _mapping(_inside(model, named).read_text()) if named else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        text = f"{model.name} cannot be served as an MLflow model: {type(error).__name__} {error}"
        raise OperationFailedError("ImageBuildFailure", f"Image build failed. {text}") from None
    listed = conda.get("dependencies")
    dependencies = list(listed) if isinstance(listed, list) else []
    pip = [one for group in dependencies if isinstance(group, dict) for one in group.get("pip") or []]
    if not any(re.match(r"mlflow(-skinny)?\s*([\[=<>!~;@]|$)", str(one)) for one in pip):
        dependencies.append({"pip": [MLFLOW]})
    return {"condaFile": json.dumps({"dependencies": dependencies})}


def _inside(folder: Path, name: str) -> Path:
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name} is not in its folder")
    return file


def _mapping(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text)
    if not isinstance(found, dict):
        raise ValueError("it is no mapping")
    return found
