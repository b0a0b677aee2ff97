"""Retry, as each of Prefect's two UIs sends it, and kills: a run goes on from where Azure really is."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.orchestration.world import World, wait_until


@pytest.mark.parametrize("force", [False, True], ids=["first-ui", "second-ui"])
def test_retry_asks_no_earlier_approval_again_and_redoes_no_finished_stage(world: World, force: bool) -> None:
    world.blue_is_live()
    run = world.start_green()
    world.approve_through(run, "flight-green-10")
    assert world.until_asked(run) == "full-green"
    world.stack.emulator.faults.add("endpoint.put", name=world.endpoint, status=400, code="BadRequest", message="no")
    before = len(world.writes())
    world.answer(run)
    assert world.end_of(run)["state"]["type"] == "FAILED"
    world.prefect.retry(run, force=force)
    assert world.until_asked(run) == "delete-blue", "neither flight-green-10 nor full-green was asked again"
    assert world.traffic == {"green": 100}
    world.answer(run)
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert world.writes()[before:] == ["endpoint.put", "deployment.delete blue"]
    stages = world.stages(run)
    assert [stages.count(name) for name in ("create-green", "smoke-invoke-green", "flight-green-10", "full-green")] == [1, 1, 1, 2]


def test_a_run_killed_in_every_stage_and_a_worker_killed_while_it_waits_still_end_as_planned(world: World) -> None:
    world.blue_is_live()
    before = len(world.writes())
    emulator = world.stack.emulator
    emulator.pace({"deployment.create": {"seconds": 8}})
    run = world.start_green()
    # Set before the Retry, because the smoke stage follows without a gate.
    slow_keys = partial(emulator.faults.add, "endpoint.list_keys", name=world.endpoint, delay=8)
    kill_in(world, run, "create-green", force=False, before_retry=slow_keys)
    kill_in(world, run, "smoke-invoke-green", force=True)
    assert world.until_asked(run) == "flight-green-10"

    world.restart_worker()
    emulator.pace({"endpoint.update": {"seconds": 8}})
    world.answer(run)
    kill_in(world, run, "flight-green-10", force=False)
    assert world.until_asked(run) == "full-green"
    assert world.traffic == {"blue": 90, "green": 10}

    emulator.pace({"endpoint.update": {"seconds": 8}})
    world.answer(run)
    kill_in(world, run, "full-green", force=True)
    assert world.until_asked(run) == "delete-blue"
    assert world.traffic == {"green": 100}

    emulator.pace({"deployment.delete": {"seconds": 8}})
    world.answer(run)
    kill_in(world, run, "delete-blue", force=False)
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert (world.traffic, world.deployments) == ({"green": 100}, {"green": 2})
    assert world.writes()[before:] == ["deployment.put green", "endpoint.put", "endpoint.put", "deployment.delete blue"]
    assert world.lock() is None


def test_of_two_processes_of_one_run_only_the_later_one_goes_on(world: World) -> None:
    world.blue_is_live()
    before = len(world.writes())
    world.stack.emulator.pace({"deployment.create": {"reads": 10**6}})
    run = world.start_green("  approvals: {before: []}\n")
    wait_until(lambda: _at_work(world, run, "create-green"), "green is being created")
    first = world.lock()
    # Retry pressed while the run is at work after all, as happens when Prefect says for a moment that it crashed.
    world.prefect.retry(run, force=True)
    wait_until(lambda: (world.lock() or first) != first, "another process has the run")
    world.stack.emulator.pace(pace="fast")
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert world.traffic == {"green": 100}
    assert world.writes()[before:] == ["deployment.put green", "endpoint.put", "endpoint.put", "deployment.delete blue"]


def kill_in(world: World, run: str, stage: str, *, force: bool, before_retry: Callable[[], object] = lambda: None) -> None:
    """kill -9 the run's process once the stage has asked something of Azure that takes time; then everything is quick again, and Retry."""
    wait_until(lambda: _at_work(world, run, stage), f"{stage} is at work")
    world.kill_flow(run)
    world.stack.emulator.faults.clear()
    world.stack.emulator.pace(pace="fast")
    before_retry()
    world.retry_after_crash(run, force=force)


def _at_work(world: World, run: str, stage: str) -> bool:
    mark = {
        "create": "deployment.put",
        "smoke": "endpoint.list_keys",
        "flight": "endpoint.put",
        "full": "endpoint.put",
        "delete": "deployment.delete",
    }
    asked = [e for e in world.stack.emulator.requests.list(mark[stage.split("-")[0]]) if f"/{world.endpoint}" in e["path"].lower()]
    running = any(t["name"] == stage and (t["state"] or {}).get("type") == "RUNNING" for t in world.prefect.task_runs(run))
    # A delayed answer is logged when it is given, so a smoke stage that waits for its key has not been logged yet.
    return running and (bool(asked) or stage.startswith("smoke"))
