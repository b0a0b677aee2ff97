"""The scoring script of an MLflow model that came without one, as Azure makes one for it.

What it takes and gives is what Microsoft documents for it ("Deploy MLflow models to online endpoints", input types): `input_data` is a table in
pandas' split orientation, a list or lists by name; the answer is the predictions as JSON. Never imported here: it is copied to where a
deployment's code would be, and runs in the deployment's environment. May import: mlflow, numpy and pandas.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import mlflow.pyfunc  # type: ignore[import-not-found,unused-ignore]
import numpy  # type: ignore[import-not-found,unused-ignore]
import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]

model: Any = None


def init() -> None:
    global model
    # The folder's own name is whatever it was called when the model was registered.
    [described] = [*Path(os.environ["AZUREML_MODEL_DIR"]).glob("*/MLmodel"), *Path(os.environ["AZUREML_MODEL_DIR"]).glob("MLmodel")]
    model = mlflow.pyfunc.load_model(str(described.parent))


def run(raw_data: str) -> Any:
    asked = json.loads(raw_data)
    if "input_data" not in asked:
        raise ValueError("The request has no key input_data.")
    params = {"params": asked["params"]} if asked.get("params") else {}
    return plain(model.predict(features(asked["input_data"]), **params))


def features(data: Any) -> Any:
    if not isinstance(data, dict):
        return numpy.asarray(data)
    if "data" in data and set(data) <= {"columns", "index", "data"}:
        return pandas.DataFrame(**data)
    return {name: numpy.asarray(values) for name, values in data.items()}


def plain(predictions: Any) -> Any:
    if isinstance(predictions, pandas.DataFrame):
        return predictions.to_dict("records")
    if isinstance(predictions, dict):
        return {name: plain(values) for name, values in predictions.items()}
    if isinstance(predictions, list):
        return [plain(value) for value in predictions]
    return predictions.tolist() if hasattr(predictions, "tolist") else predictions
