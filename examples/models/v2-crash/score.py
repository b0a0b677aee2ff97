"""As v2, but it does not come up: init() raises, so the deployment fails."""

from __future__ import annotations


def init() -> None:
    raise RuntimeError("cannot load the model: unsupported format version 7")


def run(raw_data: str) -> list[float]:
    raise NotImplementedError
