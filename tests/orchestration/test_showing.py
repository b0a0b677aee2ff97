"""What people see of a rollout beside its form: names, tags, artifacts, how long a wait still takes; and where one begins that they start."""

from typing import Any

from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from aml_canary.domain.steps import CreateDeployment
from aml_canary.gateways.azureml.hearing import heard
from examples.demo.manifests import path_of
from tests.orchestration.world import World


def artifacts(world: World, kind: str) -> list[dict[str, Any]]:
    """Every artifact of the kind about the endpoint, oldest first."""
    query = {"artifacts": {"key": {"any_": [f"{kind}-{world.endpoint}"]}}, "sort": "CREATED_DESC"}
    found: list[dict[str, Any]] = world.prefect.call("POST", "/artifacts/filter", query)
    return found[::-1]


def started_from(world: World, commit: str, step: str) -> str:
    parameters = {"repository": world.repository.url, "commit": commit, "manifest": path_of(world.endpoint), "start_from": step}
    return world.prefect.start("canary/canary", parameters)


def refused(world: World, run: str) -> str:
    state = world.end_of(run)["state"]
    assert state["type"] == "FAILED"
    return str(state["message"])


def test_a_rollout_begins_at_the_step_that_is_named_or_does_nothing_and_says_which_comes_first(world: World) -> None:
    world.blue_is_live()
    before = len(world.writes())
    commit = world.push({"green": 100}, {"green": "v2"}, "  approvals: {before: [traffic, full]}\n")
    told = refused(world, started_from(world, commit, "full-green"))
    assert "Nothing was done. full-green is not the next step" in told
    assert "Start from create-green" in told
    assert (len(world.writes()), world.lock()) == (before, None)

    run = started_from(world, commit, "create-green")
    assert world.until_asked(run) == "flight-green-10"
    assert f"flow run {run} is at work" in refused(world, started_from(world, commit, "flight-green-10"))
    world.answer(run)
    assert world.until_asked(run) == "full-green", "a run that goes on is not held to where it began"
    world.stack.emulator.faults.add("endpoint.put", name=world.endpoint, status=400, code="BadRequest", message="no")
    world.answer(run)
    refused(world, run)

    again = started_from(world, commit, "full-green")
    assert world.until_asked(again) == "full-green", "the failed stage is rerun by a new run, and asks like any"
    world.answer(again)
    assert world.end_of(again)["state"]["name"] == "Promoted"
    tags = world.prefect.run(again)["tags"]
    assert {f"endpoint:{world.endpoint}", f"workspace:{world.stack.emulator.workspace}", "outcome:promoted"} <= set(tags)
    assert world.prefect.run(again)["name"] == f"{world.endpoint}@{commit[:7]}"

    ends = [artifact["description"] for artifact in artifacts(world, "report")]
    assert ends == [f"{world.endpoint}@{commit[:7]}: {word}" for word in ("Failed", "Promoted")]
    report = artifacts(world, "report")[-1]["data"]
    for part in (
        f"# {world.endpoint}: Promoted",
        "data:image/svg+xml",
        "Ada (unverified) approved flight-green-10",
        "Ada (unverified) approved full-green",
        "two-rows",
    ):
        assert part in report
    drawn = [artifact["description"].partition(": ")[2] for artifact in artifacts(world, "timeline")]
    steps = ["create-green", "smoke-invoke-green", "flight-green-10", "full-green", "delete-blue"]
    assert drawn == [f"{step} is done" for step in steps]


def test_a_long_wait_for_azure_is_an_artifact_and_a_line_that_says_how_long_is_left(world: World) -> None:
    with temporary_settings({PREFECT_API_URL: world.prefect.url}):
        run = waits_for_green(world.endpoint)
    (progress,) = artifacts(world, "progress")
    assert progress["type"] == "progress"
    assert progress["data"] == 5.0
    world.until_logged(run, "Finished in state")
    told = [line for line in world.prefect.logs(run) if line.startswith("create-green")]
    assert told[0] == "create-green: Azure is at it (Updating) for 3 min; how long it takes is not known, it is given up in 57 min."
    assert told[1] == "create-green: Azure is at it (Creating) for 25 s; how long it takes is not known, it is given up in 59 min 35 s."
    assert len(told) == 2, "neither the first seconds nor every look"


@flow
def waits_for_green(endpoint: str) -> str:
    """What a stage does while Azure is at work; the run's id."""
    from prefect.runtime import flow_run

    from tasks.progress import waits_shown

    with waits_shown(endpoint, CreateDeployment("green")):
        for state, seconds in (("Creating", 5.0), ("Creating", 25.0), ("Creating", 35.0), ("Updating", 180.0)):
            heard.get()(state, seconds, 3600.0)
    heard.get()("Creating", 99.0, 3600.0)
    return str(flow_run.id)
