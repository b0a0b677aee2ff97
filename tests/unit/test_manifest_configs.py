"""The manifests that come with the project: the seed's five files are as they were, and all of them read without an error."""

import hashlib
import json
import runpy
from pathlib import Path

import pytest

from aml_canary.domain.fingerprint import fingerprint
from aml_canary.domain.manifest_reader import discover, read_manifest, require
from aml_canary.domain.tree import MemoryTree

ROOT = Path(__file__).resolve().parents[2]
GITOPS = "configs/online-endpoint/mir/gitops"
SEED = {
    "managed-2-scale-blue-OnlineEndpoint.yaml": "29a57502ea0c1e2ffd362d8d8daa49235448f78afd59533a4ffe2e2455475775",
    "managed-3-create-green-OnlineEndpoint.yaml": "578b1f9e800c977fad716a1914bd15af08d03c5dc44d13f50093aed86ad1c653",
    "managed-4-flight-green-OnlineEndpoint.yaml": "adc1f7753e3e92d313afa34c3e1d82b461ac44ff54a3439e8e1b5ef8c080d2f1",
    "managed-5-full-green-OnlineEndpoint.yaml": "e255ef7d4469d881ae8b7746014688b9b762dc172eba592abf82cc6c58dc69a2",
    "managed-6-delete-blue-OnlineEndpoint.yaml": "c26ab288258c5162a9da73b62f4d5d4c2e9fb1124073d640ed3581fb62fb73fc",
}


def repository() -> MemoryTree:
    files = [
        path
        for folder in ("configs", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return MemoryTree({path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files})


TREE = repository()


@pytest.mark.parametrize(("name", "digest"), SEED.items())
def test_the_seeds_manifests_are_verbatim(name, digest):
    assert hashlib.sha256((ROOT / GITOPS / name).read_bytes()).hexdigest() == digest


def test_every_manifest_of_the_repository_reads_without_an_error():
    found = discover(TREE, ".")
    assert {GITOPS, "examples/manifests/churn.canary.yml", "examples/manifests/churn-split"} <= set(found)
    for path in found:
        assert [str(finding) for finding in read_manifest(TREE, path).errors] == []


def test_the_seeds_six_steps_are_its_story():
    stages = require(read_manifest(TREE, GITOPS)).stages
    assert [
        (stage.name, dict(stage.endpoint.traffic or {}), {name: each.instance_count for name, each in stage.deployments.items()})
        for stage in stages
    ] == [
        ("1-create-endpoint", {"blue": 100}, {"blue": 3}),
        ("2-scale-blue", {"blue": 100}, {"blue": 5}),
        ("3-create-green", {"blue": 100, "green": 0}, {"blue": 5, "green": 5}),
        ("4-flight-green", {"blue": 90, "green": 10}, {"blue": 5, "green": 5}),
        ("5-full-green", {"blue": 0, "green": 100}, {"blue": 5, "green": 5}),
        ("6-delete-blue", {"green": 100}, {"green": 5}),
    ]
    assert {stage.endpoint.name for stage in stages} == {"myendpoint"}


def test_no_step_of_the_seed_changes_in_place_what_a_deployment_runs():
    stages = require(read_manifest(TREE, GITOPS)).stages
    for name in ("blue", "green"):
        assert len({fingerprint(stage.deployments[name], TREE) for stage in stages if name in stage.deployments}) == 1
    assert fingerprint(stages[2].deployments["blue"], TREE) != fingerprint(stages[2].deployments["green"], TREE)


def test_the_seeds_smoke_request_asks_for_two_numbers():
    request = require(read_manifest(TREE, GITOPS)).rollout.smoke.requests[0]
    assert request.file == "configs/online-endpoint/sample-request.json"
    assert len(json.loads(TREE.read(request.file) or b"")["data"]) == 2
    assert request.expect.json_schema is not None


@pytest.mark.parametrize(("model", "bias"), [("m1", 0.0), ("m2", 0.5)])
@pytest.mark.parametrize("registered", [True, False])
def test_the_seeds_models_answer_two_numbers_with_or_without_registered_files(model, bias, registered, monkeypatch):
    monkeypatch.delenv("AZUREML_MODEL_DIR", raising=False)
    if registered:
        monkeypatch.setenv("AZUREML_MODEL_DIR", str(ROOT / "configs" / "registered-models" / f"my-model-{model}"))
    script = runpy.run_path(str(ROOT / "configs" / "src" / "onlinescoring" / model / "score.py"))
    script["init"]()
    answer = script["run"]((ROOT / "configs" / "online-endpoint" / "sample-request.json").read_text())
    assert answer == pytest.approx([(5.5 if registered else 55) + bias] * 2)


def test_the_seeds_models_refuse_what_is_no_request():
    script = runpy.run_path(str(ROOT / "configs" / "src" / "onlinescoring" / "m1" / "score.py"))
    with pytest.raises(ValueError, match="zip"):
        script["run"]('{"data": [[1]]}')
