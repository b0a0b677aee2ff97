"""The JSON Schema that editors use agrees with what is read, and says what everything is for."""

import pytest
import yaml
from jsonschema import Draft202012Validator

from aml_canary.domain.manifest import Deployment, Endpoint, Rollout
from aml_canary.domain.manifest_reader import read_manifest
from aml_canary.domain.schema import manifest_json_schema
from aml_canary.domain.tree import MemoryTree

SCHEMA = manifest_json_schema()
MANIFEST = """\
$schema: anything
endpoint:
  name: churn
  auth_mode: key
  traffic: {blue: 100}
  mirror_traffic: {green: 10}
  identity: {type: user_assigned, user_assigned_identities: [{resource_id: x}]}
  public_network_access: enabled
deployments:
  blue:
    name: blue
    endpoint_name: churn
    type: managed
    model: {path: weights, type: mlflow_model, version: 3}
    instance_type: S
    liveness_probe: {period: 5}
    data_collector: {collections: {model_inputs: {enabled: true, data: azureml:x:1}}, sampling_rate: 0.5}
    egress_public_network_access: disabled
  green:
    code_configuration: {code: src, scoring_script: score.py}
    environment: {image: x, conda_file: {name: x, dependencies: [python]}}
    environment_variables: {A: "1"}
    instance_type: S
    instance_count: 3
    request_settings: {request_timeout_ms: 3000, max_queue_wait_ms: 100}
    app_insights_enabled: true
    tags: {a: b}
rollout:
  steps: [10, 50]
  smoke: {requests: [{name: a, file: sample.json, expect: {schema: {type: array}, equals: [1], tolerance: 0.1, max_latency_ms: 100}}]}
  approvals: {before: [traffic], timeout_hours: 1.5, approvers: [ada], require_verified: true, author_may_approve: false, on_timeout: hold}
  retire: {delete: false}
  on_failure: rollback
  on_new_commit: queue
"""
TREE = MemoryTree({"src/score.py": b"", "weights/m": b"", "sample.json": b"{}"})


def complaints(text: str) -> list[str]:
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(text))]


def refusals(text: str) -> list[str]:
    tree = MemoryTree({**{name: TREE.read(name) or b"" for name in TREE.files()}, "canary.yml": text.encode()})
    return [finding.rule for finding in read_manifest(tree, "canary.yml").errors]


def test_it_is_a_json_schema():
    Draft202012Validator.check_schema(SCHEMA)


def test_a_manifest_with_every_kind_of_field_satisfies_schema_and_reader():
    assert complaints(MANIFEST) == []
    assert refusals(MANIFEST) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("auth_mode: key", "auth_mod: key"),
        ("auth_mode: key", "auth_mode: keys"),
        ("traffic: {blue: 100}", "traffic: {blue: 100.5}"),
        ("traffic: {blue: 100}", "traffic: {blue: 101}"),
        ("  blue:\n", "  a_b:\n"),
        ("{path: weights,", "{local_path: weights,"),
        ("instance_count: 3", "instance_count: 51"),
        ("request_timeout_ms: 3000", "request_timeout_ms: 180001"),
        ("{period: 5}", "{period_seconds: 5}"),
        ("rollout:", "rolout:"),
        ("steps: [10, 50]", "steps: [0]"),
        ("{type: user_assigned,", "{type: mine,"),
        ("sampling_rate: 0.5", "sampling_rate: 2"),
        ("approvers: [ada]", "approvers: ['@ada']"),
        ("on_timeout: hold", "on_timeout: wait"),
        ("{schema: {type: array},", "{json_schema: {type: array},"),
        ("type: managed", "type: kubernetes"),
        (MANIFEST[MANIFEST.index("  smoke:") : MANIFEST.index("  approvals")], ""),
    ],
)
def test_what_the_schema_refuses_the_reader_refuses_as_well(old, new):
    assert old in MANIFEST
    text = MANIFEST.replace(old, new, 1)
    assert complaints(text)
    assert refusals(text)


def test_every_field_has_a_description():
    fields = {f"{name}.{field}": value for name, part in SCHEMA["$defs"].items() for field, value in part["properties"].items()}
    assert [field for field, value in fields.items() if not value.get("description")] == []


@pytest.mark.parametrize("model", [Endpoint, Deployment, Rollout])
def test_every_field_of_the_model_is_in_the_schema(model):
    assert set(model.model_fields) <= set(SCHEMA["$defs"][model.__name__]["properties"])
