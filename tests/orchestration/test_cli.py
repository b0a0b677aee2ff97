"""The installed program against everything running: what is live, who holds it, and starting a rollout by hand."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from aml_canary.errors import Permanent
from aml_canary.gateways import prefect_answers
from examples.demo.manifests import path_of
from examples.demo.stack import BIN
from tests.contract.githost_world import TOKEN, git_host
from tests.orchestration.world import wait_until


def cli(world, *words, cwd=None, **env):
    everything = world.stack.env | env
    found = subprocess.run([BIN / "aml-canary", *words], cwd=cwd, env=everything, capture_output=True, text=True, check=False)
    assert "Traceback" not in found.stderr, found.stderr
    return found


def test_status_can_be_planned_from_and_names_the_rollout_that_holds_an_endpoint(world, tmp_path: Path):
    world.blue_is_live()
    printed = cli(world, "status", world.endpoint, "--format", "json")
    assert printed.returncode == 0
    [live] = json.loads(printed.stdout)
    assert (live["name"], live["traffic"], live["rollout"]) == (world.endpoint, {"blue": 100}, None)
    heading, *rows = cli(world, "status").stdout.splitlines()
    assert heading.split("  ")[0] == "endpoint"
    assert [re.split(r"  +", row)[1:] for row in rows if row.startswith(world.endpoint)] == [["blue 100 %", "none"]]
    assert "| deployment | live traffic |" in cli(world, "status", world.endpoint).stdout

    manifest = world.repository.work / path_of(world.endpoint)
    observed = tmp_path / "observed.json"
    observed.write_text(printed.stdout)
    unchanged = cli(world, "plan", manifest, "--observed", observed, "--format", "json")
    assert json.loads(unchanged.stdout)["steps"] == []

    world.push({"green": 100}, {"green": "v2"}, "  approvals: {approvers: [ada]}\n")
    before = world.writes()
    from_file = cli(world, "plan", manifest, "--observed", observed)
    assert from_file.stdout == cli(world, "plan", manifest).stdout
    assert "| 4 | `full-green` |" in from_file.stdout
    assert world.writes() == before

    started = cli(world, "run", manifest, "--repository", world.repository.url, "--format", "json")
    assert started.returncode == 0, started.stderr
    run = json.loads(started.stdout)["run"]
    assert world.until_asked(run) == "flight-green-10"
    held = json.loads(cli(world, "status", world.endpoint, "--format", "json").stdout)[0]["rollout"]
    assert (held["run"], held["state"], held["waits_for"], held["gate"]) == (run, "Suspended", "answer", "flight-green-10")
    assert held["who"] == ["ada"]
    assert " an answer to flight-green-10 by ada for " in cli(world, "status").stdout
    watching = subprocess.Popen(
        [BIN / "aml-canary", "watch", world.endpoint], env=world.stack.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    told = iter(lambda: watching.stdout.readline().rstrip(), "")
    assert any(re.search(r"  waits for an answer to flight-green-10 by ada, until 20\d\d-", line) for line in told)
    rejected = cli(world, "reject", run, "the lift is not convincing", "--as", "Ada")
    assert rejected.stdout.endswith(": flight-green-10 is rejected, and live traffic goes back, as Ada said.\n")
    assert "Ada rejected flight-green-10: the lift is not convincing" in world.end_of(run)["state"]["message"]
    rest, wrong = watching.communicate(timeout=240)
    assert (watching.returncode, wrong) == (1, ""), "it is not as git wants it"
    assert "Ada rejected flight-green-10: the lift is not convincing" in rest
    assert re.match(r"\d\d:\d\d:\d\d  Rejected: Ada rejected", rest.splitlines()[-1])
    lines = [json.loads(line) for line in cli(world, "watch", run, "--format", "json").stdout.splitlines()]
    assert (lines[-1]["state"], lines[-1]["traffic"]) == ("Rejected", {"blue": 100})
    story = json.loads(cli(world, "explain", run, "--format", "json").stdout)
    assert [event["told"] for event in story] == [line["told"] for line in lines if not line["told"].startswith("live traffic")]


def test_a_rollout_is_approved_by_its_name_and_aborted_without_a_worker(world):
    world.blue_is_live()
    run = world.start_green()
    assert world.until_asked(run) == "flight-green-10"
    name = world.prefect.run(run)["name"]
    nobody = cli(world, "approve", name, "--as", "")
    assert (nobody.returncode, world.prefect.state(run)) == (1, "Suspended"), "an answer needs a name"
    approved = cli(world, "approve", name, "--as", "Ada", "--comment", "go")
    assert approved.stdout == f"{name}: flight-green-10 is approved and goes on, as Ada said.\n", approved.stderr
    wait_until(lambda: world.traffic == {"blue": 90, "green": 10}, "it goes on")
    assert world.until_asked(run) == "full-green"

    world.stack.processes["worker"].kill()
    aborted = cli(world, "abort", world.endpoint, "the press is here")
    world.stack.start_worker()
    assert aborted.stdout == f"The rollout of {world.endpoint} is ended. Live traffic was put back to blue 100 %. The endpoint is free.\n"
    assert (world.traffic, world.lock()) == ({"blue": 100}, None)
    state = world.prefect.run(run)["state"]
    assert (state["type"], state["name"], state["message"]) == ("CANCELLED", "Aborted", "the press is here")

    again = cli(world, "abort", world.endpoint, "twice")
    assert again.stdout == f"No rollout holds {world.endpoint}. Live traffic: blue 100 %.\n"
    late = cli(world, "approve", name, "--as", "Ada")
    assert late.returncode == 1
    assert "waits for no answer: it is Aborted" in late.stderr

    told = [line.split("  ", 2)[2].strip() for line in cli(world, "explain", run).stdout.splitlines()[1:]]
    assert [re.sub(r"\d+ s", "n s", line) for line in told] == [
        "create-green: done in n s",
        "smoke-invoke-green: done in n s",
        "asked whether to go on with flight-green-10",
        "Ada (unverified) approved flight-green-10: go",
        "flight-green-10: done in n s",
        "asked whether to go on with full-green",
        "Aborted: the press is here",
    ]


def test_an_answer_counts_only_for_the_question_that_was_shown(world):
    world.blue_is_live()
    run = world.start_green()
    assert world.until_asked(run) == "flight-green-10"
    with temporary_settings({PREFECT_API_URL: world.prefect.url}):
        shown = prefect_answers.waiting(run)
        # While somebody thinks about it, somebody else answers, and the rollout goes on to its next question.
        world.answer(run)
        assert world.until_asked(run) == "full-green"
        for decision in ("approve", "reject"):
            with pytest.raises(Permanent, match=r"^This answer was not given: flight-green-10 of .*Now it asks about full-green"):
                prefect_answers.answer(shown, decision, "Grace", None)
        assert (world.until_asked(run), world.traffic) == ("full-green", {"blue": 90, "green": 10})
        prefect_answers.answer(prefect_answers.waiting(run), "approve", "Grace", None)
        assert world.until_asked(run) == "delete-blue"
        prefect_answers.answer(prefect_answers.waiting(run), "reject", "Grace", None)
        assert world.end_of(run)["state"]["name"] == "Rejected"
        with pytest.raises(Permanent, match="waits for no answer: it is Rejected"):
            prefect_answers.answer(shown, "approve", "Grace", None)


def test_a_rollout_whose_traffic_was_put_back_without_prefect_asks_again_when_it_goes_on(world):
    world.blue_is_live()
    run = world.start_green()
    world.approve_through(run, "flight-green-10")
    assert world.until_asked(run) == "full-green"
    put_back = cli(world, "abort", world.endpoint, "Prefect is down", "--without-prefect")
    assert put_back.returncode == 0, put_back.stderr
    world.answer(run)
    wait_until(lambda: world.prefect.state(run) != "Suspended", "it goes on")
    assert (world.until_asked(run), world.traffic) == ("flight-green-10", {"blue": 100})


def test_doctor_says_what_is_fine_and_what_is_not_and_writes_nothing(world, tmp_path: Path):
    world.blue_is_live()
    with git_host() as host:
        settings = {
            "AML_CANARY_REPOSITORIES": json.dumps({"acme/models": world.repository.url, "acme/gone": str(tmp_path / "gone")}),
            "AML_CANARY_GIT_HOSTS": json.dumps({"acme/models": {"host": "github", "api": host.api, "token": TOKEN}}),
            "AML_CANARY_NOTIFY": '["slack-webhook/nobody"]',
            "AML_CANARY_WEBHOOK_SECRETS": '["short"]',
            "AML_CANARY_HOME": str(tmp_path / "home"),
        }
        before = (world.writes(), variables(world))
        found = cli(world, "doctor", "--format", "json", **settings)
    said = {check["about"]: check for check in json.loads(found.stdout)}
    assert {about: check["result"] for about, check in said.items()} == {
        "python": "ok",
        "packages": "ok",
        "heartbeats": "ok",
        "webhook secrets": "failed",
        "functions": "ok",
        "prefect": "ok",
        "clock against prefect": "ok",
        "work pool": "ok",
        "worker": "ok",
        "deployments": "ok",
        "guard": "failed",
        "sync": "warning",
        "channel slack-webhook/nobody": "failed",
        "git acme/models": "ok",
        "git acme/gone": "failed",
        "git host acme/models": "ok",
        "git host acme/gone": "warning",
        "azure": "ok",
        "azure endpoints": "ok",
        "azure permissions": "warning",
        "clock against azure": "ok",
        "metrics": said["metrics"]["result"],
    }, found.stdout
    assert "has no schedule" in said["guard"]["told"], "the tests' stack has none"
    assert said["metrics"]["result"] != "failed"
    assert all(check["remedy"] for check in said.values() if check["result"] != "ok")
    assert TOKEN not in found.stdout
    assert (found.returncode, before) == (1, (world.writes(), variables(world)))
    assert not (tmp_path / "home").exists()

    lost = cli(world, "doctor", PREFECT_API_URL="http://127.0.0.1:9/api", AML_CANARY_WORKSPACE="", AML_CANARY_REPOSITORIES="{}")
    assert lost.returncode == 1
    assert "failed   prefect: Prefect's API did not answer" in lost.stdout
    assert "failed   azure: no workspace is configured." in lost.stdout
    assert re.match(r"\d+ checks: \d+ failed, \d+ warnings\.", lost.stdout.splitlines()[-1])


def variables(world):
    return sorted(variable["name"] for variable in world.prefect.call("POST", "/variables/filter", {}))
