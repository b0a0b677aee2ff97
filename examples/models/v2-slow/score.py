"""As v2, but every answer takes its time."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

OFFSET = 0.25
weights: list[float] = []


def init() -> None:
    # AZUREML_MODEL_DIR holds what was registered: a folder is kept as a folder, a file as a file.
    found = sorted(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("weights.json"))
    weights[:] = json.loads(found[0].read_text())["weights"]


def run(raw_data: str) -> list[float]:
    time.sleep(float(os.environ.get("SLOW_SECONDS", "0.3")))
    rows = json.loads(raw_data)["data"]
    return [round(OFFSET + sum(w * x for w, x in zip(weights, row, strict=True)), 6) for row in rows]
