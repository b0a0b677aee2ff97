"""The head of the branch decides: newer, older, removed and doubled, through sync as a push or a schedule would start it."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from aml_canary.settings import settings
from examples.demo.manifests import manifest, path_of
from tests.orchestration.test_cli import cli
from tests.orchestration.world import World, wait_until


def synced(world: World, commit: str = "") -> str:
    """What one run of sync tells; in this process, to have it sooner than from a worker (`test_exclusion` has that)."""
    from flows.sync import sync

    with temporary_settings({PREFECT_API_URL: world.prefect.url}):
        state = sync(world.repository.url, commit, return_state=True)
    return str(state.message)


def rollouts(world: World) -> list[str]:
    """The endpoint's rollouts, oldest first."""
    runs = [run for run in world.prefect.runs("canary") if f"endpoint:{world.endpoint}" in run["tags"]]
    return [run["id"] for run in sorted(runs, key=lambda run: run["created"])]


def frozen_until(world: World, run: str) -> str:
    """When the run's freeze ends, as its tag says."""
    return next(tag for tag in world.prefect.run(run)["tags"] if tag.startswith("frozen-until:"))


def test_a_newer_commit_takes_over_through_the_old_traffic_and_an_unrelated_one_does_not(world: World) -> None:
    world.blue_is_live()
    world.push({"green": 100}, {"green": "v2"})
    synced(world)
    [first] = rollouts(world)
    world.approve_through(first, "flight-green-10")
    assert world.until_asked(first) == "full-green"
    assert world.traffic == {"blue": 90, "green": 10}

    unrelated = world.repository.push({"README.md": "hello\n"}, "Nothing about the endpoint")
    assert "is at it (Suspended)" in synced(world, unrelated)
    assert rollouts(world) == [first]

    world.push({"green": 100}, {"green": "v2-slow"})
    assert "brings it to the commit" in synced(world)
    assert "is at it" in synced(world)
    second = rollouts(world)[-1]
    assert world.until_asked(second) == "flight-green-10"
    assert world.prefect.state(first) == "Superseded"
    assert world.traffic == {"blue": 100}
    assert len(rollouts(world)) == 2
    assert world.stages(second)[0] == f"roll-back-{world.endpoint}"

    late = world.prefect.run(first)["parameters"] | {"following": True}
    outdated = world.end_of(world.prefect.start("canary/canary", late))
    assert outdated["state"]["name"] == "Outdated"
    assert "wants something else" in outdated["state"]["message"]


def test_a_rollout_at_work_gives_way_before_its_next_step(world: World) -> None:
    world.blue_is_live()
    world.push({"green": 100}, {"green": "v2"}, "  approvals: {before: []}\n")
    world.stack.emulator.pace({"deployment.create": {"reads": 10**6}})
    synced(world)
    [first] = rollouts(world)
    wait_until(lambda: "create-green" in [task["name"] for task in world.prefect.task_runs(first)], "green is being created")
    world.push({"green": 100}, {"green": "v2-slow"})
    synced(world)
    second = rollouts(world)[-1]
    wait_until(lambda: world.prefect.state(second) == "Suspended", "the second waits until the first gives way")
    world.stack.emulator.pace(pace="fast")
    assert world.end_of(first)["state"]["name"] == "Superseded"
    assert world.stages(first) == ["create-green", f"roll-back-{world.endpoint}"]
    assert world.until_asked(second) == "flight-green-10"


def test_a_branch_put_back_goes_straight_to_the_warm_deployment_in_spite_of_a_freeze(world: World) -> None:
    now = datetime.now(UTC)
    window = f"{{start: {now - timedelta(hours=1):%Y-%m-%dT%H:%M}, end: {now + timedelta(hours=5):%Y-%m-%dT%H:%M}}}"
    keep = "  retire: {delete: false}\n"
    asked = keep + "  approvals: {before: []}\n"
    frozen = keep + f"  freeze: [{window}]\n"
    blue = world.push({"blue": 100}, {"blue": "v1"}, frozen)
    synced(world)
    [first] = rollouts(world)
    wait_until(lambda: world.prefect.state(first) == "Suspended", "the first release waits for the end of the freeze")
    assert world.traffic == {}
    until = frozen_until(world, first)
    # As if the time had come: the guard wakes it, and it looks at the clock itself.
    world.prefect.call(
        "PATCH", f"/flow_runs/{first}", {"tags": [f"endpoint:{world.endpoint}", "frozen", "frozen-until:2020-01-01T00:00:00+00:00"]}
    )
    assert "goes on: its freeze or rest is over" in world.run_guard()
    wait_until(
        lambda: world.prefect.state(first) == "Suspended" and frozen_until(world, first) == until, "it waits again, for the same end"
    )

    # The same without a freeze, so that there is something to come back to; then green, then back.
    blue = world.push({"blue": 100}, {"blue": "v1"}, asked)
    synced(world)
    assert world.end_of(rollouts(world)[-1])["state"]["name"] == "Promoted"
    world.push({"green": 100}, {"green": "v2"}, asked)
    synced(world)
    assert world.end_of(rollouts(world)[-1])["state"]["name"] == "Promoted"
    assert world.traffic == {"green": 100}

    world.stack.env["AML_CANARY_FREEZE"] = '[{"start": "2020-01-01T00:00", "end": "2120-01-01T00:00"}]'
    world.restart_worker()
    try:
        world.repository.put_back(blue)
        synced(world, blue)
        back = rollouts(world)[-1]
        ended = world.end_of(back)
    finally:
        del world.stack.env["AML_CANARY_FREEZE"]
        world.restart_worker()
    assert ended["state"]["name"] == "Promoted", ended["state"]["message"]
    assert world.traffic == {"blue": 100}
    assert world.stages(back) == ["smoke-invoke-blue", "full-blue"]


def test_a_branch_put_back_to_what_is_gone_keeps_its_steps_and_gates_after_each_answer_too(world: World) -> None:
    blue = world.push({"blue": 100}, {"blue": "v1"})
    synced(world)
    [first] = rollouts(world)
    world.approve_through(first, "full-blue")
    assert world.end_of(first)["state"]["name"] == "Promoted"
    world.push({"green": 100}, {"green": "v2"}, "  approvals: {before: []}\n")
    synced(world)
    assert world.end_of(rollouts(world)[-1])["state"]["name"] == "Promoted"
    assert (world.traffic, list(world.deployments)) == ({"green": 100}, ["green"])

    world.repository.put_back(blue)
    synced(world, blue)
    back = rollouts(world)[-1]
    assert world.until_asked(back) == "flight-blue-10"
    world.answer(back)
    assert world.until_asked(back) == "full-blue"
    assert world.traffic == {"blue": 10, "green": 90}
    world.answer(back, "reject")
    assert (world.end_of(back)["state"]["name"], world.traffic) == ("Rejected", {"green": 100})


def test_what_was_rejected_is_in_quarantine_until_it_is_lifted(world: World) -> None:
    world.blue_is_live()
    world.push({"green": 100}, {"green": "v2"})
    synced(world)
    [first] = rollouts(world)
    assert world.until_asked(first) == "flight-green-10"
    world.answer(first, "reject", "numbers look odd")
    world.end_of(first)
    unrelated = world.repository.push({"README.md": "hello\n"}, "Nothing about the endpoint")
    told = synced(world, unrelated)
    assert "is in quarantine" in told
    assert "numbers look odd" in told
    assert rollouts(world) == [first]
    lifted = cli(world, "unquarantine", world.endpoint)
    assert lifted.returncode == 0
    assert "numbers look odd" in lifted.stdout
    synced(world)
    second = rollouts(world)[-1]
    assert second != first
    assert world.until_asked(second) == "flight-green-10"
    assert "Nothing is in quarantine" in cli(world, "unquarantine", world.endpoint).stdout


def test_drift_is_told_healed_where_the_manifest_says_so_and_a_removed_manifest_is_asked_about(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = "  approvals: {before: []}\n  retire: {delete: false}\n"
    world.push({"blue": 100}, {"blue": "v1"}, rollout)
    synced(world)
    world.end_of(rollouts(world)[-1])
    world.push({"green": 100}, {"blue": "v1", "green": "v2"}, rollout + "  drift: heal\n")
    synced(world)
    assert world.end_of(rollouts(world)[-1])["state"]["name"] == "Promoted"
    done = len(rollouts(world))
    assert "is as the manifest says" in synced(world)

    world.set_traffic(blue=100)
    told = synced(world)
    assert "somebody changed it" in told
    assert "Live traffic was put back to green 100 %." in told
    assert world.traffic == {"green": 100}
    assert world.lock() is None
    assert len(rollouts(world)) == done

    world.stack.azure.online_deployments.begin_delete(endpoint_name=world.endpoint, name="blue").result()
    assert f"It is left as it is; see artifact drift-{world.endpoint}." in synced(world)
    assert world.deployments.keys() == {"green"}

    world.repository.remove(path_of(world.endpoint))
    with monkeypatch.context() as environment:
        environment.setenv("AML_CANARY_PRUNE", "report")
        settings.cache_clear()
        assert f"{path_of(world.endpoint)} is no longer in git. It is left as it is (AML_CANARY_PRUNE: report)." in synced(world)
        assert not [run for run in world.prefect.runs("teardown") if run["parameters"]["endpoint"] == world.endpoint]
    settings.cache_clear()
    told = synced(world)
    assert f"{world.endpoint}: {path_of(world.endpoint)} is no longer in git." in told
    [teardown] = [run for run in world.prefect.runs("teardown") if run["parameters"]["endpoint"] == world.endpoint]
    assert world.until_asked(teardown["id"]) == "delete-endpoint"
    assert world.traffic == {"green": 100}
    synced(world)
    assert len([run for run in world.prefect.runs("teardown") if run["parameters"]["endpoint"] == world.endpoint]) == 1
    world.answer(teardown["id"])
    assert world.end_of(teardown["id"])["state"]["name"] == "Deleted"


def test_an_endpoint_waits_for_the_one_it_depends_on_and_goes_on_by_itself(world: World) -> None:
    features = f"first-{world.endpoint[:7]}"
    free = "  approvals: {before: []}\n"
    commit = world.repository.push(
        {
            path_of(features): world.written(manifest(features, {"blue": 100}, {"blue": "v1"}, rollout=free)),
            path_of(world.endpoint): manifest(world.endpoint, {"blue": 100}, {"blue": "v1"}, rollout=f"{free}  depends_on: [{features}]\n"),
        },
        "Two endpoints, one after the other",
    )
    told = synced(world, commit)
    assert f"{world.endpoint} waits for {features}, which it depends on." in told
    assert rollouts(world) == []
    wait_until(lambda: len(rollouts(world)) == 1, "the second is started when the first is promoted")
    assert world.end_of(rollouts(world)[0])["state"]["name"] == "Promoted"
    assert world.traffic == world.stack.traffic(features) == {"blue": 100}
