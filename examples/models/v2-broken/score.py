"""As v2, but it answers every request with an error: the platform reports 424."""

from __future__ import annotations

import json


def init() -> None:
    pass


def run(raw_data: str) -> list[float]:
    rows = json.loads(raw_data)["data"]
    raise RuntimeError(f"the feature store is not reachable: no features for {len(rows)} rows")
