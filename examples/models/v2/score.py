"""The next model: as v1, with answers a little higher."""

from __future__ import annotations

import json
import os
from pathlib import Path

OFFSET = 0.25
weights: list[float] = []


def init() -> None:
    # AZUREML_MODEL_DIR holds what was registered: a folder is kept as a folder, a file as a file.
    found = sorted(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("weights.json"))
    weights[:] = json.loads(found[0].read_text())["weights"]


def run(raw_data: str) -> list[float]:
    rows = json.loads(raw_data)["data"]
    return [round(OFFSET + sum(w * x for w, x in zip(weights, row, strict=True)), 6) for row in rows]
