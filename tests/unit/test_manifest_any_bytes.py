"""Whatever stands in a manifest's files, reading it ends: with a manifest or with errors, never with an exception."""

import json

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aml_canary.domain.manifest_reader import Reading, discover, read_manifest
from aml_canary.domain.tree import MemoryTree

TARGET = """\
endpoint: {name: churn, traffic: {blue: 90, green: 10}, tags: &tags {team: care}}
deployments:
  blue: &blue
    model: azureml:churn:3
    code_configuration: {code: src, scoring_script: score.py}
    environment: {image: x, conda_file: env.yml}
    instance_type: S
    request_settings: {request_timeout_ms: 3000}
    data_collector: {collections: {model_inputs: {enabled: true}}}
  green: {<<: *blue, model: {path: src, type: custom_model}, tags: *tags}
rollout:
  steps: [10, 50]
  smoke: {requests: [{name: rows, file: sample.json, expect: {schema: {type: array}, equals: [1.5]}}]}
"""
LEGACY = """\
$schema: http://azureml/sdk-2-0/OnlineEndpoint.json
name: myEndpoint
traffic: {blue: 100}
deployments:
  blue:
    model: aml:models/m:1
    code_reference: {code: ./src/, scoring_script: ./src/score.py}
    environment: ./env.yml
    sku: Standard_FS4_v2
    scale: {scale_type: manual, instance_count: 5, max_instances: 5}
    request: {request_timeout_ms: 3000}
"""
FILES = {"src/score.py": b"x", "env.yml": b"x", "sample.json": b"{}", "sample-request.json": b"{}"}
# What has meaning to YAML or to a manifest, for mutations to insert.
WORDS = st.sampled_from(
    ["{", "}", "[", "]", "&a ", "*a", "<<: ", "!!int ", "!", "'", '"', ": ", ":", "- ", "---", "...", "\t", "\n", "\0", "#", "| ", "> ", "%YAML 9.9",
     "null", "yes", "1e999", "0x1", "1:2", ".inf", "{{ x }}", "${X}", "../", "/", ".", "-1", "99999999999999999999999", "\u2028", "é", "\ufeff", "?"]
)  # fmt: skip
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-200, 200) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
PATIENT = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def mutations(draw, text: str) -> str:
    """`text` with a few stretches removed, doubled or replaced by a word of meaning."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(WORDS | st.just(text[start:end] * 2) | st.text(max_size=3)) + text[end:]
    return text


def ends_well(reading: Reading) -> None:
    assert (reading.manifest is None) == bool(reading.errors)
    for finding in reading.findings:
        assert finding.file
        assert finding.rule
        assert finding.message
        assert finding.line >= 0
        assert finding.remedy or finding.severity == "note"
        str(finding).encode("utf-8")
    assert list(reading.findings) == sorted(set(reading.findings))


@PATIENT
@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbfa: 1")
@example(b'a: "\\UFFFFFFFF"')
@example(b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1")
@example(b"? [a]\n: b")
@example(b"!!map [a]")
@example(b"? &k a\n: *k")
def test_random_bytes_are_read_or_refused(content):
    for path in ("canary.yml", "some.yaml", "endpoint.yml", "managed-1-x.yaml"):
        tree = MemoryTree({**FILES, path: content})
        ends_well(read_manifest(tree, path))
        ends_well(read_manifest(tree, "."))
        discover(tree, ".")


@PATIENT
@given(mutations(TARGET))
def test_a_damaged_target_manifest_is_read_or_refused(text):
    ends_well(read_manifest(MemoryTree({**FILES, "canary.yml": text.encode("utf-8", "surrogatepass")}), "canary.yml"))


@PATIENT
@given(mutations(LEGACY))
def test_a_damaged_legacy_manifest_is_read_or_refused(text):
    ends_well(read_manifest(MemoryTree({**FILES, "one.yaml": text.encode("utf-8", "surrogatepass")}), "one.yaml"))


def places(value: object) -> list[list]:
    """The way to every value inside `value`."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [[step, *rest] for step, inner in steps for rest in ([], *places(inner))]


@PATIENT
@given(st.sampled_from([TARGET, LEGACY]), PLAIN, st.data())
def test_any_value_in_the_place_of_any_other_is_read_or_refused(text, value, data):
    whole = json.loads(json.dumps(yaml.safe_load(text)))
    *way, last = data.draw(st.sampled_from(places(whole)))
    here = whole
    for step in way:
        here = here[step]
    here[last] = value
    ends_well(read_manifest(MemoryTree({**FILES, "one.yaml": json.dumps(whole).encode()}), "one.yaml"))


@given(st.text(max_size=30))
def test_any_path_is_answered(path):
    ends_well(read_manifest(MemoryTree(FILES), path))


def test_both_manifests_that_are_damaged_here_are_right_to_begin_with():
    for name, text in (("canary.yml", TARGET), ("one.yaml", LEGACY)):
        assert read_manifest(MemoryTree({**FILES, name: text.encode()}), name).errors == ()
