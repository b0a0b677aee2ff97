"""Retry, as each of Prefect's two UIs sends it, and kills: a run goes on from where Azure really is."""

from collections.abc import Callable
from functools import partial

import pytest

from examples.demo.manifests import path_of
from tests.orchestration.test_cli import cli
from tests.orchestration.world import World, wait_until


@pytest.mark.parametrize("force", [False, True], ids=["first-ui", "second-ui"])
def test_retry_asks_no_earlier_approval_again_and_redoes_no_finished_stage(world: World, force: bool) -> None:
    world.blue_is_live()
    run = world.start_green("  approvals: {before: [traffic, full]}\n")
    world.approve_through(run, "flight-green-10")
    assert world.until_asked(run) == "full-green"
    world.stack.emulator.faults.add("endpoint.put", name=world.endpoint, status=400, code="BadRequest", message="no")
    before = len(world.writes())
    world.answer(run)
    assert world.end_of(run)["state"]["type"] == "FAILED"
    world.prefect.retry(run, force=force)
    wait_until(lambda: world.prefect.state(run) != "Failed", "the run is retried")
    # To its end or the next question: neither flight-green-10 nor full-green is asked again.
    assert world.prefect.wait(run, "Suspended")["state"]["name"] == "Promoted"
    assert world.writes()[before:] == ["endpoint.put", "deployment.delete blue"]
    stages = world.stages(run)
    assert [stages.count(name) for name in ("create-green", "smoke-invoke-green", "flight-green-10", "full-green")] == [1, 1, 1, 2]


def test_what_was_promoted_stays_when_its_run_is_retried_and_then_rejected(world: World) -> None:
    world.blue_is_live()
    run = world.start_green("  approvals: {before: [full]}\n  retire: {delete: false}\n")
    world.approve_through(run, "full-green")
    assert world.end_of(run)["state"]["name"] == "Promoted"
    world.set_traffic(blue=50, green=50)
    world.prefect.retry(run, force=True)
    wait_until(lambda: world.prefect.state(run) == "Suspended", "it asks whether to take all traffic again")
    world.answer(run, "reject")
    ended = world.end_of(run)
    assert (ended["state"]["name"], world.traffic) == ("Rejected", {"blue": 50, "green": 50})
    assert "was left alone" in ended["state"]["message"]


def test_a_release_killed_in_every_stage_and_a_worker_killed_while_it_waits_still_end_as_planned(world: World) -> None:
    world.blue_is_live()
    before = len(world.writes())
    world.hold_azure()
    run = world.start_green()
    # Set before the Retry, because the smoke stage follows without a gate.
    slow_keys = partial(world.stack.emulator.faults.add, "endpoint.list_keys", name=world.endpoint, delay=60)
    kill_in(world, run, "create-green", force=False, before_retry=slow_keys)
    kill_in(world, run, "smoke-invoke-green", force=True)
    assert world.until_asked(run) == "flight-green-10"

    world.hold_azure()
    world.restart_worker(meanwhile=lambda: world.answer(run))
    kill_in(world, run, "flight-green-10", force=False)
    assert world.until_asked(run) == "full-green"
    assert world.traffic == {"blue": 90, "green": 10}

    world.hold_azure()
    world.answer(run)
    kill_in(world, run, "full-green", force=True)
    assert world.until_asked(run) == "delete-blue"
    assert world.traffic == {"green": 100}

    world.hold_azure()
    world.answer(run)
    kill_in(world, run, "delete-blue", force=False)
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert (world.traffic, world.deployments) == ({"green": 100}, {"green": 1})
    assert world.writes()[before:] == ["deployment.put green", "endpoint.put", "endpoint.put", "deployment.delete blue"]
    assert world.lock() is None
    log = cli(world, "audit", run, "--verify")
    assert log.returncode == 0, log.stderr
    interrupted = [line.split(": interrupted ")[1].split(":")[0] for line in log.stdout.splitlines() if ": interrupted " in line]
    assert interrupted == ["create-green", "flight-green-10", "full-green", "delete-blue"]


def test_an_endpoint_s_creation_scaling_and_end_killed_halfway_are_each_done_once(world: World) -> None:
    world.hold_azure()
    run = world.start(world.push({"blue": 100}, {"blue": "v1"}, "  approvals: {before: []}\n"))
    kill_in(world, run, "create-endpoint", force=True)
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert world.writes() == ["endpoint.put", "deployment.put blue", "endpoint.put"]

    text = (world.repository.work / path_of(world.endpoint)).read_text().replace("instance_count: 1", "instance_count: 2")
    world.hold_azure()
    run = world.start(world.repository.push({path_of(world.endpoint): text}, "two of blue"))
    kill_in(world, run, "scale-blue", force=False)
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert (world.traffic, world.deployments) == ({"blue": 100}, {"blue": 2})
    assert world.writes()[3:] == ["deployment.put blue"]

    teardown = world.prefect.start("teardown/teardown", {"endpoint": world.endpoint})
    assert world.until_asked(teardown) == "delete-endpoint"
    world.hold_azure()
    world.answer(teardown)
    kill_in(world, teardown, "delete-endpoint", force=True)
    assert world.end_of(teardown)["state"]["type"] == "COMPLETED"
    assert world.endpoint not in [endpoint.name for endpoint in world.stack.azure.online_endpoints.list()]
    assert world.writes()[4:] == ["endpoint.delete"]
    assert world.lock() is None


def test_of_two_processes_of_one_run_only_the_later_one_goes_on(world: World) -> None:
    world.blue_is_live()
    before = len(world.writes())
    world.hold_azure()
    run = world.start_green("  approvals: {before: []}\n")
    wait_until(lambda: _at_work(world, run, "create-green"), "green is being created")
    first = world.lock()
    # Retry pressed while the run is at work after all, as happens when Prefect says for a moment that it crashed.
    world.prefect.retry(run, force=True)
    wait_until(lambda: (world.lock() or first) != first, "another process has the run")
    world.let_azure_go_on()
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert world.traffic == {"green": 100}
    assert world.writes()[before:] == ["deployment.put green", "endpoint.put", "endpoint.put", "deployment.delete blue"]


def kill_in(world: World, run: str, stage: str, *, force: bool, before_retry: Callable[[], object] = lambda: None) -> None:
    """kill -9 the run's process while Azure is at work on what the stage has asked for; then everything is quick again, and Retry."""
    wait_until(lambda: _at_work(world, run, stage), f"{stage} is at work")
    world.kill_flow(run)
    world.let_azure_go_on()
    before_retry()
    world.retry_after_crash(run, force=force)


def _at_work(world: World, run: str, stage: str) -> bool:
    if not any(task["name"] == stage and (task["state"] or {}).get("type") == "RUNNING" for task in world.prefect.task_runs(run)):
        return False
    if stage.startswith("smoke-invoke-"):
        # It waits for the endpoint's key, which comes late.
        return True
    verb, name = stage.split("-")[:2]
    return world.azure_is_at_work(name if verb in ("create", "scale", "delete") and name != "endpoint" else "")
