"""Manifests, settings, JSON and Python in the documents: each block is read by what it is written for. A block of no known kind is refused."""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from aml_canary.domain.manifest_reader import read_manifest, require
from aml_canary.domain.observed import absent
from aml_canary.domain.order import order_of, what_is_left
from aml_canary.domain.steps import ShiftTraffic
from aml_canary.domain.tree import MemoryTree
from aml_canary.settings import Settings
from tests.unit.documents import DOCS, OURS, ROOT, Block, blocks

FOLDERS = ("configs", "examples", "models")
# What the manifest around a fragment looks like.
AROUND = {
    "endpoint": {"name": "churn", "traffic": {"green": 100}},
    "deployments": {"green": {"model": "azureml:churn:4", "instance_type": "Standard_F2s_v2"}},
    "rollout": {"smoke": {"requests": [{"name": "sample", "file": "sample-request.json"}]}},
}


def kind_of(block: Block) -> str:
    """What a YAML block is; empty where nobody would read it."""
    said = yaml.safe_load(block.text)
    keys = said.keys() if isinstance(said, dict) else {}
    if {"endpoint", "deployments", "rollout"} <= keys:
        return "manifest"
    if keys == {"rollout"}:
        return "rollout"
    if keys == {"schedules"}:
        return "schedules"
    if keys == {"repos"}:
        return "pre-commit"
    # Azure's own files in the emulator's README are deployed by tests/contract/emulator/test_emulator_readme.py.
    return "azure" if block.where.startswith("aml_emulator/") else ""


def tree_with(text: str) -> tuple[MemoryTree, str]:
    """A repository that has the examples' files, where the documents say they are, and a manifest; its path."""
    sources = {"configs": "configs", "examples": "examples", "models": "examples/models"}
    files = {
        f"{name}/{path.relative_to(ROOT / source).as_posix()}": path.read_bytes()
        for name, source in sources.items()
        for path in (ROOT / source).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    requests = dict.fromkeys(("examples/manifests/houses-request.json", "examples/manifests/churn-request.json"), b"{}")
    path = "examples/manifests/canary.yml"
    return MemoryTree({**files, **requests, path: text.encode()}), path


def findings(text: str) -> list[str]:
    """What is wrong with a manifest there."""
    return [str(finding) for finding in read_manifest(*tree_with(text)).errors]


YAML = blocks("yaml")


@pytest.mark.parametrize("block", YAML, ids=lambda block: f"{block.where}: {block.text.splitlines()[0][:40]}")
def test_every_yaml_block_is_read_by_what_it_is_for(block):
    kind = kind_of(block)
    if kind == "manifest":
        assert findings(block.text) == [], block.where
    elif kind == "rollout":
        said = yaml.safe_load(block.text)["rollout"]
        assert findings(yaml.safe_dump({**AROUND, "rollout": {**AROUND["rollout"], **said}})) == [], block.where
    elif kind == "pre-commit":
        hooks = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
        assert {hook["id"] for repo in yaml.safe_load(block.text)["repos"] for hook in repo["hooks"]} <= hooks
    else:
        assert kind in ("schedules", "azure"), f"{block.where}: no test reads this:\n{block.text}"


@pytest.mark.parametrize("block", [block for block in YAML if kind_of(block) == "manifest"], ids=lambda block: block.where)
def test_every_whole_manifest_has_a_way_from_nothing_to_where_it_ends(block):
    tree, path = tree_with(block.text)
    order = order_of(require(read_manifest(tree, path)), tree, "https://git.example.com/acme/models", "a" * 40)
    steps = what_is_left(order, absent("churn")).plan.steps
    shifts = [step for step in steps if isinstance(step, ShiftTraffic)]
    assert dict(shifts[-1].weights) == {
        name: weight for name, weight in yaml.safe_load(block.text)["endpoint"]["traffic"].items() if weight
    }


def test_a_manifest_that_would_be_refused_is_found():
    good = next(block.text for block in YAML if block.where == "README.md" and kind_of(block) == "manifest")
    assert findings(good) == []
    assert findings(good.replace("traffic: {green: 100}", "traffic: {green: 90}"))
    assert findings(good.replace("sample-request.json", "nothing.json"))
    assert findings(yaml.safe_dump({**AROUND, "rollout": {**AROUND["rollout"], "on_failure": "panic"}}))
    assert kind_of(Block("yaml", "a: 1", "docs/x.md")) == ""


def test_each_fragment_of_a_rollout_in_a_sentence_is_one_that_is_taken():
    keys = {"judge", "limits", "quality", "retire", "freeze", "drift", "depends_on", "smoke", "approvals"}
    within = {"limits": "judge", "quality": "judge"}
    seen = set()
    for document in DOCS:
        for code in re.findall(r"`(\w+: [{\[][^`\n]+)`", document.read_text()):
            said: Any = yaml.safe_load(code)
            key = next(iter(said))
            if key in keys:
                seen.add(key)
                rollout = {within[key]: said} if key in within else said
                errors = findings(yaml.safe_dump({**AROUND, "rollout": {**AROUND["rollout"], **rollout}}))
                assert [error for error in errors if "file-missing" not in error] == [], f"{document}: {code}"
    assert seen >= {"judge", "limits", "quality", "retire", "freeze", "depends_on"}


def test_the_example_is_shown_as_it_is():
    shown = [block.text for block in YAML if block.where == "docs/git.md" and kind_of(block) == "manifest"]
    assert shown == [(ROOT / "examples/manifests/churn.canary.yml").read_text()]


def test_every_json_and_python_block_is_json_and_python():
    for block in blocks("json"):
        json.loads(block.text)
    for block in blocks("python"):
        ast.parse(block.text)
    assert {block.language for block in blocks()} == {"console", "json", "python", "sh", "text", "yaml"}


@pytest.mark.parametrize("block", [b for b in blocks("sh") if "export " in b.text], ids=lambda block: f"{block.where}: {block.text[:40]}")
def test_every_variable_that_is_set_is_known_and_its_value_is_taken(block, monkeypatch):
    lines = re.findall(r"^export .*(?:\n  .*)*", re.sub(r"<[^>\n]+>", "x", block.text), re.MULTILINE)
    shown = subprocess.run(
        ["/bin/sh", "-c", "\n".join([*lines, "env -0"])], capture_output=True, check=True, env={"PATH": os.environ["PATH"]}, text=True
    )
    values = dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)
    names = re.findall(r"^export (\w+)=", block.text, re.MULTILINE)
    for name in names:
        if name.startswith("AML_CANARY_"):
            monkeypatch.setenv(name, values[name])
        else:
            assert name in known_elsewhere(), f"{block.where}: who reads {name}?"
    installed = Settings()
    assert {name for name in names if name.startswith("AML_CANARY_")} == {
        f"AML_CANARY_{field.upper()}" for field in installed.model_fields_set
    }


def known_elsewhere() -> set[str]:
    """The variables that Prefect, prefect-redis and azure-identity read, by their own lists."""
    from azure.identity._constants import EnvironmentVariables
    from prefect.settings import Settings as PrefectSettings
    from prefect.settings.legacy import _get_settings_fields
    from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
    from prefect_redis.client import RedisMessagingSettings

    azure = {value for value in vars(EnvironmentVariables).values() if isinstance(value, str)}
    redis = {
        f"{settings.model_config['env_prefix']}{field}".upper()
        for settings in (RedisMessagingSettings, RedisWorkerCleanupQueueSettings)
        for field in settings.model_fields
    }
    # Of Microsoft's command line, which `test_installing` has read them where it is there.
    az = {"AZURE_CONFIG_DIR", "AZURE_CORE_INSTANCE_DISCOVERY"}
    return azure | set(_get_settings_fields(PrefectSettings)) | redis | az


def test_every_variable_of_azures_in_a_sentence_is_one_that_azure_identity_reads():
    named = {name for path in (ROOT / "docs").glob("*.md") for name in re.findall(r"\bAZURE_[A-Z_]*[A-Z]\b", path.read_text())}
    assert {"AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TOKEN_CREDENTIALS"} <= named
    assert named <= known_elsewhere()


def test_the_beginning_of_a_repository_is_a_manifest_that_is_taken(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from aml_canary.cli import main

    [command] = {line.command for line in OURS if line.where == "docs/azure.md" and line.command.startswith("aml-canary init ")}
    extra = ["--repository", "acme/models", "--host", "github", "--url", "https://git.example.com/acme/models", "--no-input", str(tmp_path)]
    done = CliRunner().invoke(main, [*command.split()[1:], *extra])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(main, ["validate", str(tmp_path)]).output == "1 manifests, 0 errors, 0 notes.\n"
    shutil.rmtree(tmp_path)
