"""Environments: what a conda file asks for, what is refused and how, and real ones made from it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml.entities import BuildContext, Environment
from azure.core.exceptions import HttpResponseError

from aml_emulator import environments
from aml_emulator.environments import OWN_PYTHON, Recipe, recipe_of
from aml_emulator.errors import OperationFailedError
from aml_emulator.process import running_emulator

SERVER = "azureml-inference-server-http"
# Small, pure Python, and no dependency of ours: the emulator's own interpreter does not have it.
TINY = "cowsay"
CODE = f"""
import sys
import {TINY}
def init():
    pass
def run(_):
    return [sys.prefix, {TINY}.__name__]
"""


def conda(*dependencies: Any) -> dict[str, Any]:
    return {"image": "mcr.example/minimal", "condaFile": json.dumps({"name": "x", "dependencies": list(dependencies)})}


@pytest.mark.parametrize(
    ("dependencies", "recipe"),
    [
        ([f"python={OWN_PYTHON}", {"pip": ["numpy", SERVER]}], Recipe((SERVER, "numpy"))),
        (["python", "pip", {"pip": ["b", "a==1"]}], Recipe(("a==1", SERVER, "b"))),
        (["python>=3.8", "pip=24.0", {"pip": ["azureml_defaults==1.60"]}], Recipe((SERVER,))),
        (["python=3.9.18", {"pip": ["Azureml.Inference-Server_HTTP~=1.4"]}], Recipe(("Azureml.Inference-Server_HTTP~=1.4",), "3.9")),
        ([], Recipe((SERVER,))),
    ],
)
def test_a_conda_file_becomes_pip_requirements_and_a_python(dependencies: list[Any], recipe: Recipe) -> None:
    assert recipe_of(conda(*dependencies)) == recipe


def test_the_same_requirements_in_another_order_are_the_same_environment() -> None:
    one, other = recipe_of(conda({"pip": ["a", "b"]})), recipe_of(conda({"pip": ["b"]}, {"pip": ["a", SERVER]}))
    newer = recipe_of(conda({"pip": ["a", "b==2"]}))
    assert one is not None
    assert other is not None
    assert newer is not None
    assert one.key == other.key != newer.key


def test_an_image_without_a_conda_file_is_used_as_it_is() -> None:
    assert recipe_of({"image": "mcr.example/mine"}) is None


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        (conda("numpy=1.23.5", "python=3.11", "conda-forge::xgboost"), "numpy=1.23.5, conda-forge::xgboost"),
        ({"build": {"contextUri": "https://x"}}, "Dockerfile of https://x"),
        ({"build": {"contextUri": "https://x", "dockerfilePath": "Dockerfile.mine"}}, "Dockerfile.mine"),
        (conda({"pip": ["-r requirements.txt", "--pre", "numpy"]}), "-r requirements.txt, --pre"),
        (conda("python=three"), "python=three"),
        ({"condaFile": "[]"}, "no list of dependencies"),
    ],
)
def test_what_pip_cannot_install_fails_as_an_image_build_that_names_it(properties: dict[str, Any], text: str) -> None:
    with pytest.raises(OperationFailedError) as failure:
        recipe_of(properties)
    assert failure.value.code == "ImageBuildFailure"
    assert text in failure.value.message


def no_index() -> str:
    """Why nothing can be installed here; empty when it can."""
    program = Path(sys.executable).with_name("uv")
    if not program.exists():
        return "no uv beside this Python to ask an index with"
    asked = subprocess.run([str(program), "pip", "compile", "--quiet", "-"], input=TINY, capture_output=True, text=True, check=False)
    return f"no package index is reachable: {asked.stderr[-300:]}" if asked.returncode else ""


def test_deployments_run_in_an_environment_of_their_own_that_is_made_once(tmp_path: Path, azure_of: Any) -> None:
    if reason := no_index():
        pytest.skip(reason)
    cache = tmp_path / "cache"
    with running_emulator(tmp_path / "emulator", "--environments", "cached", "--environment-cache", str(cache)) as emulator:
        azure = azure_of(emulator)
        azure.create_endpoint()

        def deploy(name: str, *dependencies: Any) -> Any:
            (tmp_path / "conda.yml").write_text(json.dumps({"dependencies": list(dependencies)}))
            entity = azure.deployment(name, code=CODE)
            entity.environment = Environment(conda_file=str(tmp_path / "conda.yml"), image="mcr.example/minimal")
            return azure.client.online_deployments.begin_create_or_update(entity).result()

        def failure(name: str, *dependencies: Any) -> str:
            with pytest.raises(HttpResponseError) as failed:
                deploy(name, *dependencies)
            assert failed.value.error.code == "ImageBuildFailure"
            return str(failed.value.error.message)

        deploy("blue", {"pip": ["azureml-defaults", TINY]})
        deploy("green", {"pip": [TINY]}, "pip")
        [made] = [path for path in cache.iterdir() if path.is_dir()]
        for name in ("blue", "green"):
            assert azure.score(name).json() == [str(made), TINY]
        assert "999.0" in failure("never", {"pip": [f"{TINY}==999.0"]})
        assert "scikit-learn=1.2" in failure("conda", "scikit-learn=1.2")
        assert "python=3.99" in failure("future", "python=3.99")
        assert azure.client.online_deployments.get("never", "canary").provisioning_state == "Failed"


@pytest.mark.parametrize("mode", ["cached", "reuse"])
def test_what_only_conda_or_a_dockerfile_could_make_fails_by_name_unless_environments_are_reused(
    tmp_path: Path, azure_of: Any, mode: str
) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile.mine").write_text("FROM scratch\n")
    (tmp_path / "conda.yml").write_text(json.dumps({"dependencies": ["numpy=1.23.5", "conda-forge::xgboost", {"pip": ["cowsay"]}]}))
    asked_for = {
        "conda": (Environment(conda_file=str(tmp_path / "conda.yml"), image="mcr.example/x"), "numpy=1.23.5, conda-forge::xgboost"),
        "docker": (Environment(build=BuildContext(path=str(tmp_path / "context"), dockerfile_path="Dockerfile.mine")), "Dockerfile.mine"),
    }
    with running_emulator(tmp_path / "emulator", "--environments", mode) as emulator:
        azure = azure_of(emulator)
        azure.create_endpoint()
        for name, (environment, named) in asked_for.items():
            entity = azure.deployment(name, code="def init():\n    pass\ndef run(data):\n    return 'reused'\n")
            entity.environment = environment
            if mode == "reuse":
                azure.client.online_deployments.begin_create_or_update(entity).result()
                assert azure.score(name).json() == "reused"
                continue
            with pytest.raises(HttpResponseError) as failure:
                azure.client.online_deployments.begin_create_or_update(entity).result()
            assert failure.value.error.code == "ImageBuildFailure"
            assert named in failure.value.error.message


def test_an_installer_that_is_through_at_once_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: int) -> None:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(environments.instances, "tie", gone)
    asyncio.run(environments._run([sys.executable, "-c", ""]))


def test_without_uv_an_environment_is_made_with_venv_and_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A package in a file of its own, so that no index is needed.
    wheel = tmp_path / "tiny_thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_thing.py", "answer = 42\n")
        archive.writestr("tiny_thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        archive.writestr("tiny_thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny_thing-1.0.dist-info/RECORD", "tiny_thing.py,,\n")
    monkeypatch.setattr(environments, "_uv", lambda: None)
    target = tmp_path / "made"
    python = target / "bin" / "python"
    asyncio.run(environments._build(Recipe((f"tiny-thing @ {wheel.as_uri()}",)), target, python))
    said = subprocess.run(
        [str(python), "-c", "import sys, tiny_thing; print(sys.prefix, tiny_thing.answer)"], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [str(target), "42"]
    # venv brings pip along, uv does not.
    assert (target / "bin" / "pip").exists()
