"""How a rollout is ended by people, or by nobody: traffic is back on blue, the endpoint is free, and a Retry asks again."""

from collections.abc import Callable

import pytest

from tests.orchestration.world import World, wait_until

SHORT = "  approvals: {before: [traffic, full, retire], timeout_hours: 0.004}\n"


def rejected(world: World, run: str) -> None:
    world.answer(run, "reject", comment="the lift is not convincing")
    ended = world.end_of(run)
    assert (ended["state"]["type"], ended["state"]["name"]) == ("CANCELLED", "Rejected")
    assert "Ada rejected full-green: the lift is not convincing. Live traffic was put back to blue 100 %." in ended["state"]["message"]


def never_answered(world: World, run: str) -> None:
    assert "never resumed" in world.end_of(run)["state"]["message"]
    assert world.traffic == {"blue": 90, "green": 10}
    told = world.run_guard()
    assert f"{world.endpoint}: flow run {run} is" in told
    assert "Live traffic was put back to blue 100 %. The endpoint is free." in told


def cancelled(world: World, run: str) -> None:
    world.prefect.cancel(run)
    wait_until(lambda: world.prefect.run(run)["state"]["type"] == "CANCELLED", "the run is cancelled")
    assert world.traffic == {"blue": 90, "green": 10}
    told = world.run_guard()
    assert f"{world.endpoint}: flow run {run} is" in told
    assert "Live traffic was put back to blue 100 %. The endpoint is free." in told


@pytest.mark.parametrize(
    ("ending", "rollout", "force", "word"),
    [(rejected, "", False, "rejected"), (never_answered, SHORT, True, "unanswered"), (cancelled, "", True, "cancelled")],
    ids=["rejected", "never-answered", "cancelled"],
)
def test_traffic_is_back_the_endpoint_is_free_and_retry_asks_again(
    world: World, ending: Callable[[World, str], None], rollout: str, force: bool, word: str
) -> None:
    world.blue_is_live()
    before = len(world.writes())
    run = world.start_green(rollout)
    world.approve_through(run, "flight-green-10")
    assert world.until_asked(run) == "full-green"
    ending(world, run)
    assert world.traffic == {"blue": 100}
    assert world.lock() is None
    assert world.writes()[before:] == ["deployment.put green", "endpoint.put", "endpoint.put"]
    assert f"outcome:{word}" in world.prefect.run(run)["tags"]

    world.prefect.retry(run, force=force)
    assert world.until_asked(run) == "flight-green-10", "the rollback made the earlier approval stale"
    assert f"outcome:{word}" not in world.prefect.run(run)["tags"]
    assert "Traffic was rolled back in between." in world.prefect.form(run)
    assert world.traffic == {"blue": 100}


def test_the_guard_leaves_alone_a_rollout_that_waits_and_one_that_failed(world: World) -> None:
    world.blue_is_live()
    world.stack.emulator.faults.add("endpoint.put", name=world.endpoint, status=400, code="BadRequest", message="no")
    run = world.start_green()
    world.until_asked(run)
    world.run_guard()
    assert world.prefect.state(run) == "Suspended"
    world.answer(run)
    assert world.end_of(run)["state"]["type"] == "FAILED"
    writes = len(world.writes())
    world.run_guard()
    lock = world.lock()
    assert lock is not None
    assert lock["run"] == run
    assert len(world.writes()) == writes


def test_an_approval_is_asked_again_when_traffic_was_changed_by_hand_meanwhile(world: World) -> None:
    world.blue_is_live()
    run = world.start_green()
    world.approve_through(run, "flight-green-10")
    assert world.until_asked(run) == "full-green"
    world.set_traffic(blue=70, green=30)
    world.answer(run)
    wait_until(lambda: "Asked again" in _form(world, run), "the gate is asked again, with the reason")
    assert "Live traffic was blue=90 green=10, now it is blue=70 green=30." in world.prefect.form(run)
    assert world.traffic == {"blue": 70, "green": 30}
    world.answer(run)
    assert world.until_asked(run) == "delete-blue"
    assert world.traffic == {"green": 100}


def _form(world: World, run: str) -> str:
    return world.prefect.form(run) if world.prefect.state(run) == "Suspended" else ""


def test_a_rollout_without_gates_asks_all_the_same_when_somebody_else_changed_traffic(world: World) -> None:
    world.blue_is_live()
    world.stack.emulator.pace({"endpoint.update": {"seconds": 6}})
    run = world.start_green("  approvals: {before: [retire]}\n")
    wait_until(lambda: world.traffic == {"blue": 90, "green": 10}, "the first step is done")
    world.kill_flow(run)
    world.stack.emulator.pace(pace="fast")
    world.set_traffic(blue=95, green=5)
    world.retry_after_crash(run, force=False)
    assert world.until_asked(run) == "flight-green-10"
    assert world.traffic == {"blue": 95, "green": 5}
