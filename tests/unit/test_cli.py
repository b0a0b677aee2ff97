"""The installed program without Azure and Prefect: what it prints, what it exits with, what it does not load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from aml_canary.cli import main
from aml_canary.domain.observed import Facts
from aml_canary.errors import Permanent
from aml_canary.local import observed_from, observed_json
from tests.unit.worlds import live

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "aml-canary"
CHURN = "examples/manifests/churn.canary.yml"
# Nothing of this machine's own configuration.
QUIET = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null"}


def cli(*words: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    found = subprocess.run([PROGRAM, *words], cwd=cwd, env=QUIET | env, capture_output=True, text=True, check=False)
    assert "Traceback" not in found.stderr, found.stderr
    return found


def test_help_names_every_command_and_loads_nothing_that_takes_long():
    script = (
        "import sys\nfrom aml_canary.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit as end:\n"
        "    print('exit', end.code, sorted({n.split('.')[0] for n in sys.modules} & set(SLOW)))"
    ).replace("SLOW", repr(["prefect", "azure", "pydantic", "requests", "rich", "yaml", "urllib3", "ssl"]))
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=QUIET, cwd=ROOT)
    assert found.stdout.splitlines()[-1] == "exit 0 []"
    assert all(
        f"  {name}" in found.stdout
        for name in ("doctor", "init", "plan", "run", "schema", "setup", "serve-webhooks", "status", "validate", "watch")
    )


def test_the_program_knows_its_version():
    assert cli("--version").stdout.startswith("aml-canary, version ")


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("validate",),
        ("validate", "no-such-file"),
        ("plan",),
        ("plan", CHURN, "--format", "xml"),
        ("status", "--nonsense"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_is_wrong(words):
    found = cli(*words)
    assert (found.returncode, found.stdout) == (2, "")
    assert "Error: " in found.stderr


def test_right_manifests_are_exit_code_0():
    found = cli("validate", "configs", "examples")
    assert found.returncode == 0
    assert found.stdout.startswith("3 manifests, 0 errors, ")
    noted = cli("validate", "configs", "--notes")
    assert "[legacy-" in noted.stdout


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.canary.yml"
    file.write_text(
        "endpoint:\n  name: churn\n  traffic:\n    blue: 90\n    grene: 11\ndeployments:\n  blue:\n    instance_typ: Standard_F2s_v2\n"
    )
    return file


def test_a_bad_manifest_is_exit_code_1_and_each_finding_says_file_line_field_rule_and_what_to_type(bad):
    found = cli("validate", bad.name, cwd=bad.parent)
    assert found.returncode == 1
    lines = found.stdout.splitlines()
    assert "bad.canary.yml:3: error: endpoint.traffic: the weights total 101, not 100 [traffic-total] Make them total 100" in found.stdout
    assert any(line.startswith("bad.canary.yml:5: error: endpoint.traffic.grene: ") and "[traffic-unknown]" in line for line in lines)
    assert any("instance_typ" in line and "instance_type" in line for line in lines)
    assert lines[-1].startswith("1 manifests, ")


def test_findings_are_json_for_scripts(bad):
    found = cli("validate", bad.name, "--format", "json", cwd=bad.parent)
    assert found.returncode == 1
    said = json.loads(found.stdout)
    assert said["manifests"] == 1
    assert {"file", "line", "field", "rule", "message", "remedy", "severity"} == set(said["findings"][0])


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_bad_manifest_stops_every_command_with_the_same_findings(bad, command):
    subprocess.run(["git", "init", "-q"], cwd=bad.parent, env=QUIET, check=True)
    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@example.test", "commit", "-q", "-m", "bad"]
    subprocess.run(["git", "add", "."], cwd=bad.parent, env=QUIET, check=True)
    subprocess.run(commit, cwd=bad.parent, env=QUIET, check=True)
    env = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "AML_CANARY_HOME": str(bad.parent / "home"), "HOME": str(bad.parent)}
    found = cli(command, bad.name, cwd=bad.parent, **env)
    assert found.returncode == 1
    assert "bad.canary.yml:3: error: endpoint.traffic: the weights total 101, not 100 [traffic-total]" in found.stderr


def test_a_folder_without_manifests_is_a_problem(tmp_path):
    found = cli("validate", tmp_path)
    assert found.returncode == 1
    assert "No manifest was found" in found.stderr


def test_the_schema_is_json():
    assert "properties" in json.loads(cli("schema").stdout)


def observed(tmp_path: Path, said: object) -> Path:
    file = tmp_path / "observed.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said))
    return file


def test_a_plan_against_a_file_needs_no_azure(tmp_path):
    nothing = observed(tmp_path, {"name": "churn"})
    text = cli("plan", CHURN, "--observed", nothing)
    assert text.returncode == 0
    assert "# Plan for churn" in text.stdout
    assert "| 1 | `create-endpoint` | Create the endpoint, without traffic. |  |" in text.stdout
    said = json.loads(cli("plan", CHURN, "--observed", nothing, "--format", "json").stdout)
    assert said["steps"][0] == {"step": "create-endpoint", "what": "Create the endpoint, without traffic.", "approval": False}
    assert said["steps"][-1]["approval"] is True
    assert said["endpoint"] == "churn"


def test_a_plan_of_a_staged_folder_shows_the_whole_way(tmp_path):
    nothing = observed(tmp_path, [{"name": "another"}, {"name": "myendpoint"}])
    said = json.loads(cli("plan", "configs/online-endpoint/mir/gitops", "--observed", nothing, "--format", "json").stdout)
    assert [step["step"] for step in said["steps"] if step["approval"]] == ["full-blue", "flight-green-10", "full-green", "delete-blue"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{", "is not an endpoint as `aml-canary status --format json` prints it"),
        ('"text"', "does not describe endpoint churn"),
        ({"name": "another"}, "does not describe endpoint churn"),
        ({"name": "churn", "traffic": {"blue": "all"}}, "traffic.blue"),
        ({"name": "churn", "exists": True, "state": "Failed", "auth_mode": "key"}, "Endpoint churn is Failed on Azure"),
    ],
)
def test_an_observed_file_that_cannot_be_planned_from_is_exit_code_1_and_says_why(tmp_path, said, told):
    found = cli("plan", CHURN, "--observed", observed(tmp_path, said))
    assert found.returncode == 1
    assert told in found.stderr


def test_a_folder_is_no_observed_file(tmp_path):
    assert cli("plan", CHURN, "--observed", tmp_path).returncode == 2


def test_an_endpoint_survives_being_printed_and_read(tmp_path):
    here = live({"blue": 90, "green": 10}, {"blue": None, "green": "v2"}, mirror={"red": 5})
    facts = Facts(commit="c", run="r", stable={"blue": 100}, rollbacks=2)
    here = type(here)(**{**vars(here), "facts": facts, "scoring_uri": "https://x/score"})
    said = json.dumps([{**observed_json(here), "rollout": "Suspended"}])
    assert observed_from(observed(tmp_path, said), "churn") == here


def test_without_a_workspace_or_a_prefect_server_the_variables_to_set_are_named(tmp_path):
    assert "set AML_CANARY_SUBSCRIPTION_ID" in cli("plan", CHURN).stderr
    for words in (("status",), ("run", CHURN)):
        found = cli(*words, HOME=str(tmp_path))
        assert (found.returncode, found.stderr.splitlines()[-1][:62]) == (
            1,
            "No Prefect server is configured: set PREFECT_API_URL, such as ",
        )


@pytest.mark.parametrize(("name", "value"), [("AML_CANARY_CLOUD_METADATA", "not json"), ("AML_CANARY_RETRIES", "many")])
def test_wrong_settings_are_wrong_usage_and_the_variable_is_named(name, value):
    found = cli("plan", CHURN, **{name: value})
    assert found.returncode == 2
    assert name.removeprefix("AML_CANARY_").lower() in found.stderr.lower()


def test_the_webhook_door_does_not_open_without_a_secret():
    found = cli("serve-webhooks")
    assert found.returncode == 1
    assert "AML_CANARY_WEBHOOK_SECRETS" in found.stderr


def test_what_is_not_committed_is_not_rolled_out(tmp_path):
    """As it lies in the folder it is no commit, and the worker reads commits."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("examples/manifests/churn.canary.yml", "examples/manifests/sample-request.json"):
        (folder / Path(name).name).write_bytes((ROOT / name).read_bytes())
    text = (folder / "churn.canary.yml").read_text().replace("../models", "models")
    (folder / "churn.canary.yml").write_text(text)
    subprocess.run(["cp", "-r", ROOT / "examples" / "models", folder / "models"], check=True)
    env = QUIET | {"HOME": str(tmp_path)}

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.test", *words], cwd=folder, env=env, check=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (folder / "churn.canary.yml").write_text(text.replace("instance_count: ", "instance_count: 1"))
    there = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "AML_CANARY_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    found = cli("run", "churn.canary.yml", cwd=folder, **there)
    assert found.returncode == 1
    assert (
        "is not rolled out as it lies in the folder, only as committed. Commit and push, or undo, these first: churn.canary.yml"
        in found.stderr
    )
    git("commit", "-q", "-a", "-m", "second")
    found = cli("run", "churn.canary.yml", cwd=folder, **there)
    assert found.returncode == 1
    assert "Prefect's API did not answer" in found.stderr


@pytest.mark.parametrize(("name", "waits"), [("churn", True), ("churn@1a2b3c4", False), ("0" * 36, False)])
def test_only_an_endpoint_s_next_rollout_is_waited_for_and_not_for_ever(name, waits, monkeypatch):
    asked = []

    def nobody(run):
        asked.append(run)
        raise Permanent("nobody holds it")

    monkeypatch.setattr("aml_canary.gateways.prefect_answers.find_run", nobody)
    monkeypatch.setattr("aml_canary.cli_status.insist_on_prefect", lambda: None)
    monkeypatch.setattr("aml_canary.cli_status._BEGINS_WITHIN_SECONDS", 0.5)
    ended = CliRunner().invoke(main, ["watch", name])
    assert (ended.exit_code, len(asked)) == (1, 2 if waits else 1)
    assert "nobody holds it" in ended.output
    assert ("Waiting up to" in ended.output) == waits
