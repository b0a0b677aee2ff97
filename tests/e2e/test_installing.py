"""Installed as docs/security.md and the emulator's README say, from a copy of the checkout: the packages hold all that they need.

What the lock names is there already, from the environment of these tests, so pip downloads little.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from examples.demo.stack import free_port, without_settings
from tests.contract.emulator.test_emulator_readme import write_the_script
from tests.e2e.azure_cli import AZ
from tests.reader import Reader
from tests.unit.documents import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as docs/security.md has it made: its programs."""
    folder = tmp_path_factory.mktemp("installed")
    copy(folder / "checkout")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    [packages] = (folder / "venv/lib").glob("python*/site-packages")
    # Without the link there to the checkout, which is no path but a program that finds.
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    with Reader("docs/security.md", folder / "checkout", environment(folder / "venv/bin")) as reader:
        assert "Successfully installed aml-canary" in reader.read()
    return folder / "venv/bin"


def copy(folder: Path) -> None:
    """What git has of the checkout."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "build", "__pycache__", "*.egg-info"))


def environment(programs: Path) -> dict[str, str]:
    return without_settings(os.environ) | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def test_what_is_installed_is_whole(installed: Path, tmp_path: Path) -> None:
    def said(command: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-ec", command], env=environment(installed), cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = said("python -c 'import aml_canary, aml_emulator, flows, tasks; print(*map(lambda m: m.__file__, (aml_canary, flows)))'")
    assert all(path.startswith(str(installed.parent)) for path in where.split()), where
    here = {path.relative_to(ROOT).as_posix() for name in ("aml_canary", "aml_emulator", "flows", "tasks") for path in files(ROOT / name)}
    [packages] = (installed.parent / "lib").glob("python*/site-packages")
    there = {
        path.relative_to(packages).as_posix()
        for name in ("aml_canary", "aml_emulator", "flows", "tasks")
        for path in files(packages / name)
    }
    assert here == there
    assert "aml-canary" in said("aml-canary --version")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_whoever_wants_the_emulator_only_gets_by_with_its_readme(installed: Path, tmp_path: Path) -> None:
    copy(tmp_path / "checkout")
    own = {"--arm-port 8443 --scoring-port 8080": f"--arm-port {free_port()} --scoring-port {free_port()}"}
    with Reader("aml_emulator/README.md", tmp_path / "checkout", environment(installed), own) as reader:
        install, start = reader.lines()
        assert "Successfully installed aml-canary" in reader.type(install)
        with reader.beginning(start) as going:
            write_the_script(reader.folder)
            going.wait_until((reader.folder / ".aml-emulator/ready.json").exists, 240)
            assert "[2, 4, 6]" in reader.read()
            if AZ is None:
                reader.skip("az")
                return
            assert '"name": "aml-emulator"' in reader.read()
            assert re.search(r'"state": "Enabled"', reader.type("az account show"))
            listed = reader.type('az rest --url "$AZURE_AUTHORITY_HOST/subscriptions?api-version=2022-12-01" --query "value[].displayName"')
            assert json.loads(listed) == ["aml-emulator"]
