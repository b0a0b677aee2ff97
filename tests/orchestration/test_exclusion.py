"""One rollout per endpoint, one rollout per commit."""

import hashlib
import hmac
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import requests

from aml_canary.gateways import azureml
from tests.orchestration.test_cli import cli
from tests.orchestration.world import World, wait_until


def test_a_second_rollout_of_a_held_endpoint_is_refused_and_can_be_retried_when_it_is_free(world: World) -> None:
    world.blue_is_live()
    first = world.start_green()
    assert world.until_asked(first) == "flight-green-10"
    writes = len(world.writes())
    second = world.start_green("  on_new_commit: reject\n", model="v1")
    ended = world.end_of(second)
    assert ended["state"]["type"] == "FAILED"
    for part in ("EndpointBusy", world.endpoint, first, "Suspended"):
        assert part in ended["state"]["message"]
    assert len(world.writes()) == writes, "the second wrote nothing"
    world.answer(first, "reject")
    world.end_of(first)
    world.prefect.retry(second, force=True)
    assert world.until_asked(second) == "flight-green-10"


def test_a_rollout_that_queues_waits_without_a_process_and_goes_on_when_the_endpoint_is_free(world: World) -> None:
    world.blue_is_live()
    first = world.start_green()
    assert world.until_asked(first) == "flight-green-10"
    writes = len(world.writes())
    second = world.start_green("  on_new_commit: queue\n", model="v1")
    wait_until(lambda: world.prefect.state(second) == "Suspended", "the second waits")
    assert f"waiting-for:{world.endpoint}" in world.prefect.run(second)["tags"]
    assert len(world.writes()) == writes, "the second wrote nothing"
    world.answer(first, "reject")
    world.end_of(first)
    wait_until(lambda: world.prefect.state(second) == "Suspended" and world.prefect.gate(second) == "flight-green-10", "the second goes on")
    assert f"waiting-for:{world.endpoint}" not in world.prefect.run(second)["tags"]
    holder = world.lock()
    assert holder is not None
    assert holder["run"] == second


def test_two_rollouts_started_at_once_run_one_after_the_other(world: World) -> None:
    world.blue_is_live()
    before = len(world.writes())
    alone = "  on_new_commit: queue\n  approvals: {before: []}\n"
    commits = [world.push({name: 100}, {name: "v2"}, alone) for name in ("green", "purple")]
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(world.start, commits))
    wait_until(lambda: all(world.prefect.state(run) == "Promoted" for run in runs), "both are done", seconds=240)

    def rollout(old: str, new: str) -> list[str]:
        return [f"deployment.put {new}", "endpoint.put", "endpoint.put", f"deployment.delete {old}"]

    either = [rollout("blue", "green") + rollout("green", "purple"), rollout("blue", "purple") + rollout("purple", "green")]
    assert world.writes()[before:] in either
    assert world.lock() is None


def test_another_commit_takes_over_from_a_failed_rollout_after_traffic_is_back_on_blue(world: World) -> None:
    world.blue_is_live()
    failed = world.start_green()
    world.approve_through(failed, "flight-green-10")
    assert world.until_asked(failed) == "full-green"
    world.stack.emulator.faults.add("endpoint.put", name=world.endpoint, status=400, code="BadRequest", message="no")
    world.answer(failed)
    assert world.end_of(failed)["state"]["type"] == "FAILED"
    assert world.traffic == {"blue": 90, "green": 10}
    second = world.start_green(model="v2-slow")
    assert world.until_asked(second) == "flight-green-10"
    assert world.traffic == {"blue": 100}
    assert world.stages(second) == [f"roll-back-{world.endpoint}", "delete-green", "create-green", "smoke-invoke-green"]


def test_who_comes_after_a_rejected_rollout_takes_over_from_nobody(world: World) -> None:
    world.blue_is_live()
    rejected = world.start_green()
    world.approve_through(rejected, "flight-green-10")
    assert world.until_asked(rejected) == "full-green"
    world.answer(rejected, "reject")
    assert world.end_of(rejected)["state"]["name"] == "Rejected"
    assert azureml.observe(world.endpoint).facts.run == rejected
    second = world.start_green(model="v2-slow")
    assert world.until_asked(second) == "flight-green-10"
    assert world.stages(second) == ["delete-green", "create-green", "smoke-invoke-green"]
    told = [*world.prefect.logs(second), cli(world, "audit", second).stdout, cli(world, "audit", rejected).stdout]
    assert not [text for text in told if "aking over" in text or "taken over" in text or "took_over" in text]


def test_who_takes_over_from_a_dead_rollout_that_left_nothing_to_do_answers_for_what_is_live(world: World) -> None:
    world.blue_is_live()
    alone = "  approvals: {before: []}\n"
    commit = world.push({"green": 100}, {"green": "v2"}, alone)
    world.stack.emulator.pace({"deployment.delete": {"reads": 10**6}})
    dead = world.start(commit)
    wait_until(lambda: world.azure_is_at_work("blue"), "its last step is at work")
    world.kill_flow(dead)
    world.let_azure_go_on()
    second = world.start(commit)
    assert world.end_of(second)["state"]["name"] == "Unchanged"
    assert azureml.observe(world.endpoint).facts.run == dead
    # Whoever comes next would put back what a dead one has left: to blue, which is gone.
    next_one = world.start(world.push({"purple": 100}, {"purple": "v1"}, alone))
    assert world.end_of(next_one)["state"]["name"] == "Promoted"
    assert world.stages(next_one) == ["create-purple", "smoke-invoke-purple", "flight-purple-10", "full-purple", "delete-green"]


def test_twenty_pushes_of_one_commit_make_one_run(world: World) -> None:
    world.stack.env["AML_CANARY_REPOSITORIES"] = json.dumps({world.repository.name: world.repository.url})
    world.stack.start_door()
    world.restart_worker()
    commit = world.push({"blue": 100}, {"blue": "v1"})
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: deliver(world, commit), range(20)))
    assert {reply.status_code for reply in replies} <= {201, 202}, [reply.text for reply in replies]
    sync = [run for run in world.prefect.runs("sync") if run["parameters"].get("commit") == commit]
    assert len(sync) == 1
    assert world.end_of(sync[0]["id"])["state"]["type"] == "COMPLETED"
    again = world.prefect.start("sync/sync", {"repository": world.repository.name, "commit": commit})
    assert world.end_of(again)["state"]["type"] == "COMPLETED"
    rollouts = [run for run in world.prefect.runs("canary") if run["parameters"].get("commit") == commit]
    assert len(rollouts) == 1
    assert world.until_asked(rollouts[0]["id"]) == "full-blue"


def test_sync_starts_the_good_manifests_and_tells_of_the_bad_one(world: World) -> None:
    world.push({"blue": 100}, {"blue": "v1"})
    commit = world.repository.push({"configs/bad.canary.yml": "endpoint: {name: bad}\n"}, "one bad manifest")
    ended = world.end_of(world.prefect.start("sync/sync", {"repository": world.repository.url, "commit": commit}))
    assert ended["state"]["type"] == "FAILED"
    assert "configs/bad.canary.yml: refused." in ended["state"]["message"]
    rollouts = [run for run in world.prefect.runs("canary") if run["parameters"].get("commit") == commit]
    assert [run["parameters"]["manifest"] for run in rollouts] == [f"configs/{world.endpoint}.canary.yml"]


def deliver(world: World, commit: str) -> requests.Response:
    """A push event as GitHub sends it, each with a delivery id of its own."""
    push = {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": commit,
        "created": False,
        "deleted": False,
        "forced": False,
        "repository": {"full_name": world.repository.name},
        "pusher": {"name": "ada"},
        "head_commit": {"id": commit},
        "commits": [],
    }
    body = json.dumps(push).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": "sha256=" + hmac.new(world.stack.webhook_secret.encode(), body, hashlib.sha256).hexdigest(),
    }
    session = requests.Session()
    session.trust_env = False
    return session.post(f"{world.stack.door}/webhooks/github", data=body, headers=headers, timeout=60)


def test_a_first_shift_that_is_tried_again_while_its_rollout_is_aborted_shifts_nothing(world: World) -> None:
    world.blue_is_live()
    run = world.start_green()
    assert world.until_asked(run) == "flight-green-10"
    world.stack.emulator.faults.add("endpoint.put", name=world.endpoint, count=None, status=503, code="ServiceUnavailable", message="later")
    before = world.writes()
    world.answer(run)
    wait_until(lambda: world.stack.emulator.faults.list()[0]["hits"] > 0, "the shift is being tried")
    aborted = cli(world, "abort", world.endpoint, "not today")
    assert aborted.stdout == f"The rollout of {world.endpoint} is ended. Live traffic was left alone: blue 100 %. The endpoint is free.\n"
    world.stack.emulator.faults.clear()
    world.until_logged(run, "is not held by this run any more: nobody has it")
    assert (world.traffic, world.lock(), world.prefect.state(run)) == ({"blue": 100}, None, "Aborted")
    assert world.writes() == before


def test_whoever_comes_after_a_rollout_that_died_while_it_deleted_stable_begins_from_what_is_live(world: World) -> None:
    world.blue_is_live()
    run = world.start_green()
    world.approve_through(run, "flight-green-10", "full-green")
    assert world.until_asked(run) == "delete-blue"
    world.stack.emulator.pace({"deployment.delete": {"reads": 10**6}})
    world.answer(run)
    wait_until(lambda: world.azure_is_at_work("blue"), "blue is being deleted")
    world.kill_flow(run)
    world.let_azure_go_on()
    wait_until(lambda: list(world.deployments) == ["green"], "blue is gone")
    second = world.start(world.push({"red": 100}, {"red": "v1"}, "  approvals: {before: []}\n"))
    assert world.end_of(second)["state"]["name"] == "Promoted", world.prefect.run(second)["state"]
    assert world.traffic == {"red": 100}


def test_traffic_that_somebody_took_from_the_canary_by_hand_stays_theirs_when_the_rollout_is_rejected(world: World) -> None:
    world.blue_is_live()
    run = world.start_green()
    world.approve_through(run, "flight-green-10")
    assert world.until_asked(run) == "full-green"
    red = world.stack.azure.online_deployments.get("blue", world.endpoint)
    red.name = "red"
    world.stack.azure.online_deployments.begin_create_or_update(red).result()
    world.set_traffic(red=100)
    world.answer(run, "reject")
    ended = world.end_of(run)["state"]
    assert (ended["name"], world.traffic) == ("Rejected", {"red": 100})
    assert "Live traffic is red 100 %, as somebody else set it, and was left alone." in ended["message"]
