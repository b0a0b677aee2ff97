"""The machine is lost: worker and rollout are gone at once, and Prefect says Running for ever. The guard hears that nothing is heard."""

import os
import signal

from tests.orchestration.canaries import JUDGE
from tests.orchestration.world import World, wait_until


def test_a_rollout_whose_machine_is_lost_in_mid_bake_is_rolled_back_and_its_endpoint_is_free(world: World) -> None:
    world.blue_is_live()
    run = world.start_green(f"  judge: {JUDGE}\n  approvals: {{before: []}}\n")
    wait_until(lambda: "bake-green-10" in [task["name"] for task in world.prefect.task_runs(run)], "it bakes")
    worker = world.stack.processes["worker"]
    flow = int(str(world.prefect.run(run)["infrastructure_pid"]).split(":")[-1])
    worker.kill()
    os.kill(flow, signal.SIGKILL)
    world.stack.start_worker()
    assert world.prefect.state(run) == "Running", "nobody has told Prefect"

    told = world.run_guard()
    assert world.endpoint not in told, "it was heard of a moment ago"
    assert world.traffic == {"blue": 90, "green": 10}

    wait_until(lambda: world.endpoint in world.run_guard(), "the guard notices the silence", 240, every=10)
    ended = world.prefect.run(run)["state"]
    assert (ended["type"], world.traffic, world.lock()) == ("CRASHED", {"blue": 100}, None)
    assert "No sign of life for 95 s" in ended["message"]
