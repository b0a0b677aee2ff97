"""The emulator's README says what is so: its table, its help texts, and its examples, which are run as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aml_emulator import coverage
from aml_emulator.pace import KINDS
from aml_emulator.process import RunningEmulator
from aml_emulator.routes import OPERATIONS, Operation

README = coverage.README.read_text()
SPEC = Path(__file__).resolve().parents[4] / "shared" / "reference" / "arm-spec"
NAMES = {"version": "1", "kind:codes|models|environments": "models", "blob*": "x"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def filled(arm: Any, path: str) -> str:
    """A route with a name in each of its places."""
    emulator: RunningEmulator = arm.emulator
    names = {"subscription": emulator.subscription_id, "group": emulator.resource_group, "workspace": emulator.workspace}
    return re.sub(r"\{([^}]*)\}", lambda match: (NAMES | names).get(match[1], "nobody"), path)


def clean_environment() -> dict[str, str]:
    # The client leaves the name of its cloud there, for every process that comes after it.
    return {name: value for name, value in os.environ.items() if not name.startswith("AZURE")}


def test_the_coverage_table_is_made_from_the_routes() -> None:
    assert coverage.shown() == coverage.table(), "run `python -m aml_emulator.coverage`"
    assert {*coverage.PARTLY} <= {operation.name for operation in OPERATIONS}


@pytest.mark.parametrize("operation", coverage.MISSING, ids=lambda operation: operation.name)
def test_what_the_table_calls_501_answers_501_in_azures_shape(arm: Any, operation: Operation) -> None:
    answer = arm.call(operation.method, filled(arm, operation.path), {} if operation.method != "GET" else None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "NotImplemented")


@pytest.mark.skipif(not SPEC.exists(), reason="the official OpenAPI description is not beside this checkout (../shared/reference/arm-spec)")
def test_every_operation_of_the_official_description_is_in_the_table() -> None:
    def plain(method: str, path: str) -> tuple[str, str]:
        return method.upper(), re.sub(r"\{[^}]*\}", "{}", path).lower()

    ours = {plain(operation.method, operation.path) for operation in (*OPERATIONS, *coverage.MISSING)}
    for description in SPEC.glob("*.online-only.json"):
        paths = json.loads(description.read_text())["paths"]
        theirs = {plain(method, path) for path, methods in paths.items() for method in methods}
        assert len(theirs) == 15
        assert theirs <= ours


def test_help_texts_are_those_of_the_program() -> None:
    for block, words in ((blocks("console")[0].partition("\n")[2], ["--help"]), (blocks("text")[0], ["start", "--help"])):
        command = [sys.executable, "-c", "from aml_emulator.cli import main; main(prog_name='aml-emulator')", *words]
        printed = subprocess.run(command, env=os.environ | {"COLUMNS": "80"}, capture_output=True, text=True, check=True).stdout
        assert block == printed, f"{words}:\n{printed}"
    assert {f"`{kind}`" for kind in KINDS} == set(re.findall(r"`[a-z_.]+`", README.split("\nKinds: ")[1].split("\n")[0]))


def write_the_script(folder: Path) -> None:
    """The ten lines, and each file that they need, as they stand."""
    script, score, *_ = blocks("python")
    (folder / "src").mkdir()
    (folder / "src/score.py").write_text(score)
    (folder / "script.py").write_text(script)
    assert "These ten lines" in README
    assert len([line for line in script.splitlines() if line]) == 10
    for name, text in zip(("endpoint.yml", "blue.yml", "conda.yml"), blocks("yaml"), strict=True):
        assert f"`{name}`\n\n```yaml\n{text}" in README
        (folder / name).write_text(text)
    for name, text in re.findall(r"`(\w+\.json)` = `([^`]+)`", README):
        (folder / name).write_text(text)


def test_the_script_runs_as_it_stands_with_the_printed_exports_and_so_do_the_examples_after_it(
    aml_emulator: RunningEmulator, tmp_path: Path
) -> None:
    aml_emulator.reset()
    write_the_script(tmp_path)
    *_, faults, pace = blocks("python")
    folder = Path(aml_emulator.ca_bundle).parent
    command = f'eval "$({sys.executable} -m aml_emulator.cli env --dir {folder})"; exec {sys.executable} script.py'
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert ran.stdout.rstrip().endswith("[2, 4, 6]"), ran.stderr[-2000:]
    try:
        exec(pace, {"emulator": aml_emulator})  # noqa: S102  the README's own text
        exec(faults, {"emulator": aml_emulator})  # noqa: S102
        assert len(aml_emulator.faults.list()) == len(re.findall(r"faults\.add", faults))
    finally:
        aml_emulator.reset()


def test_the_pytest_example_passes(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(blocks("python")[2])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:]
