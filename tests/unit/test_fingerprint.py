"""What a fingerprint depends on, and what it does not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.fingerprint import fingerprint
from aml_canary.domain.manifest import CodeConfiguration, Deployment, Probe, RequestSettings
from aml_canary.domain.tree import MemoryTree
from aml_canary.errors import Permanent

FILES = {
    "m1/score.py": b"one",
    "m1/lib/a.py": b"a",
    "env.yml": b"name: x",
    "weights/w.bin": b"w",
    "image/Dockerfile": b"FROM x",
    "other.txt": b"o",
}
TREE = MemoryTree(FILES)
BLUE = Deployment(
    name="blue",
    model={"path": "weights"},
    code_configuration=CodeConfiguration(code="m1", scoring_script="score.py"),
    environment={"image": "base:1", "conda_file": "env.yml"},
    instance_type="Standard_F2s_v2",
)


def changed(**fields: object) -> Deployment:
    return BLUE.model_copy(update=fields)


def test_it_is_16_hexadecimal_digits_and_always_the_same():
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(BLUE, TREE))
    assert fingerprint(BLUE, TREE) == fingerprint(BLUE.model_copy(), MemoryTree(dict(reversed(FILES.items()))))


def test_it_is_pinned_because_live_endpoints_carry_it():
    # It changes when every live deployment would be taken for another one: raise the edition then, and say so in the changelog.
    assert fingerprint(BLUE, TREE) == "74dea988c393e695"


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "azureml:m:1"},
        {"model": {"path": "weights", "type": "mlflow_model"}},
        {"model": {"path": "azureml://datastores/x/paths/w"}},
        {"model": None},
        {"code_configuration": CodeConfiguration(code="m1", scoring_script="lib/a.py")},
        {"code_configuration": CodeConfiguration(code="m1/lib", scoring_script="score.py")},
        {"code_configuration": CodeConfiguration(code="azureml:code:1", scoring_script="score.py")},
        {"code_configuration": None},
        {"environment": {"image": "base:2", "conda_file": "env.yml"}},
        {"environment": {"image": "base:1", "conda_file": "other.txt"}},
        {"environment": {"image": "base:1", "conda_file": {"name": "x"}}},
        {"environment": {"build": {"path": "image"}}},
        {"environment": "azureml:e:1"},
        {"environment_variables": {"A": "1"}},
        {"instance_type": "Standard_F4s_v2"},
        {"request_settings": RequestSettings(request_timeout_ms=3000)},
        {"liveness_probe": Probe(period=5)},
        {"readiness_probe": Probe(period=5)},
        {"app_insights_enabled": True},
        {"egress_public_network_access": "disabled"},
        {"model_mount_path": "/m"},
        {"data_collector": {"collections": {"model_inputs": {"enabled": True}}}},
    ],
)
def test_whatever_decides_what_runs_or_how_it_answers_changes_it(fields):
    assert fingerprint(changed(**fields), TREE) != fingerprint(BLUE, TREE)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "green"},
        {"instance_count": 9},
        {"tags": {"a": "b"}},
        {"properties": {"a": "b"}},
        {"description": "words"},
        {"model": {"path": "weights", "name": "m", "version": "3", "type": "custom_model", "description": "words"}},
        {"environment": {"image": "base:1", "conda_file": "env.yml", "name": "e", "version": "3", "tags": {"a": "b"}}},
        {"instance_type": "STANDARD_F2S_V2"},
        {"request_settings": RequestSettings(request_timeout_ms=5000)},
        {"liveness_probe": Probe()},
        {"readiness_probe": Probe()},
        {"egress_public_network_access": "enabled"},
    ],
)
def test_what_only_describes_counts_or_writes_a_default_out_does_not_change_it(fields):
    assert fingerprint(changed(**fields), TREE) == fingerprint(BLUE, TREE)


@pytest.mark.parametrize("file", ["m1/score.py", "m1/lib/a.py", "env.yml", "weights/w.bin"])
def test_another_content_under_the_same_path_changes_it(file):
    assert fingerprint(BLUE, MemoryTree({**FILES, file: b"changed"})) != fingerprint(BLUE, TREE)


def test_a_file_added_to_renamed_in_or_removed_from_the_code_changes_it():
    added = {**FILES, "m1/new.py": b""}
    renamed = {("m1/lib/b.py" if name == "m1/lib/a.py" else name): content for name, content in FILES.items()}
    removed = {name: content for name, content in FILES.items() if name != "m1/lib/a.py"}
    assert len({fingerprint(BLUE, MemoryTree(files)) for files in (FILES, added, renamed, removed)}) == 4


def test_the_same_content_under_another_path_keeps_it():
    moved = MemoryTree({"x/" + name: content for name, content in FILES.items()})
    deployment = changed(
        model={"path": "x/weights"},
        code_configuration=CodeConfiguration(code="x/m1", scoring_script="score.py"),
        environment={"image": "base:1", "conda_file": "x/env.yml"},
    )
    assert fingerprint(deployment, moved) == fingerprint(BLUE, TREE)


def test_code_in_the_repositorys_root_counts_like_code_in_a_folder():
    folder = changed(model=None, environment=None)
    root = changed(model=None, environment=None, code_configuration=CodeConfiguration(code=".", scoring_script="score.py"))
    assert fingerprint(root, MemoryTree({"score.py": b"one", "lib/a.py": b"a"})) == fingerprint(folder, TREE)


@given(st.binary(max_size=20))
def test_files_that_the_deployment_does_not_refer_to_do_not_count(content):
    assert fingerprint(BLUE, MemoryTree({**FILES, "other.txt": content, "m11/x": content})) == fingerprint(BLUE, TREE)


def test_a_tree_without_the_files_is_refused():
    with pytest.raises(Permanent, match="m1"):
        fingerprint(changed(model=None), MemoryTree({}))
