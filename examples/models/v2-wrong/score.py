"""As v2, but wrong, politely: HTTP 200 and the same answer for everything."""

from __future__ import annotations

import json


def init() -> None:
    pass


def run(raw_data: str) -> list[float]:
    return [0.5 for _ in json.loads(raw_data)["data"]]
