"""`aml-canary init`: what a team begins with is taken by our own commands and by Prefect, and nothing of theirs is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from aml_canary.cli_setup import HOSTS as OFFERED
from aml_canary.domain.starter import KNOWN_HOSTS, Beginning, deployments, files, host_of, name_of, webhook
from aml_canary.githosts import HOSTS
from tests.unit.test_cli import PROGRAM, QUIET, ROOT, cli

FLAGS = ("--endpoint", "Churn", "--model", "azureml:churn:3", "--no-input")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody's own, with a remote that has a token in its address."""
    for words in (["init", "-q"], ["remote", "add", "origin", "https://me:t0ken@gitlab.com/acme/models.git"]):
        subprocess.run(["git", *words], cwd=tmp_path, env=QUIET, check=True)
    return tmp_path


def init(repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return cli("init", *words, cwd=repository)


def written(repository: Path) -> dict[str, str]:
    return {p.relative_to(repository).as_posix(): p.read_text() for p in repository.rglob("*") if p.is_file() and ".git" not in p.parts}


def test_what_is_written_is_valid_and_planned_and_has_no_secret(repository: Path):
    found = init(repository, *FLAGS)
    assert found.returncode == 0, found.stderr
    assert set(written(repository)) == {
        "configs/churn.canary.yml",
        "configs/churn-request.json",
        "aml-canary.env",
        "aml-canary-webhook.md",
        "prefect.yaml",
    }
    assert "t0ken" not in found.stdout + "".join(written(repository).values())
    assert cli("validate", "configs", cwd=repository).stdout == "1 manifests, 0 errors, 0 notes.\n"
    nothing = repository / "observed.json"
    nothing.write_text('{"name": "churn"}')
    assert "`full-blue`" in cli("plan", "configs/churn.canary.yml", "--observed", nothing, cwd=repository).stdout
    assert "https://canary.example.com/webhooks/gitlab" in found.stdout
    assert "Comments" in found.stdout


def test_the_settings_are_taken_as_a_shell_reads_them(repository: Path):
    init(repository, *FLAGS, "--workspace", "ml")
    program = "set -a; . ./aml-canary.env; set +a; python3 -c 'import os, json; print(json.dumps(dict(os.environ)))'"
    read = subprocess.run(["sh", "-c", program], cwd=repository, env=QUIET, capture_output=True, text=True, check=True)
    env = {name: value for name, value in yaml.safe_load(read.stdout).items() if name.startswith("AML_CANARY_")}
    assert env["AML_CANARY_WORKSPACE"] == "ml"
    assert yaml.safe_load(env["AML_CANARY_REPOSITORIES"]) == {"acme/models": "https://gitlab.com/acme/models.git"}
    # A setting that there is not would be wrong usage.
    assert cli("plan", "configs/churn.canary.yml", cwd=repository, **env).returncode == 1


def test_nothing_of_theirs_is_written_over(repository: Path):
    (repository / "prefect.yaml").write_text("theirs")
    refused = init(repository, *FLAGS)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Nothing was written: prefect.yaml is there already.")
    assert written(repository) == {"prefect.yaml": "theirs"}
    assert init(repository, *FLAGS, "--force").returncode == 0
    assert "theirs" not in written(repository)["prefect.yaml"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--endpoint", "no_such name", *FLAGS[2:]), 1, "endpoint.name"),
        (("--endpoint", "churn", "--model", "azureml:churn", "--no-input"), 1, "names no version"),
        (("--endpoint", "churn", "--model", "models/none", "--no-input"), 1, "models/none"),
        (("--endpoint", "churn", "--no-input"), 2, "Give --model."),
    ],
)
def test_what_would_be_refused_is_not_written(repository: Path, words, code, told):
    found = init(repository, *words)
    assert (found.returncode, written(repository)) == (code, {})
    assert told in found.stderr


def test_what_is_not_given_is_asked_and_what_git_knows_is_proposed(repository: Path):
    # The address first, because it tells the rest; an empty line takes what is proposed.
    answers = "\nchurn\nazureml:churn:3\n\n\n"
    found = subprocess.run([PROGRAM, "init"], cwd=repository, env=QUIET, input=answers, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "[https://gitlab.com/acme/models.git]" in found.stdout
    assert "[acme/models]" in found.stdout
    assert "configs/churn.canary.yml" in written(repository)


BEGUN = Beginning("churn", "azureml:churn:3", "acme/models", "github", "https://github.com/acme/models.git")


def test_every_host_of_ours_has_its_instructions():
    assert set(KNOWN_HOSTS) == set(OFFERED) == set(HOSTS)
    for host in HOSTS:
        told = webhook(Beginning(**{**vars(BEGUN), "host": host, "door": "https://door.test/"}))
        assert f"`https://door.test/webhooks/{host}`" in told
        assert "ush" in told


def test_the_deployments_are_those_of_this_repository():
    ours, theirs = yaml.safe_load((ROOT / "prefect.yaml").read_text()), yaml.safe_load(deployments([]))

    def without_words(file):
        return {**file, "deployments": [{k: v for k, v in one.items() if k != "description"} for one in file["deployments"]]}

    assert without_words(theirs) == without_words(ours)
    followed = {one["name"]: one for one in yaml.safe_load(deployments(["acme/a", "acme/b"], 60))["deployments"]}
    assert [(each["interval"], each["parameters"]) for each in followed["sync"]["schedules"]] == [
        (60, {"repository": "acme/a"}),
        (60, {"repository": "acme/b"}),
    ]


def test_the_request_is_one_that_an_mlflow_model_takes_apart():
    assert yaml.safe_load(files(BEGUN)["configs/churn-request.json"])["input_data"]["data"]


@pytest.mark.parametrize(
    ("url", "host", "name"),
    [
        ("https://github.com/acme/models.git", "github", "acme/models"),
        ("git@gitlab.com:acme/ml/models.git", "gitlab", "acme/ml/models"),
        ("https://acme@dev.azure.com/acme/Live Models/_git/models", "azure-devops", "acme/Live Models/models"),
        ("git@ssh.dev.azure.com:v3/acme/Live/models", "azure-devops", "acme/Live/models"),
        ("https://bitbucket.org/acme/models", "bitbucket", "acme/models"),
        ("ssh://git@codeberg.org/acme/models.git", "forgejo", "acme/models"),
        ("https://git.example.com/acme/models", "", "acme/models"),
    ],
)
def test_what_an_address_tells(url, host, name):
    assert (host_of(url), name_of(url)) == (host, name)
