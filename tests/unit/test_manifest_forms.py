"""The written forms that make the same model: target, split and staged; which paths are manifests; what is taken by convention."""

import pytest

from aml_canary.domain.findings import Finding
from aml_canary.domain.manifest import Expect
from aml_canary.domain.manifest_reader import Reading, discover, read_manifest, require
from aml_canary.domain.tree import MemoryTree
from aml_canary.errors import ManifestRefused

DEPLOYMENT = """\
  {name}:
    model: azureml:churn:{version}
    instance_type: Standard_F2s_v2
"""
ROLLOUT = "rollout: {smoke: {requests: [{name: rows, file: sample.json}]}}\n"
TARGET = "endpoint: {name: churn, traffic: {blue: 100}}\ndeployments:\n" + DEPLOYMENT.format(name="blue", version=1) + ROLLOUT


def tree(**files: str) -> MemoryTree:
    return MemoryTree({name: content.encode() for name, content in files.items()})


def rules(reading: Reading) -> list[str]:
    return [finding.rule for finding in reading.errors]


# --- the target form


def test_a_target_file_is_one_stage_named_after_the_file():
    manifest = require(read_manifest(tree(**{"a/churn.canary.yml": TARGET, "a/sample.json": "{}"}), "a/churn.canary.yml"))
    assert [stage.name for stage in manifest.stages] == ["churn"]
    assert manifest.path == "a/churn.canary.yml"
    assert manifest.endpoint_name == "churn"


@pytest.mark.parametrize("path", ["a/any-name.yaml", "a/canary.yml", "./a//canary.yml"])
def test_a_target_file_is_known_by_its_keys_whatever_its_name(path):
    name = "a/" + path.rsplit("/", 1)[-1]
    assert read_manifest(tree(**{name: TARGET, "a/sample.json": "{}"}), path).manifest is not None


def test_a_folder_stands_for_the_one_target_file_in_it():
    assert read_manifest(tree(**{"a/canary.yml": TARGET, "a/sample.json": "{}"}), "a/").manifest is not None


def test_paths_in_the_target_form_are_relative_to_the_file_and_become_repository_paths():
    text = TARGET.replace(
        "    instance_type", "    code_configuration: {code: ../src/./m1/, scoring_script: ./score.py}\n    instance_type"
    )
    text = text.replace("file: sample.json", "file: ../requests/one.json").replace("azureml:churn:1", "{path: ../weights}")
    files = {"a/canary.yml": text, "src/m1/score.py": "x", "requests/one.json": "{}", "weights/w.bin": "x"}
    manifest = require(read_manifest(tree(**files), "a/canary.yml"))
    blue = manifest.stages[0].deployments["blue"]
    assert (blue.code_configuration.code, blue.code_configuration.scoring_script) == ("src/m1", "score.py")
    assert blue.model == {"path": "weights"}
    assert manifest.rollout.smoke.requests[0].file == "requests/one.json"


def test_paths_elsewhere_than_in_the_repository_stay_as_they_are():
    text = TARGET.replace("azureml:churn:1", "{path: azureml://datastores/store/paths/m}")
    manifest = require(read_manifest(tree(**{"canary.yml": text, "sample.json": "{}"}), "canary.yml"))
    assert manifest.stages[0].deployments["blue"].model == {"path": "azureml://datastores/store/paths/m"}


def test_names_are_lower_cased_everywhere_they_stand_and_that_is_noted():
    text = TARGET.replace("name: churn,", "name: ChurN,").replace("  blue:\n", "  BlUe:\n").replace("{blue: 100}", "{bLue: 100}")
    reading = read_manifest(tree(**{"canary.yml": text, "sample.json": "{}"}), "canary.yml")
    stage = require(reading).stages[0]
    assert (stage.endpoint.name, stage.endpoint.traffic, list(stage.deployments)) == ("churn", {"blue": 100}, ["blue"])
    assert stage.deployments["blue"].name == "blue"
    assert [(note.rule, note.field) for note in reading.notes] == [
        ("name-lower-cased", "endpoint.name"),
        ("name-lower-cased", "deployments.BlUe"),
    ]


def test_what_azures_files_say_around_a_deployment_may_stay():
    around = "    name: Blue\n    endpoint_name: Churn\n    type: managed\n    scale_settings: {type: default}\n"
    text = TARGET.replace("    instance_type", around + "    instance_type")
    assert rules(read_manifest(tree(**{"canary.yml": text, "sample.json": "{}"}), "canary.yml")) == []


def test_the_expected_schema_is_written_schema_and_kept_as_json_schema():
    text = TARGET.replace("file: sample.json", "file: sample.json, expect: {schema: {type: array}, equals: [1.5], tolerance: 0.1}")
    manifest = require(read_manifest(tree(**{"canary.yml": text, "sample.json": "{}"}), "canary.yml"))
    assert manifest.rollout.smoke.requests[0].expect == Expect(json_schema={"type": "array"}, equals=[1.5], tolerance=0.1)


def test_traffic_that_is_not_written_leaves_live_traffic_as_it_is():
    text = TARGET.replace(", traffic: {blue: 100}", "")
    assert require(read_manifest(tree(**{"canary.yml": text, "sample.json": "{}"}), "canary.yml")).stages[0].endpoint.traffic is None


@pytest.mark.parametrize("weights", ["{blue: 0}", "{}", "{blue: 100}"])
def test_weights_may_total_nothing_or_a_hundred(weights):
    assert rules(read_manifest(tree(**{"canary.yml": TARGET.replace("{blue: 100}", weights), "sample.json": "{}"}), "canary.yml")) == []


def test_a_mirror_to_what_has_no_live_traffic_is_right():
    green = DEPLOYMENT.format(name="green", version=2)
    text = TARGET.replace("{blue: 100}", "{blue: 100, green: 0}, mirror_traffic: {green: 50}").replace("rollout:", green + "rollout:")
    manifest = require(read_manifest(tree(**{"canary.yml": text, "sample.json": "{}"}), "canary.yml"))
    assert manifest.stages[0].endpoint.mirror_traffic == {"green": 50}


def test_blocks_can_be_shared_by_anchors_and_merges():
    text = TARGET.replace(
        "deployments:\n", "deployments:\n  green: &shared {model: azureml:churn:2, instance_type: S, instance_count: 2}\n"
    )
    text = text.replace("    model: azureml:churn:1\n    instance_type: Standard_F2s_v2\n", "    <<: *shared\n    model: azureml:churn:1\n")
    blue = require(read_manifest(tree(**{"canary.yml": text, "sample.json": "{}"}), "canary.yml")).stages[0].deployments["blue"]
    assert (blue.model, blue.instance_type, blue.instance_count) == ("azureml:churn:1", "S", 2)


# --- Azure's split files


SPLIT = {
    "churn/endpoint.yml": "$schema: x\nname: churn\nauth_mode: key\n",
    "churn/blue-deployment.yml": "$schema: x\nname: blue\nendpoint_name: churn\nmodel: {path: ../weights}\ninstance_type: S\n",
    "churn/deployment-green.yaml": "name: green\nmodel: azureml:churn:2\ninstance_type: S\n",
    "churn/sample-request.json": "{}",
    "weights": "x",
}


def test_split_files_are_one_stage_and_each_deployment_knows_its_own_file():
    reading = read_manifest(tree(**SPLIT), "churn")
    stage = require(reading).stages[0]
    assert (stage.name, stage.file, sorted(stage.deployments)) == ("churn", "churn/endpoint.yml", ["blue", "green"])
    assert stage.deployments["blue"].model == {"path": "weights"}
    wrong = read_manifest(tree(**{**SPLIT, "churn/blue-deployment.yml": "name: blue\n\ninstance_count: 99\n"}), "churn")
    assert ("churn/blue-deployment.yml", 3) in [(finding.file, finding.line) for finding in wrong.errors]


def test_the_endpoint_file_stands_for_its_folder():
    assert read_manifest(tree(**SPLIT), "churn/endpoint.yml").manifest is not None


def test_split_files_stand_in_the_repositorys_root_as_well():
    files = {name.removeprefix("churn/"): content.replace("../", "./") for name, content in SPLIT.items()}
    assert require(read_manifest(tree(**files), ".")).endpoint_name == "churn"


@pytest.mark.parametrize(
    ("file", "content", "rule"),
    [
        ("churn/blue-deployment.yml", "name: blue\nendpoint_name: other\nmodel: azureml:m:1\ninstance_type: S\n", "endpoint-mismatch"),
        ("churn/blue-deployment.yml", "name: Green\nmodel: azureml:m:1\ninstance_type: S\n", "duplicate-key"),
        ("churn/blue-deployment.yml", "model: azureml:m:1\ninstance_type: S\n", "missing-key"),
        ("churn/blue-deployment.yml", "name: a_b\nmodel: azureml:m:1\ninstance_type: S\n", "deployment-name"),
        ("churn/blue-deployment.yml", "name: [\n", "yaml-syntax"),
        ("churn/endpoint.yml", "", "file-empty"),
        ("churn/endpoint.yml", "name: churn\ntype: online\n", "unknown-key"),
        ("churn/rollout.yml", "steps: [50, 10]\nsmoke: {requests: [{name: a, file: sample-request.json}]}\n", "steps-order"),
        ("churn/rollout.yml", "smoke: {requests: []}\n", "smoke-missing"),
        ("churn/rollout.yml", "stepz: [10]\n", "unknown-key"),
    ],
)
def test_a_fault_in_any_split_file_is_found_in_that_file(file, content, rule):
    reading = read_manifest(tree(**{**SPLIT, file: content}), "churn")
    assert reading.manifest is None
    # Of two files with the same name for a deployment, the second in order is told.
    assert rule in [
        finding.rule for finding in reading.errors if finding.file == (file if rule != "duplicate-key" else "churn/deployment-green.yaml")
    ]


def test_split_files_without_a_deployment_are_refused():
    files = {name: content for name, content in SPLIT.items() if "deployment" not in name}
    assert rules(read_manifest(tree(**files), "churn")) == ["deployments-missing"]


# --- staged folders


def stage(name: str = "churn", traffic: str = "{blue: 100}", *deployments: str) -> str:
    return f"endpoint: {{name: {name}, traffic: {traffic}}}\ndeployments:\n" + "".join(
        DEPLOYMENT.format(name=each, version=1) for each in deployments or ("blue",)
    )


STAGED = {
    "g/managed-1-create-OnlineEndpoint.yaml": stage(),
    "g/managed-2-flight.yml": stage("churn", "{blue: 90, green: 10}", "blue", "green"),
    "g/managed-10-full.yaml": stage("churn", "{green: 100}", "blue", "green"),
    "sample-request.json": "{}",
}


def test_a_staged_folder_is_walked_in_the_order_of_its_numbers():
    manifest = require(read_manifest(tree(**STAGED), "g"))
    assert [each.name for each in manifest.stages] == ["1-create", "2-flight", "10-full"]
    assert [each.endpoint.traffic for each in manifest.stages] == [{"blue": 100}, {"blue": 90, "green": 10}, {"green": 100}]


def test_a_staged_folder_has_its_rollout_beside_the_stages():
    manifest = require(read_manifest(tree(**{**STAGED, "g/rollout.yml": "on_failure: rollback\n"}), "g"))
    assert manifest.rollout.on_failure == "rollback"
    assert manifest.rollout.smoke.requests[0].file == "sample-request.json"


@pytest.mark.parametrize(
    ("file", "content", "rule"),
    [
        ("g/managed-2-flight.yml", stage("other"), "endpoint-mismatch"),
        ("g/managed-2-flight.yml", stage("churn", "{blue: 90}"), "traffic-total"),
        ("g/managed-2-flight.yml", stage() + ROLLOUT, "stage-rollout"),
        ("g/managed-2-flight.yml", "", "file-empty"),
        ("g/managed-10-other.yaml", stage(), "stage-number"),
    ],
)
def test_a_fault_in_any_stage_refuses_the_whole_folder(file, content, rule):
    reading = read_manifest(tree(**{**STAGED, file: content}), "g")
    assert reading.manifest is None
    assert rule in [finding.rule for finding in reading.errors if finding.file == file]


# --- the sample request


def test_a_sample_request_beside_split_files_is_the_smoke_request_and_that_is_noted():
    reading = read_manifest(tree(**SPLIT), "churn")
    assert [(each.name, each.file) for each in require(reading).rollout.smoke.requests] == [("sample", "churn/sample-request.json")]
    assert [note.rule for note in reading.notes] == ["smoke-sample"]


def test_the_nearest_sample_request_around_a_staged_folder_counts():
    files = {f"configs/a/{name}" if name.startswith("g/") else name: content for name, content in STAGED.items()}
    nearest = {**files, "configs/sample-request.json": "{}"}
    assert require(read_manifest(tree(**files), "configs/a/g")).rollout.smoke.requests[0].file == "sample-request.json"
    assert require(read_manifest(tree(**nearest), "configs/a/g")).rollout.smoke.requests[0].file == "configs/sample-request.json"


def test_smoke_requests_that_are_written_go_before_the_sample():
    rollout = "smoke: {requests: [{name: mine, file: mine.json}]}\n"
    reading = read_manifest(tree(**{**SPLIT, "churn/rollout.yml": rollout, "churn/mine.json": "{}"}), "churn")
    assert [each.name for each in require(reading).rollout.smoke.requests] == ["mine"]
    assert reading.notes == ()


def test_a_sample_request_that_is_not_json_is_refused():
    assert rules(read_manifest(tree(**{**SPLIT, "churn/sample-request.json": "{"}), "churn")) == ["smoke-not-json"]


def test_without_any_request_the_remedy_is_a_snippet_that_works():
    text = TARGET.replace(ROLLOUT, "")
    found = read_manifest(tree(**{"canary.yml": text}), "canary.yml").errors
    assert [finding.rule for finding in found] == ["smoke-missing"]
    snippet = found[0].remedy.split("`")[1]
    files = {"canary.yml": f"{text}rollout:\n  {snippet}\n", "sample-request.json": "{}"}
    assert read_manifest(tree(**files), "canary.yml").errors == ()


# --- discovery


def test_discovery_finds_each_form_once_and_nothing_else():
    files = {
        "a/canary.yml": "", "a/b/churn.canary.yaml": "", "c/endpoint.yml": "", "c/blue-deployment.yml": "", "d/managed-1-x.yaml": "",
        "d/managed-2-y.yml": "", "d/rollout.yml": "", "e/canary.json": "", "e/my-endpoint.yml": "", "e/managed-x.yaml": "", "f/mycanary.yml": "",
    }  # fmt: skip
    assert discover(tree(**files), ".") == ("a/b/churn.canary.yaml", "a/canary.yml", "c", "d")
    assert discover(tree(**files), "a/b") == ("a/b/churn.canary.yaml",)
    assert discover(tree(**files), "a/canary.yml") == ("a/canary.yml",)
    assert discover(tree(**files), "nowhere") == ()


def test_a_split_manifest_in_the_root_is_discovered_as_a_dot_that_can_be_read():
    files = tree(**{name.removeprefix("churn/"): content.replace("../", "./") for name, content in SPLIT.items()})
    assert discover(files, ".") == (".",)
    assert read_manifest(files, discover(files)[0]).manifest is not None


def test_two_manifests_in_one_folder_are_told_apart_by_naming_the_file():
    both = tree(**{**SPLIT, "churn/canary.yml": TARGET, "churn/sample.json": "{}"})
    assert rules(read_manifest(both, "churn")) == ["form-unclear"]
    assert read_manifest(both, "churn/canary.yml").manifest is not None


# --- require


def test_requiring_a_refused_manifest_raises_with_its_errors_and_without_its_notes():
    text = TARGET.replace("{blue: 100}", "{Blue: 90}").replace("  blue:\n", "  Blue:\n")
    reading = read_manifest(tree(**{"canary.yml": text, "sample.json": "{}"}), "canary.yml")
    with pytest.raises(ManifestRefused) as refused:
        require(reading)
    assert [finding.rule for finding in refused.value.findings if isinstance(finding, Finding)] == ["traffic-total"]
    assert "canary.yml:1" in str(refused.value)
    assert reading.notes


def test_an_empty_tree_holds_no_manifest():
    assert read_manifest(MemoryTree({}), "").manifest is None
    assert read_manifest(MemoryTree({}), ".").manifest is None
