"""Scripts as Azure ML's users write them, after Microsoft's how-tos: they know nothing of the emulator and run unmodified."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aml_emulator.process import RunningEmulator

SCRIPTS = Path(__file__).with_name("scripts")
SCORE = """
import json, os, pathlib
def init():
    global weights
    weights = json.loads(next(pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("weights.json")).read_text())
def run(body):
    return [round({offset} + sum(w * x for w, x in zip(weights, row)), 2) for row in json.loads(body)["data"]]
"""
PRINTED = {
    "deploy": ["my-endpoint True {'blue': 100} True", "[5, 11]", "3 instances", "0 endpoints left"],
    "safe_rollout": [
        "blue alone: [5, 11]",
        "green by name: [6, 12]",
        "mirrored: {'green': 10}",
        "a little: {'blue': 90, 'green': 10}",
        "too early: BadRequest",
        "left: ['green'] [6, 12]",
    ],
    "mirrored_traffic": [
        "too much: BadRequest",
        "live as well: BadRequest",
        "mirrored: {'green': 50}",
        "answers: {'[5, 11]'}",
        "blue was asked 40 times, green less often: True",
        "off again: {}",
    ],
    "view_logs": ["ResourceNotReady", "ZeroDivisionError: division by zero", "True", "True", "True"],
    "keys_and_tokens": [
        "key (200, 'blue') (200, 'blue') 401",
        "renewed 200 401 True",
        "aml_token (200, 'blue') True",
        "aad_token (200, 'blue') True",
    ],
    "yaml_files": ["{'blue': 100} 2", "[5, 11]"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What lies beside such a script."""
    files = {
        "src/score.py": SCORE.replace("{offset}", "0"),
        "src-next/score.py": SCORE.replace("{offset}", "1"),
        "src-broken/score.py": "def init():\n    1 / 0\ndef run(body):\n    return body\n",
        "model/weights.json": "[1, 2]",
        "conda.yml": "name: inference\ndependencies:\n  - python=3.11\n  - pip:\n      - azureml-inference-server-http\n",
        "sample-request.json": '{"data": [[1, 2], [3, 4]]}',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_script_is_run() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.py")} == set(PRINTED)
    assert not [path for path in SCRIPTS.glob("*.py") if "emulator" in path.read_text()]


@pytest.mark.parametrize("name", PRINTED)
def test_a_script_written_for_azure_runs_with_the_printed_exports(aml_emulator: RunningEmulator, folder: Path, name: str) -> None:
    aml_emulator.reset()
    emulator = Path(aml_emulator.ca_bundle).parent
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AZURE")}
    command = f'eval "$({sys.executable} -m aml_emulator.cli env --dir {emulator})"; exec {sys.executable} {SCRIPTS / name}.py'
    ran = subprocess.run(["sh", "-c", command], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    # The client prints dots while it waits.
    printed = [line.lstrip(".") for line in ran.stdout.splitlines() if line.strip(".")]
    assert printed == PRINTED[name], ran.stderr[-3000:]
    assert ran.returncode == 0
    aml_emulator.reset()
