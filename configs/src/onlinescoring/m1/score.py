"""Model m1: the weighted sum of each row. Its weights are in `model.json` of the registered model; without one, all are 1."""

import json
import os
from pathlib import Path

WEIGHTS = [1.0] * 10


def init():
    """Called once, before the first request."""
    global WEIGHTS
    folder = os.environ.get("AZUREML_MODEL_DIR")
    found = sorted(Path(folder).rglob("model.json")) if folder else []
    if found:
        WEIGHTS = json.loads(found[0].read_text(encoding="utf-8"))["weights"]


def run(raw_data):
    """One number for each row of `{"data": [[...], ...]}`. What is wrong raises, so that it is not answered with a 200."""
    rows = json.loads(raw_data)["data"]
    return [sum(weight * value for weight, value in zip(WEIGHTS, row, strict=True)) for row in rows]
