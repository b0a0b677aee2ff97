"""Model m2: m1's weighted sum, and a bias. Both are in `model.json` of the registered model; without one, all weights are 1 and the bias 0.5."""

import json
import os
from pathlib import Path

WEIGHTS = [1.0] * 10
BIAS = 0.5


def init():
    """Called once, before the first request."""
    global WEIGHTS, BIAS
    folder = os.environ.get("AZUREML_MODEL_DIR")
    found = sorted(Path(folder).rglob("model.json")) if folder else []
    if found:
        model = json.loads(found[0].read_text(encoding="utf-8"))
        WEIGHTS, BIAS = model["weights"], model["bias"]


def run(raw_data):
    """One number for each row of `{"data": [[...], ...]}`. What is wrong raises, so that it is not answered with a 200."""
    rows = json.loads(raw_data)["data"]
    return [BIAS + sum(weight * value for weight, value in zip(WEIGHTS, row, strict=True)) for row in rows]
