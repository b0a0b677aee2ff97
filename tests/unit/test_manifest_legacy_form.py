"""The nested form of the 2020 preview: what it is converted to, and that every conversion is reported."""

import pytest

from aml_canary.domain.manifest_reader import read_manifest
from aml_canary.domain.reading.form_legacy import DEFAULT_IMAGE
from aml_canary.domain.tree import MemoryTree

FILE = "configs/online/gitops/one.yaml"
LEGACY = """\
$schema: http://azureml/sdk-2-0/OnlineEndpoint.json
name: myEndpoint
type: OnlineEndpoint
auth_mode: aml_token
traffic:
  blue: 100
deployments:
  blue:
    model: aml:models/my-model:1
    code_reference:
      code: ./src/scoring/m1/
      scoring_script: ./src/scoring/m1/score.py
    environment: ./src/scoring/env.yaml
    sku: Standard_FS4_v2
    scale:
      scale_type: manual
      instance_count: 5
      min_instances: 1
      max_instances: 5
    request:
      request_timeout_ms: 3000
      max_concurrent_requests_per_instance: 1
"""


def tree(text: str, root: str = "", **files: bytes) -> MemoryTree:
    content = {f"{root}src/scoring/m1/score.py": b"m1", f"{root}src/scoring/m2/score.py": b"m2", f"{root}src/scoring/env.yaml": b"name: x"}
    return MemoryTree({**content, "configs/sample-request.json": b"{}", FILE: text.encode(), **files})


def read(text: str, root: str = "", **files: bytes):
    return read_manifest(tree(text, root, **files), FILE)


def deployment(text: str, root: str = ""):
    reading = read(text, root)
    assert reading.errors == ()
    return reading.manifest.stages[0].deployments["blue"]


def test_everything_the_seed_says_is_converted():
    blue = deployment(LEGACY)
    assert blue.model == "azureml:my-model:1"
    assert (blue.code_configuration.code, blue.code_configuration.scoring_script) == ("src/scoring/m1", "score.py")
    assert blue.environment == {"conda_file": "src/scoring/env.yaml", "image": DEFAULT_IMAGE}
    assert (blue.instance_type, blue.instance_count) == ("Standard_F4s_v2", 5)
    assert (blue.request_settings.request_timeout_ms, blue.request_settings.max_concurrent_requests_per_instance) == (3000, 1)


def test_the_endpoint_is_converted_and_its_name_lower_cased():
    endpoint = read(LEGACY).manifest.stages[0].endpoint
    assert (endpoint.name, endpoint.auth_mode, endpoint.traffic) == ("myendpoint", "aml_token", {"blue": 100})


def test_each_conversion_is_a_note_on_the_line_it_is_about():
    reading = read(LEGACY)
    lines = LEGACY.splitlines()
    noted = {lines[note.line - 1].split(":")[0].strip() for note in reading.notes}
    assert {
        "$schema",
        "name",
        "model",
        "code_reference",
        "scoring_script",
        "environment",
        "sku",
        "scale",
        "min_instances",
        "max_instances",
        "request",
    } <= noted
    assert all(note.message for note in reading.notes)


@pytest.mark.parametrize("root", ["", "configs/", "configs/online/", "configs/online/gitops/"])
def test_paths_count_from_the_root_or_else_from_a_folder_around_the_file(root):
    blue = deployment(LEGACY, root)
    assert blue.code_configuration.code == f"{root}src/scoring/m1"
    assert blue.environment["conda_file"] == f"{root}src/scoring/env.yaml"


def test_of_several_folders_around_the_file_the_outermost_counts():
    files = {"configs/src/scoring/env.yaml": b"inner"}
    assert read(LEGACY, "", **files).manifest.stages[0].deployments["blue"].environment["conda_file"] == "src/scoring/env.yaml"


def test_a_path_found_elsewhere_than_from_the_root_is_noted():
    assert not any("root" in note.message for note in read(LEGACY).notes)
    assert any("repository's root" in note.message for note in read(LEGACY, "configs/").notes)


@pytest.mark.parametrize(
    ("code", "script", "expected"),
    [
        ("./src/scoring/m1/", "./src/scoring/m1/score.py", ("src/scoring/m1", "score.py")),
        ("./src/scoring/", "m1/score.py", ("src/scoring", "m1/score.py")),
        ("src/scoring", "./m1/score.py", ("src/scoring", "m1/score.py")),
        ("./src/scoring/", "./src/scoring/m2/score.py", ("src/scoring", "m2/score.py")),
        ("./src/scoring/m1", "score.py", ("src/scoring/m1", "score.py")),
    ],
)
@pytest.mark.parametrize("root", ["", "configs/"])
def test_a_script_may_repeat_its_folder_or_not(code, script, expected, root):
    text = LEGACY.replace("code: ./src/scoring/m1/", f"code: {code}").replace(
        "scoring_script: ./src/scoring/m1/score.py", f"scoring_script: {script}"
    )
    found = deployment(text, root).code_configuration
    assert (found.code, found.scoring_script) == (root + expected[0], expected[1])


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("aml:models/my-model:1", "aml:my-model:1", "model", "azureml:my-model:1"),
        ("aml:models/my-model:1", "aml:models/my-model/versions/1", "model", "azureml:my-model:1"),
        ("aml:models/my-model:1", "azureml:my-model:1", "model", "azureml:my-model:1"),
        ("./src/scoring/env.yaml", "aml:environments/my-env:4", "environment", "azureml:my-env:4"),
        ("./src/scoring/env.yaml", "azureml:my-env:4", "environment", "azureml:my-env:4"),
        ("Standard_FS4_v2", "Standard_F4s_v2", "instance_type", "Standard_F4s_v2"),
        ("Standard_FS4_v2", "Standard_FS16_v2", "instance_type", "Standard_F16s_v2"),
        ("Standard_FS4_v2", "Standard_FX4mds", "instance_type", "Standard_FX4mds"),
    ],
)
def test_older_spellings_of_a_value_become_azures_v2(old, new, field, value):
    assert getattr(deployment(LEGACY.replace(old, new)), field) == value


@pytest.mark.parametrize(
    ("old", "new"), [("aml_token", "aml_token"), ("AMLToken", "aml_token"), ("Key", "key"), ("AADToken", "aad_token"), ("key", "key")]
)
def test_sign_in_modes_are_converted(old, new):
    assert read(LEGACY.replace("auth_mode: aml_token", f"auth_mode: {old}")).manifest.stages[0].endpoint.auth_mode == new


def test_probes_lose_their_unit():
    probe = deployment(LEGACY + "    liveness_probe: {initial_delay_seconds: 60, period_seconds: 5}\n").liveness_probe
    assert (probe.initial_delay, probe.period, probe.timeout) == (60, 5, 2)


@pytest.mark.parametrize(
    ("old", "new", "rule", "mark", "remedy"),
    [
        ("scale_type: manual", "scale_type: automatic", "autoscale", "automatic", "Azure Monitor"),
        ("      instance_count: 5\n", "", "missing-key", "scale:", "instance_count"),
        ("instance_count: 5", "instance_count: 60", "instance-count", "instance_count", "50"),
        ("request_timeout_ms: 3000", "request_timeout_ms: 300000", "request-timeout", "request_timeout_ms", "180000"),
        ("sku: Standard_FS4_v2", "instance_type: Standard_F4s_v2", "legacy-generation", "instance_type", "`sku`"),
        ("    request:", "    request_settings:", "legacy-generation", "request_settings", "`request`"),
        ("    code_reference:", "    code_configuration:", "legacy-generation", "code_configuration", "`code_reference`"),
        ("type: OnlineEndpoint", "type: BatchEndpoint", "not-allowed", "Batch", "OnlineEndpoint"),
        ("type: OnlineEndpoint", "target: azureml:aks", "kubernetes-only", "target", "Remove"),
        ("type: OnlineEndpoint", "location: eastus", "read-only-key", "location", "Remove"),
        ("      min_instances: 1\n", "      min_instance: 1\n", "unknown-key", "min_instance:", "min_instances"),
        ("  blue: 100", "  blue: 90", "traffic-total", "traffic", "100"),
        ("  blue: 100", "  blue: 100\n  green: 0", "traffic-unknown", "green", "blue"),
        ("aml:models/my-model:1", "aml:models/my-model", "legacy-value", "model:", "azureml:<name>:<version>"),
        ("./src/scoring/env.yaml", "./src/none.yaml", "path-missing", "none.yaml", "src/none.yaml"),
        ("code: ./src/scoring/m1/", "code: ./src/scoring/m9/", "path-missing", "m9", "src/scoring/m9"),
        ("m1/score.py", "m1/none.py", "script-missing", "none.py", "`code`"),
        ("./src/scoring/env.yaml", "../../../../env.yaml", "path-outside", "../", "repository"),
        ("    scale:\n", "    scale: 5\n    x:\n", "wrong-type", "scale: 5", "instance_count"),
    ],
)
def test_what_has_no_certain_meaning_today_is_refused_where_it_stands(old, new, rule, mark, remedy):
    assert old in LEGACY
    text = LEGACY.replace(old, new)
    reading = read(text)
    assert reading.manifest is None
    found = [finding for finding in reading.errors if finding.rule == rule]
    assert found, [str(finding) for finding in reading.errors]
    assert mark in text.splitlines()[found[0].line - 1]
    assert remedy in found[0].remedy
    assert found[0].file == FILE


def test_a_list_of_deployments_is_a_later_generation_and_refused_with_the_target_form():
    text = LEGACY[: LEGACY.index("deployments:")] + "deployments:\n  - name: blue\n"
    found = read(text).errors
    assert [finding.rule for finding in found] == ["legacy-generation"]
    assert "deployments: {blue:" in found[0].remedy


def test_one_file_is_one_stage_named_after_it():
    assert [stage.name for stage in read(LEGACY).manifest.stages] == ["one"]


def test_the_file_that_was_committed_with_conflict_markers_is_refused_for_that_alone():
    text = LEGACY.replace("  blue: 100\n", "<<<<<<< HEAD\n  blue: 100\n=======\n  blue: 90\n>>>>>>> schema-change\n")
    assert [(finding.rule, finding.line) for finding in read(text).findings] == [("conflict-markers", 6)]
