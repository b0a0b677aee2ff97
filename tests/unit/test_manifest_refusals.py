"""Every rule for the target form: what was written, and the finding that names file, line, field, rule and remedy."""

import time

import pytest

from aml_canary.domain.manifest_reader import read_manifest
from aml_canary.domain.tree import MemoryTree

MANIFEST = """\
endpoint:
  name: churn
  auth_mode: key
  traffic: {blue: 90, green: 10}
  tags:
    team: care
deployments:
  blue:
    model: azureml:churn:3
    code_configuration: {code: models/v1, scoring_script: score.py}
    environment:
      image: registry.example/base:1
      conda_file: models/environment.yml
    instance_type: Standard_F2s_v2
    instance_count: 2
  green:
    model: {path: models/weights.bin}
    code_configuration:
      code: models/v2
      scoring_script: src/score.py
    environment: azureml:scoring:7
    environment_variables: {MODE: fast}
    instance_type: Standard_F2s_v2
    request_settings: {request_timeout_ms: 3000}
rollout:
  steps: [10, 50]
  smoke:
    requests:
      - name: rows
        file: sample.json
        expect:
          schema: {type: array}
  approvals: {before: [traffic]}
"""
FILES = {
    "models/v1/score.py": b"v1",
    "models/v2/src/score.py": b"v2",
    "models/weights.bin": b"weights",
    "models/environment.yml": b"name: x",
    "models/pointer.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "models/docker/Dockerfile": b"FROM x",
    "sample.json": b'{"data": [[1]]}',
    "notes.txt": b"not JSON",
}

# Each row: what stands in the manifest, what stands there instead, the rule, a mark on the finding's line, and the finding's field.
ROWS = [
    # Weights.
    ("blue: 90,", "blue: 80,", "traffic-total", "traffic:", "endpoint.traffic"),
    ("blue: 90,", "blue: 100,", "traffic-total", "traffic:", "endpoint.traffic"),
    ("blue: 90, green: 10", "blue: 90.5, green: 9.5", "traffic-weight", "traffic:", "endpoint.traffic.blue"),
    ("blue: 90, green: 10", "blue: 110, green: -10", "traffic-weight", "traffic:", "endpoint.traffic.green"),
    ("blue: 90,", 'blue: "90",', "traffic-weight", "traffic:", "endpoint.traffic.blue"),
    ("blue: 90,", "blue: yes,", "traffic-weight", "traffic:", "endpoint.traffic.blue"),
    ("green: 10}", "red: 10}", "traffic-unknown", "traffic:", "endpoint.traffic.red"),
    ("green: 10}", "green: 10, red: 0}", "traffic-unknown", "traffic:", "endpoint.traffic.red"),
    ("{blue: 90, green: 10}", "[blue, green]", "traffic-weight", "traffic:", "endpoint.traffic"),
    ("{blue: 90, green: 10}", "{blue: 50, Blue: 50}", "duplicate-key", "traffic:", "endpoint.traffic.Blue"),
    ("{blue: 90, green: 10}", "{blue: 50, blue: 50}", "duplicate-key", "traffic:", "endpoint.traffic.blue"),
    # Mirrors.
    ("green: 10}", "green: 10}\n  mirror_traffic: {green: 10}", "mirror-live", "mirror", "endpoint.mirror_traffic.green"),
    ("green: 10}", "green: 10}\n  mirror_traffic: {green: 60}", "mirror-share", "mirror", "endpoint.mirror_traffic.green"),
    ("green: 10}", "green: 10}\n  mirror_traffic: {green: 5, blue: 5}", "mirror-one", "mirror", "endpoint.mirror_traffic"),
    ("green: 10}", "green: 10}\n  mirror_traffic: {red: 5}", "mirror-traffic-unknown", "mirror", "endpoint.mirror_traffic.red"),
    # Names.
    ("name: churn", "name: ch", "endpoint-name", "name: ch", "endpoint.name"),
    ("name: churn", "name: " + "c" * 33, "endpoint-name", "name: c", "endpoint.name"),
    ("name: churn", "name: my--endpoint", "endpoint-name", "my--", "endpoint.name"),
    ("name: churn", "name: churn-", "endpoint-name", "churn-", "endpoint.name"),
    ("name: churn", "name: 1churn", "endpoint-name", "1churn", "endpoint.name"),
    ("name: churn", 'name: "churn\\n"', "endpoint-name", "churn", "endpoint.name"),
    ("name: churn", "name: chürn", "endpoint-name", "chürn", "endpoint.name"),
    ("  green:\n", "  a_b:\n", "deployment-name", "a_b:", "deployments.a_b"),
    ("  green:\n", "  Blue:\n", "duplicate-key", "Blue:", "deployments.Blue"),
    ("  green:\n", "  blue:\n", "duplicate-key", None, "deployments.blue"),
    (
        "    environment: azureml:scoring:7",
        "    name: red\n    environment: azureml:scoring:7",
        "name-mismatch",
        "red",
        "deployments.green.name",
    ),
    (
        "    environment: azureml:s",
        "    endpoint_name: x\n    environment: azureml:s",
        "endpoint-mismatch",
        "endpoint_name",
        "deployments.green.endpoint_name",
    ),
    # Numbers.
    ("instance_count: 2", "instance_count: 0", "instance-count", "instance_count", "deployments.blue.instance_count"),
    ("instance_count: 2", "instance_count: 51", "instance-count", "instance_count", "deployments.blue.instance_count"),
    ("instance_count: 2", "instance_count: 1.5", "instance-count", "instance_count", "deployments.blue.instance_count"),
    (
        "request_timeout_ms: 3000",
        "request_timeout_ms: 200000",
        "request-timeout",
        "timeout",
        "deployments.green.request_settings.request_timeout_ms",
    ),
    (
        "{request_timeout_ms: 3000}",
        "{max_concurrent_requests_per_instance: 0}",
        "out-of-range",
        "max_con",
        "deployments.green.request_settings.max_concurrent_requests_per_instance",
    ),
    ("[10, 50]", "[50, 10]", "steps-order", "steps", "rollout.steps"),
    ("[10, 50]", "[10, 10]", "steps-order", "steps", "rollout.steps"),
    ("[10, 50]", "[10, 101]", "step-value", "steps", "rollout.steps[1]"),
    ("[10, 50]", "10", "step-value", "steps", "rollout.steps"),
    # Assets and their versions.
    ("azureml:churn:3", "azureml:churn", "model-version", "model:", "deployments.blue.model"),
    ("azureml:churn:3", "azureml:churn@latest", "model-version", "model:", "deployments.blue.model"),
    ("azureml:churn:3", "azureml://registries/r/models/churn", "model-version", "model:", "deployments.blue.model"),
    ("azureml:churn:3", "./models/weights.bin", "model-reference", "model:", "deployments.blue.model"),
    ("azureml:churn:3", "aml:models/churn:3", "legacy-value", "model:", "deployments.blue.model"),
    ("azureml:scoring:7", "azureml:scoring@latest", "environment-version", "scoring", "deployments.green.environment"),
    ("azureml:scoring:7", "./environment.yml", "environment-reference", "./env", "deployments.green.environment"),
    ("azureml:scoring:7", "{conda_file: models/environment.yml}", "environment-reference", "{conda", "deployments.green.environment"),
    ("azureml:scoring:7", "{build: {path: models/v2}}", "path-missing", "{build", "deployments.green.environment.build.dockerfile_path"),
    # Files.
    ("code: models/v2", "code: models/v3", "path-missing", "v3", "deployments.green.code_configuration.code"),
    ("code: models/v2", "code: models/weights.bin", "path-missing", "weights", "deployments.green.code_configuration.code"),
    ("code: models/v2", "code: ../models/v2", "path-outside", "../", "deployments.green.code_configuration.code"),
    ("code: models/v2", "code: /models/v2", "path-outside", "/models", "deployments.green.code_configuration.code"),
    ("code: models/v2", "code: models\\v2", "path-outside", "models\\", "deployments.green.code_configuration.code"),
    ("code: models/v2", "code: .", "code-holds-manifest", "code: .", "deployments.green.code_configuration.code"),
    ("src/score.py", "score.py", "script-missing", "scoring_script: score", "deployments.green.code_configuration.scoring_script"),
    ("src/score.py", "models/v2/src/score.py", "script-missing", "models/v2/src", "deployments.green.code_configuration.scoring_script"),
    ("src/score.py", "../v1/score.py", "script-missing", "../v1", "deployments.green.code_configuration.scoring_script"),
    ("conda_file: models/environment.yml", "conda_file: env.yml", "path-missing", "conda_file", "deployments.blue.environment.conda_file"),
    (
        "conda_file: models/environment.yml",
        "conda_file: file:models/environment.yml",
        "legacy-value",
        "conda",
        "deployments.blue.environment.conda_file",
    ),
    ("models/weights.bin", "models/pointer.bin", "lfs-pointer", "pointer", "deployments.green.model.path"),
    ("models/weights.bin", "models/none.bin", "path-missing", "none.bin", "deployments.green.model.path"),
    # Keys.
    ("instance_count: 2", "instence_count: 2", "unknown-key", "instence", "deployments.blue.instence_count"),
    ("instance_count: 2", "sku: Standard_F2s_v2", "legacy-key", "sku", "deployments.blue.sku"),
    ("{path: models/weights.bin}", "{local_path: models/weights.bin}", "legacy-key", "local_path", "deployments.green.model.local_path"),
    ("instance_count: 2", "provisioning_state: Succeeded", "read-only-key", "provisioning", "deployments.blue.provisioning_state"),
    ("auth_mode: key", "scoring_uri: x", "read-only-key", "scoring_uri", "endpoint.scoring_uri"),
    ("auth_mode: key", "compute: azureml:aks", "kubernetes-only", "compute", "endpoint.compute"),
    ("instance_count: 2", "type: kubernetes", "kubernetes-only", "kubernetes", "deployments.blue.type"),
    ("instance_count: 2", "resources: {}", "kubernetes-only", "resources", "deployments.blue.resources"),
    ("instance_count: 2", "scale_settings: {type: target_utilization}", "autoscale", "scale_settings", "deployments.blue.scale_settings"),
    ("instance_count: 2", "private_network_connection: true", "unsupported-key", "private", "deployments.blue.private_network_connection"),
    ("instance_type: Standard_F2s_v2\n    instance_count", "instance_count", "missing-key", "  blue:", "deployments.blue.instance_type"),
    ("rollout:", "rolout:", "unknown-key", "rolout", "rolout"),
    ("auth_mode: key", "auth_mode: keys", "not-allowed", "auth_mode", "endpoint.auth_mode"),
    ("[traffic]", "[trafic]", "not-allowed", "approvals", "rollout.approvals.before[0]"),
    ("[traffic]}", "[traffic], approvers: ['@ada']}", "approver", "approvals", "rollout.approvals.approvers[0]"),
    ("[traffic]}", "[traffic], approvers: ada}", "approver", "approvals", "rollout.approvals.approvers"),
    ("[traffic]}", "[traffic], approvers: [yes]}", "approver", "approvals", "rollout.approvals.approvers[0]"),
    ("[traffic]}", "[traffic], approver: [ada]}", "unknown-key", "approvals", "rollout.approvals.approver"),
    ("[traffic]}", "[traffic], require_verified: true}", "approvers-missing", "approvals", "rollout.approvals.require_verified"),
    ("[traffic]}", "[traffic], author_may_approve: 'no'}", "wrong-type", "approvals", "rollout.approvals.author_may_approve"),
    ("[traffic]}", "[traffic], on_timeout: wait}", "not-allowed", "approvals", "rollout.approvals.on_timeout"),
    (
        "instance_type: Standard_F2s_v2\n    instance_count",
        "instance_type: Standard_FS4_v2\n    instance_count",
        "instance-type",
        "FS4",
        "deployments.blue.instance_type",
    ),
    # Types, and what YAML 1.1 takes text for.
    ("team: care", "team: 7", "wrong-type", "team", "endpoint.tags.team"),
    ("team: care", "team: no", "wrong-type", "team", "endpoint.tags.team"),
    ("team: care", "team:", "wrong-type", "team", "endpoint.tags.team"),
    ("team: care", "team: 2026-01-01", "yaml-date", "team", "endpoint.tags.team"),
    ("team: care", "team: 010", "yaml-number", "team", "endpoint.tags.team"),
    ("team: care", "team: 12:30", "yaml-number", "team", "endpoint.tags.team"),
    ("team: care", "team: .nan", "yaml-number", "team", "endpoint.tags.team"),
    ("team: care", "team: " + "9" * 5000, "yaml-number", "team", "endpoint.tags.team"),
    ("team: care", 'team: "\\ud800"', "yaml-text", "team", "endpoint.tags"),
    ("team: care", "team: care\n    Team: care", "duplicate-key", "Team", "endpoint.tags.Team"),
    ("  green:\n", "  no:\n", "key-not-text", "no:", "deployments.no"),
    ("team: care", "on: care", "key-not-text", "on: care", "endpoint.tags.on"),
    ("team: care", "1: care", "key-not-text", "1: care", "endpoint.tags.1"),
    ("team: care", "[a]: care", "key-not-text", "[a]", "endpoint.tags"),
    ("MODE: fast", "MODE: 1", "wrong-type", "MODE", "deployments.green.environment_variables.MODE"),
    ("azureml:churn:3", "3", "wrong-type", "model: 3", "deployments.blue.model"),
    (
        "    code_configuration: {code: models/v1, scoring_script: score.py}",
        "    code_configuration: score.py",
        "wrong-type",
        "code_conf",
        "deployments.blue.code_configuration",
    ),
    # Templates that nobody filled in.
    ("name: churn", "name: {{ name }}", "placeholder", "name: {{", "endpoint.name"),
    ("name: churn", 'name: "{{ name }}"', "placeholder", "{{ name", "endpoint.name"),
    ("name: churn", "name: ${NAME}", "placeholder", "${NAME}", "endpoint.name"),
    ("name: churn", "name: $(name)", "placeholder", "$(name)", "endpoint.name"),
    ("name: churn", "name: <your-name>", "placeholder", "<your-name>", "endpoint.name"),
    ("instance_count: 2", "instance_count: $COUNT", "placeholder", "$COUNT", "deployments.blue.instance_count"),
    ("azureml:churn:3", "azureml:churn:__VERSION__", "placeholder", "__VERSION__", "deployments.blue.model"),
    # Smoke requests.
    ("file: sample.json", "file: none.json", "path-missing", "none.json", "rollout.smoke.requests[0].file"),
    ("file: sample.json", "file: notes.txt", "smoke-not-json", "notes.txt", "rollout.smoke.requests[0].file"),
    ("        file: sample.json\n", "", "missing-key", "name: rows", "rollout.smoke.requests[0].file"),
    (
        "      - name: rows\n",
        "      - {name: rows, file: sample.json}\n      - name: rows\n",
        "smoke-name",
        "- name",
        "rollout.smoke.requests[1].name",
    ),
    ("{type: array}", "{type: arrray}", "expect-schema", "arrray", "rollout.smoke.requests[0].expect.schema.type"),
    ("{type: array}", "{$ref: http://example.com/x}", "expect-schema", "$ref", "rollout.smoke.requests[0].expect.schema.$ref"),
    ("{type: array}", '{$ref: "#/$defs/none"}', "expect-schema", "$ref", "rollout.smoke.requests[0].expect.schema.$ref"),
    (
        MANIFEST[MANIFEST.index("    requests:") : MANIFEST.index("  approvals")],
        "    requests: []\n",
        "smoke-missing",
        "smoke:",
        "rollout.smoke",
    ),
    (MANIFEST[MANIFEST.index("  smoke:") : MANIFEST.index("  approvals")], "", "smoke-missing", "rollout:", "rollout.smoke"),
    (MANIFEST[MANIFEST.index("rollout:") :], "", "smoke-missing", "endpoint:", "rollout.smoke"),
    # What is missing altogether.
    (MANIFEST[MANIFEST.index("  blue:") : MANIFEST.index("rollout:")], "  {}\n", "deployments-missing", "endpoint:", "endpoint"),
    (MANIFEST[MANIFEST.index("deployments:") : MANIFEST.index("rollout:")], "", "missing-key", "endpoint:", "deployments"),
    (
        MANIFEST[MANIFEST.index("    model: {path") : MANIFEST.index("    environment_v")],
        "",
        "nothing-to-run",
        "  green:",
        "deployments.green",
    ),
    # Aliases.
    ("team: care", "<<: 3", "yaml-alias", "<<", "endpoint.tags"),
]


def refused(text: str | bytes, path: str = "canary.yml"):
    content = text.encode() if isinstance(text, str) else text
    return read_manifest(MemoryTree({**FILES, path: content}), path)


def test_the_manifest_that_all_rows_start_from_is_right():
    reading = refused(MANIFEST)
    assert reading.findings == ()
    assert reading.manifest is not None


@pytest.mark.parametrize(("old", "new", "rule", "mark", "field"), ROWS, ids=[f"{row[2]}-{n}" for n, row in enumerate(ROWS)])
def test_a_refusal_names_file_line_field_rule_and_remedy(old, new, rule, mark, field):
    assert MANIFEST.count(old) >= 1
    text = MANIFEST.replace(old, new, 1)
    reading = refused(text)
    assert reading.manifest is None
    found = [finding for finding in reading.errors if finding.rule == rule and finding.field == field]
    assert len(found) == 1, [str(finding) for finding in reading.findings]
    assert found[0].file == "canary.yml"
    assert found[0].message
    assert found[0].remedy
    if mark is not None:
        lines = [number for number, line in enumerate(text.splitlines(), 1) if mark in line]
        assert found[0].line in lines, (found[0], lines)


@pytest.mark.parametrize(
    ("content", "rule", "line"),
    [
        (b"", "file-empty", 0),
        (b"# only a comment\n", "file-empty", 0),
        (b"- a\n- b\n", "not-a-mapping", 1),
        (b"just text", "not-a-mapping", 1),
        (b"a: 1\n\xff\xfe", "file-encoding", 2),
        (MANIFEST.encode("utf-16"), "file-encoding", 1),
        (b"a: 1\n" + b"#" * (1 << 20), "file-too-large", 0),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "lfs-pointer", 1),
        (b"a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> theirs\n", "conflict-markers", 2),
        (b"a: 1\n\tb: 2\n", "yaml-syntax", 2),
        (b"a: [1, 2\n", "yaml-syntax", 2),
        (b"a: *nobody\n", "yaml-syntax", 1),
        (b"a: 1\nname: {{ a }}-{{ b }}\n", "placeholder", 2),
        (b"a: 1\n---\nb: 2\n", "yaml-documents", 3),
        (b"a: !!python/object/apply:os.system [ls]\n", "yaml-tag", 1),
        (b"a: !!binary aGVsbG8=\n", "yaml-tag", 1),
        (b"a: !mine x\n", "yaml-tag", 1),
        (b"a: " + b"[" * 70 + b"]" * 70, "yaml-depth", 1),
        (b"a: [" + b"1," * 30_000 + b"1]", "yaml-size", 1),
        (b"a: &a [" + b"1," * 99 + b"1]\nb: &b [" + b"*a," * 99 + b"*a]\nc: [" + b"*b," * 99 + b"*b]\n", "yaml-size", 1),
        (b"a: &a [*a]\n", "yaml-alias", 1),
        (b"a: &a {<<: *a}\n", "yaml-alias", 1),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_one_finding(content, rule, line):
    reading = refused(content)
    assert reading.manifest is None
    assert [(finding.rule, finding.line, finding.file) for finding in reading.findings] == [(rule, line, "canary.yml")]


def test_all_faults_are_found_at_once():
    text = (
        MANIFEST.replace("blue: 90", "blue: 80")
        .replace("instance_count: 2", "instance_count: 0")
        .replace("code: models/v2", "code: models/v3")
    )
    text = text.replace("[10, 50]", "[50, 10]").replace("name: churn", "name: my--churn").replace("file: sample.json", "file: none.json")
    rules = {finding.rule for finding in refused(text).errors}
    assert rules == {"traffic-total", "instance-count", "path-missing", "steps-order", "endpoint-name"}


def test_what_cannot_be_read_is_reported_once_and_not_again_for_what_follows_from_it():
    reading = refused(MANIFEST.replace("instance_count: 2", "instance_count: $COUNT"))
    assert [finding.rule for finding in reading.findings] == ["placeholder"]


def test_a_misspelt_key_is_answered_with_the_nearest_known_one():
    found = refused(MANIFEST.replace("instance_count: 2", "instance_cuont: 2")).errors[0]
    assert "instance_count" in found.remedy


def test_a_script_that_repeats_its_folder_is_answered_with_the_right_path():
    found = refused(MANIFEST.replace("src/score.py", "models/v2/src/score.py")).errors[0]
    assert "`src/score.py`" in found.remedy


def test_text_that_yaml_takes_for_something_else_is_answered_with_quotes():
    assert '"no"' in refused(MANIFEST.replace("team: care", "team: no")).errors[0].remedy
    assert '"no":' in refused(MANIFEST.replace("team: care", "no: care")).errors[0].remedy
    assert '"2026-01-01"' in refused(MANIFEST.replace("team: care", "team: 2026-01-01")).errors[0].remedy


@pytest.mark.parametrize(
    ("old", "new", "remedy"),
    [
        ("[traffic]", "traffic", "Write [traffic]."),
        ("deployments:\n", "deployments: [blue]\nx:\n", "`deployments: {blue:"),
        ("endpoint:\n", "endpoint: churn\nx:\n", "`endpoint: {name:"),
        ("[10, 50]", "[50, 10, 50]", "Write [10, 50]."),
        ("src/score.py", "none.py", "there: src/score.py."),
        ("code: models/v2", "code: models/docker", "there is no Python file there"),
        ("file: sample.json", "file: 7", 'Put it in quotes: "7"'),
        ("instance_count: 2", 'app_insights_enabled: "true"', "Write true or false, without quotes."),
        ("instance_count: 2", "data_collector: {collections: {a: {enabld: true}}}", "Did you mean `enabled`?"),
        ("schema: {type: array}", "max_latency: 5", "Did you mean `max_latency_ms`?"),
        ("  approvals", "\t approvals", "not tabs"),
    ],
)
def test_remedies_say_what_to_type(old, new, remedy):
    found = refused(MANIFEST.replace(old, new, 1)).errors
    assert any(remedy in finding.remedy for finding in found), [str(finding) for finding in found]


def test_a_reference_inside_the_expected_schema_is_right_where_it_leads_to_a_schema():
    text = MANIFEST.replace("{type: array}", '{type: array, items: {$ref: "#/$defs/a~1number"}, $defs: {a/number: {type: number}}}')
    assert refused(text).errors == ()


def test_prose_and_assertions_may_hold_what_looks_like_a_template():
    text = MANIFEST.replace("auth_mode: key", 'auth_mode: key\n  description: "see <wiki> and ${x}"')
    text = text.replace("{type: array}", '{type: array, items: {type: string, pattern: "^a{{0}}$"}}')
    assert refused(text).errors == ()


def test_a_missing_file_and_an_empty_folder_are_findings():
    assert [finding.rule for finding in read_manifest(MemoryTree(FILES), "nothing.yml").findings] == ["file-missing"]
    assert [finding.rule for finding in read_manifest(MemoryTree(FILES), "models").findings] == ["form-unclear"]


def test_a_file_of_no_known_form_is_told_so():
    assert [finding.rule for finding in refused("name: x\n", "some.yml").errors] == ["form-unclear"]


@pytest.mark.parametrize("old", ["instance_count", "care", "churn:3", "models/v2", "azureml:scoring:7", "- name"])
def test_findings_quote_what_stands_there_only_as_far_as_anybody_would_read(old):
    for long in ("x" * 5000, "${" + "x" * 5000 + "}"):
        findings = refused(MANIFEST.replace(old, long, 1)).findings
        assert findings or old == "care"
        assert max((len(str(finding)) for finding in findings), default=0) < 2500


@pytest.mark.parametrize("opening", ["{{", "${", "<a ", "__A_", "$("])
def test_a_long_line_of_openings_costs_no_more_than_its_length(opening):
    started = time.perf_counter()
    refused(f'a: "{opening * 100_000}"')
    assert time.perf_counter() - started < 10
