"""As v2, but it fails: every request, or every BROKEN_EVERY-th, and only while the file BROKEN_WHILE is there, if it names one.

The platform reports each failure as 424.
"""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path

OFFSET = 0.25
weights: list[float] = []
asked = count(1)


def init() -> None:
    # AZUREML_MODEL_DIR holds what was registered: a folder is kept as a folder, a file as a file.
    found = sorted(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("weights.json"))
    weights[:] = json.loads(found[0].read_text())["weights"]


def run(raw_data: str) -> list[float]:
    rows = json.loads(raw_data)["data"]
    trigger = os.environ.get("BROKEN_WHILE")
    if next(asked) % int(os.environ.get("BROKEN_EVERY", "1")) == 0 and (trigger is None or Path(trigger).exists()):
        raise RuntimeError(f"the feature store is not reachable: no features for {len(rows)} rows")
    return [round(OFFSET + sum(w * x for w, x in zip(weights, row, strict=True)), 6) for row in rows]
