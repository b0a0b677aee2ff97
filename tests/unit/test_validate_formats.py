"""`aml-canary validate` for machines: SARIF for code hosts, and as the hook that pre-commit calls with the names of changed files."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from aml_canary.domain.findings import Finding
from aml_canary.domain.sarif import sarif
from tests.unit.test_cli import PROGRAM, QUIET, ROOT, cli

[HOOK] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
SPLIT, STAGED = "examples/manifests/churn-split", "configs/online-endpoint/mir/gitops"

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
# What SARIF 2.1.0 requires of the parts that are written, and what code hosts require beyond that.
SARIF = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id", "shortDescription", "help"],
                                            "properties": {"id": {"type": "string"}, "shortDescription": TEXT, "help": TEXT},
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": TEXT,
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "type": "object",
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "required": ["uri"],
                                                        "properties": {"uri": {"type": "string", "pattern": "^[^\\s\\\\/][^\\s\\\\]*$"}},
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "required": ["startLine"],
                                                        "properties": {"startLine": {"type": "integer", "minimum": 1}},
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def checked(said: dict[str, object]) -> dict[str, object]:
    jsonschema.Draft202012Validator(SARIF).validate(said)
    [run] = said["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    return run


def test_findings_are_sarif_with_place_rule_and_remedy():
    run = checked(
        sarif(
            [
                Finding("configs/ü b.yml", 3, "endpoint.traffic", "traffic-total", "the weights total 90", "Make them total 100."),
                Finding("a.yml", 0, "", "form-unclear", "no manifest", "", "note"),
                Finding("a.yml", 9, "", "traffic-total", "the weights total 80", "Make them total 100."),
            ],
            "1.2.3",
        )
    )
    assert run["tool"]["driver"]["version"] == "1.2.3"
    first, second, third = run["results"]
    assert first["message"]["text"] == "endpoint.traffic: the weights total 90. Make them total 100."
    place = first["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "configs/%C3%BC%20b.yml", "uriBaseId": "%SRCROOT%"}, "region": {"startLine": 3}}
    assert (first["level"], second["level"]) == ("error", "note")
    assert second["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    assert first["ruleIndex"] == third["ruleIndex"]
    assert [rule["help"]["text"] for rule in run["tool"]["driver"]["rules"]] == ["form unclear", "Make them total 100."]


def test_validate_prints_sarif_with_the_exit_code_of_the_findings(tmp_path: Path):
    (tmp_path / "bad.canary.yml").write_text("endpoint: {name: churn, traffic: {blue: 90}}\ndeployments: {}\n")
    found = cli("validate", "bad.canary.yml", "--format", "sarif", cwd=tmp_path)
    assert found.returncode == 1
    assert checked(json.loads(found.stdout))["results"]
    fine = cli("validate", "configs", "--format", "sarif")
    assert (fine.returncode, checked(json.loads(fine.stdout))["results"]) == (0, [])
    noted = checked(json.loads(cli("validate", "configs", "--notes", "--format", "sarif").stdout))["results"]
    assert {result["level"] for result in noted} == {"note"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, env=QUIET, check=True)
    return tmp_path


def hooked(repository: Path, *changed: str) -> subprocess.CompletedProcess[str]:
    """What pre-commit runs for these changed files, in the repository's root: the entry with the names that its pattern finds."""
    names = [name for name in changed if re.search(HOOK["files"], name)]
    assert names
    program, *words = shlex.split(HOOK["entry"])
    assert program == PROGRAM.name
    return cli(*words, *names, cwd=repository)


def test_the_hook_is_one_that_pre_commit_takes():
    assert {"id", "name", "entry", "language", "files"} <= HOOK.keys()
    assert (HOOK["language"], HOOK["pass_filenames"]) == ("python", True)


def test_the_hook_is_asked_about_every_file_of_a_manifest_and_no_other():
    parts = [path.relative_to(ROOT).as_posix() for place in (SPLIT, STAGED) for path in (ROOT / place).glob("*.y*ml")]
    assert len(parts) > 8
    assert all(re.search(HOOK["files"], name) for name in [*parts, "canary.yml", "a/canary.yaml", "a/churn.canary.yml"])
    others = ("canary.yml.bak", "a/mycanary.yml", "examples/models/environment.yml", "sample-request.json", "prefect.yaml")
    assert not any(re.search(HOOK["files"], name) for name in others)


def test_the_hook_checks_each_manifest_once_whichever_of_its_files_changed(repository: Path):
    parts = [path.relative_to(repository).as_posix() for place in (SPLIT, STAGED) for path in sorted((repository / place).glob("*.y*ml"))]
    found = hooked(repository, *parts, "examples/manifests/churn.canary.yml")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("3 manifests, 0 errors")


@pytest.mark.parametrize("place", [SPLIT, STAGED])
def test_the_hook_finds_in_the_folder_what_one_file_of_it_broke(repository: Path, place: str):
    file = sorted((repository / place).glob("*deployment*.yml" if place == SPLIT else "managed-3-*"))[0]
    file.write_text(re.sub(r"instance_type: .*|instance_type:.*", "instance_typ: x", file.read_text()) + "\nnonsense: 1\n")
    found = hooked(repository, file.relative_to(repository).as_posix())
    assert found.returncode == 1
    assert file.name in found.stdout
    assert "unknown-key" in found.stdout


def test_files_of_no_manifest_are_no_problem_for_the_hook(repository: Path):
    (repository / "k8s-deployment.yml").write_text("kind: Deployment\n")
    found = hooked(repository, "k8s-deployment.yml")
    assert (found.returncode, found.stdout, found.stderr) == (0, "0 manifests, 0 errors, 0 notes.\n", "")
