"""The pytest fixture `aml_emulator`: one emulator per session.

Use with `pytest_plugins = ["aml_emulator.pytest_plugin"]` or `-p aml_emulator.pytest_plugin`.
Call `aml_emulator.reset()` between tests. May import: pytest, `process`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from aml_emulator.process import RunningEmulator, running_emulator


@pytest.fixture(scope="session")
def aml_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEmulator]:
    with running_emulator(tmp_path_factory.mktemp("aml-emulator")) as emulator:
        # Storage clients of the SDK take their trust from the environment only.
        before = {name: os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
        os.environ.update(dict.fromkeys(before, emulator.ca_bundle))
        try:
            yield emulator
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
