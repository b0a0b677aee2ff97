"""What Azure does wrong: passing faults are retried and passed, lasting ones end the run at once, in Azure's words."""

from tests.orchestration.world import World


def test_stages_that_fail_twice_with_a_passing_fault_are_retried_and_pass(world: World) -> None:
    world.blue_is_live()
    before = len(world.writes())
    faults = world.stack.emulator.faults
    faults.add("deployment.put", name="green", count=2, status=503, code="ServiceUnavailable", message="try again")
    run = world.start_green()
    assert world.until_asked(run) == "flight-green-10"
    faults.add(
        "endpoint.put", name=world.endpoint, count=2, status=409, code="Conflict", message="because it is in Updating provisioning state"
    )
    world.answer(run)
    assert world.until_asked(run) == "full-green"
    assert world.traffic == {"blue": 90, "green": 10}
    faults.add("endpoint.put", name=world.endpoint, count=2, status=429, code="TooManyRequests", headers={"Retry-After": "1"})
    world.answer(run)
    assert world.until_asked(run) == "delete-blue"
    faults.add("deployment.delete", name="blue", count=2, reset=True)
    world.answer(run)
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert {fault["hits"] for fault in faults.list()} == {2}
    assert world.writes()[before:] == ["deployment.put green", "endpoint.put", "endpoint.put", "deployment.delete blue"]
    tried = {task["name"]: task["run_count"] for task in world.prefect.task_runs(run)}
    assert [tried[name] for name in ("create-green", "flight-green-10", "full-green", "delete-blue")] == [3, 3, 3, 3]


def test_a_lasting_refusal_fails_at_once_with_azure_s_code_and_text(world: World) -> None:
    world.blue_is_live()
    world.stack.emulator.faults.add(
        "deployment.put", name="green", count=None, status=400, code="OutOfQuota", message="Not enough quota: 4 cores."
    )
    run = world.start_green()
    ended = world.end_of(run)
    assert ended["state"]["type"] == "FAILED"
    assert "(OutOfQuota) Not enough quota: 4 cores." in ended["state"]["message"]
    assert [task["run_count"] for task in world.prefect.task_runs(run) if task["name"] == "create-green"] == [1]
    assert world.traffic == {"blue": 100}
    assert world.lock() is not None, "a failed run keeps its endpoint, so that Retry is safe"


def test_a_failed_provisioning_fails_at_once_with_the_end_of_the_container_s_log(world: World) -> None:
    world.blue_is_live()
    run = world.start_green(model="v2-crash")
    ended = world.end_of(run)
    assert ended["state"]["type"] == "FAILED"
    for part in ("ResourceNotReady", "The last lines of the container's log:", "Traceback"):
        assert part in ended["state"]["message"]
    assert [task["run_count"] for task in world.prefect.task_runs(run) if task["name"] == "create-green"] == [1]
    assert world.traffic == {"blue": 100}


def test_a_failed_canary_is_replaced_by_the_next_commit_s_without_touching_what_is_live(world: World) -> None:
    world.blue_is_live()
    world.end_of(world.start_green(model="v2-crash"))
    run = world.start_green()
    world.approve_through(run, "flight-green-10", "full-green", "delete-blue")
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert world.stages(run)[:4] == [f"roll-back-{world.endpoint}", "delete-green", "create-green", "smoke-invoke-green"]
    assert world.traffic == {"green": 100}
