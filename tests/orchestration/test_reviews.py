"""Pull requests and statuses on the real stack, with a git host on loopback that remembers what it was told."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from aml_canary.settings import settings
from examples.demo.manifests import manifest, path_of
from tests.contract.githost_world import TOKEN, GitHostWorld, git_host
from tests.orchestration.world import World

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def host() -> Iterator[GitHostWorld]:
    with git_host() as world:
        yield world


def access(world: World, host: GitHostWorld, kind: str = "github") -> dict[str, str]:
    """Settings of an installation that knows this repository and its host."""
    name = world.repository.name
    hosts = {name: {"host": kind, "api": host.api, "token": TOKEN}}
    return {"AML_CANARY_REPOSITORIES": json.dumps({name: world.repository.url}), "AML_CANARY_GIT_HOSTS": json.dumps(hosts)}


def propose(world: World, number: int, traffic: dict[str, int], deployments: dict[str, str]) -> str:
    """A pull request that says this, from the branch as it is; its commit."""
    git = world.repository._git
    git("checkout", "--quiet", "-B", "feature", "origin/main")
    text = world.written(manifest(world.endpoint, traffic, deployments))
    (world.repository.work / path_of(world.endpoint)).write_text(text)
    git("commit", "--quiet", "--all", "-m", f"Propose {traffic}")
    git("push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{number}/head")
    commit = git("rev-parse", "HEAD").strip()
    git("checkout", "--quiet", "main")
    return commit


def reviewed(world: World, number: int, commit: str, env: dict[str, str]) -> dict[str, Any]:
    """The state in which the review ended, as the webhook door would have started it."""
    parameters = {
        "repository": world.repository.name,
        "number": number,
        "commit": commit,
        "ref": f"refs/pull/{number}/head",
        "host": "github",
    }
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "job_variables": {"env": env}}
    deployment = world.prefect.deployment("review/review")["id"]
    run = world.prefect.call("POST", f"/deployments/{deployment}/create_flow_run", body)["id"]
    state: dict[str, Any] = world.end_of(run)["state"]
    assert TOKEN not in json.dumps(world.prefect.call("POST", "/logs/filter", {"limit": 200, "logs": {"flow_run_id": {"any_": [run]}}}))
    return {**state, "run": run}


def test_a_pull_request_gets_one_comment_that_is_edited_and_a_status_and_azure_is_not_written_to(world: World, host: GitHostWorld) -> None:
    world.blue_is_live()
    writes, env = world.writes(), access(world, host)
    good = propose(world, 7, {"green": 100}, {"green": "v2"})
    state = reviewed(world, 7, good, env)
    assert (state["type"], state["name"]) == ("COMPLETED", "Completed"), state["message"]
    [(commit, status)] = host.statuses
    assert (commit, status["state"], status["context"]) == (good, "success", "aml-canary/review")
    assert status["description"] == "1 endpoint would change."
    assert status["target_url"].endswith(state["run"])
    [comment] = host.comments["7"]
    text = comment["body"]
    timeline = "`blue 100 %` → `blue 90 %, green 10 %` → `green 100 %`; 5 steps, 3 approvals, at most 2 instances."
    assert f"- `{world.endpoint}`: {timeline}" in text, text
    assert "- `endpoint.traffic.green`: nothing → `100`" in text
    assert "| `Standard_F2s_v2` | 1 | 2 | 4 | " in text, text

    # The same pull request, with another commit, that is wrong.
    bad = propose(world, 7, {"green": 90}, {"green": "v2"})
    state = reviewed(world, 7, bad, env)
    assert state["type"] == "COMPLETED", state["message"]
    commit, status = host.statuses[-1]
    assert (commit, status["state"], status["description"]) == (bad, "failure", "1 error in the manifests.")
    [edited] = host.comments["7"]
    assert edited["id"] == comment["id"]
    assert f"{path_of(world.endpoint)}:" in edited["body"]
    assert "`traffic-total`" in edited["body"]

    # What was overtaken says nothing any more.
    told = len(host.received)
    assert reviewed(world, 7, good, env)["name"] == "Outdated"
    assert len(host.received) == told
    assert world.writes() == writes


def test_without_a_host_in_the_settings_the_review_is_an_artifact_and_says_that_nothing_was_sent(world: World, host: GitHostWorld) -> None:
    world.push({"blue": 100}, {"blue": "v1"})
    commit = propose(world, 8, {"blue": 100}, {"blue": "v2"})
    env = access(world, host) | {"AML_CANARY_GIT_HOSTS": json.dumps({world.repository.name: {"host": "github"}})}
    state = reviewed(world, 8, commit, env)
    assert state["type"] == "COMPLETED"
    assert "Nothing was sent: AML_CANARY_GIT_HOSTS has no token for github" in state["message"]
    assert host.received == []
    key = "review-" + world.repository.name.replace("/", "-") + "-8"
    [artifact] = world.prefect.call("POST", "/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}})
    assert f"`{world.endpoint}`: `none` → `blue 100 %`" in artifact["data"]
    assert "code_configuration.code`" in artifact["data"]


def test_a_status_is_said_once_in_a_run_and_its_failure_is_one_warning(
    world: World, host: GitHostWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in access(world, host).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    from tasks.telling import State, tell, tell_about

    runs: list[str] = []

    @flow(name="telling")
    def telling() -> None:
        from prefect.runtime import flow_run

        runs.append(str(flow_run.id))
        repository = world.repository.name
        for description in ("create-green", "create-green", "flight-green-10", "create-green"):
            tell(repository, COMMIT, "churn", State.PENDING, description)
        # One that is refused, one that nobody takes, one that is late.
        host.answers = [(401, {}, b"{}")]
        tell(repository, COMMIT, "churn", State.PENDING, "refused")
        host.answers = [(503, {}, b"{}")] * 3
        tell(repository, COMMIT, "churn", State.PENDING, "not taken")
        host.answers = [(503, {}, b"{}")]
        tell(repository, COMMIT, "churn", State.SUCCESS, "taken at last")
        tell_about("00000000-0000-4000-8000-000000000001", repository, COMMIT, "fraud", State.FAILURE, "cancelled")
        for _ in range(2):
            tell("acme/unknown", COMMIT, "churn", State.SUCCESS, "Promoted")

    caplog.set_level(logging.INFO)
    with temporary_settings({PREFECT_API_URL: world.prefect.url}):
        telling()
    said = [(status["context"], status["state"], status["description"]) for _, status in host.statuses]
    assert said == [
        ("aml-canary/churn", "pending", "create-green"),
        ("aml-canary/churn", "pending", "flight-green-10"),
        ("aml-canary/churn", "success", "taken at last"),
        ("aml-canary/fraud", "failure", "cancelled"),
    ]
    assert host.statuses[0][1]["target_url"].endswith(f"/runs/flow-run/{runs[0]}")
    assert host.statuses[-1][1]["target_url"].endswith("/runs/flow-run/00000000-0000-4000-8000-000000000001")
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING and "Git" in record.getMessage()]
    assert [("refused" in line, "not taken" in line) for line in warnings[:2]] == [(True, False), (False, True)], warnings
    assert not [
        record
        for record in caplog.records
        if record.levelno >= logging.ERROR and record.name.startswith(("prefect.flow_runs", "prefect.task_runs"))
    ]
    assert sum("Git is not told" in record.getMessage() for record in caplog.records) == 1
    assert TOKEN not in caplog.text
    assert world.prefect.state(runs[0]) == "Completed"


def test_a_rollout_tells_its_commit_each_stage_each_question_and_how_it_ended(world: World, host: GitHostWorld) -> None:
    world.blue_is_live()
    commit = world.push({"green": 100}, {"green": "v2"})
    parameters = {"repository": world.repository.name, "commit": commit, "manifest": path_of(world.endpoint)}
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "job_variables": {"env": access(world, host)}}
    deployment = world.prefect.deployment("canary/canary")["id"]
    run = world.prefect.call("POST", f"/deployments/{deployment}/create_flow_run", body)["id"]
    assert world.until_asked(run) == "flight-green-10"
    world.answer(run, "reject", "not today")
    assert world.end_of(run)["state"]["name"] == "Rejected"
    assert {(told, status["context"]) for told, status in host.statuses} == {(commit, f"aml-canary/{world.endpoint}")}
    assert [(status["state"], status["description"]) for _, status in host.statuses] == [
        ("pending", "create-green is at work"),
        ("pending", "smoke-invoke-green is at work"),
        ("pending", "flight-green-10 waits for an approval"),
        ("failure", "Ada rejected flight-green-10: not today. Live traffic was as before the rollout and was left alone."),
    ]
