"""The rollouts of the documentation, end to end: states after each stage, number of writes, no request lost."""

import os
import shutil
import subprocess
import sys
import time

from examples.demo.manifests import path_of
from examples.demo.stack import ROOT, without_settings
from tests.orchestration.world import World, wait_until
from tests.unit.documents import blocks

GITOPS = "configs/online-endpoint/mir/gitops"


def test_a_target_form_rollout_asks_at_each_gate_writes_once_a_stage_and_loses_no_request(world: World) -> None:
    world.blue_is_live()
    before = world.writes()
    began = time.monotonic()
    with world.stack.steady_traffic(world.endpoint) as users:
        run = world.start_green()
        assert world.until_asked(run) == "flight-green-10"
        assert (world.traffic, world.deployments) == ({"blue": 100}, {"blue": 1, "green": 1})
        form = world.prefect.form(run)
        for part in ("Approve:", "Reject:", "| blue | 100 % |", "| two-rows | 200 |", "`full-green`"):
            assert part in form
        world.answer(run)
        assert world.until_asked(run) == "full-green"
        assert world.traffic == {"blue": 90, "green": 10}
        world.answer(run)
        assert world.until_asked(run) == "delete-blue"
        assert world.traffic == {"green": 100}
        world.answer(run)
        ended = world.end_of(run)
        due = 50 * (time.monotonic() - began)
    tally = users.tally
    assert (ended["state"]["type"], ended["state"]["name"]) == ("COMPLETED", "Promoted")
    assert (world.traffic, world.deployments) == ({"green": 100}, {"green": 1})
    assert world.stages(run) == ["create-green", "smoke-invoke-green", "flight-green-10", "full-green", "delete-blue"]
    assert world.writes()[len(before) :] == ["deployment.put green", "endpoint.put", "endpoint.put", "deployment.delete blue"]
    assert tally.sent > 0.9 * due, "50 requests a second, all the way"
    assert (tally.lost, tally.answered.total()) == ({}, tally.sent)
    served = world.stack.emulator.stats()["endpoints"][world.endpoint]["deployments"]
    smoke = {"blue": 0, "green": 1}
    assert served == {name: {"200": tally.answered[name] + smoke[name]} for name in ("blue", "green")}, "the endpoint counts the same"
    assert world.lock() is None

    writes = len(world.writes())
    text = (world.repository.work / path_of(world.endpoint)).read_text()
    respelled = text.replace(world.endpoint, world.endpoint.upper()).replace("green:", "GREEN:").replace("F2s_v2", "f2S_V2")
    assert respelled.count("GREEN:") == 2
    again = world.end_of(world.start(world.repository.push({path_of(world.endpoint): respelled}, "the same in another spelling")))
    assert again["state"]["name"] == "Unchanged"
    assert len(world.writes()) == writes


def test_the_seed_s_staged_folder_passes_through_every_file_s_state_and_teardown_ends_it(world: World) -> None:
    world.endpoint = "myendpoint"
    register_models(world)
    shutil.rmtree(world.repository.work / "configs")
    world.repository.copy(ROOT / "configs", "configs")
    rollout = (ROOT / GITOPS / "rollout.yml").read_text() + "judge: {enabled: false}\nretire: {keep_for_minutes: 0}\n"
    run = world.start(world.repository.push({f"{GITOPS}/rollout.yml": rollout}, "the seed's stages, without their waits"), GITOPS)

    assert world.until_asked(run) == "full-blue"
    assert (world.traffic, world.deployments) == ({}, {"blue": 3})
    world.answer(run)
    wait_until(lambda: world.traffic == {"blue": 100}, "blue is live")
    with world.stack.steady_traffic(world.endpoint) as users:
        assert world.until_asked(run) == "flight-green-10"
        assert (world.traffic, world.deployments) == ({"blue": 100}, {"blue": 5, "green": 5})
        world.answer(run)
        assert world.until_asked(run) == "full-green"
        assert (world.traffic, world.deployments) == ({"blue": 90, "green": 10}, {"blue": 5, "green": 5})
        world.answer(run)
        assert world.until_asked(run) == "delete-blue"
        assert (world.traffic, world.deployments) == ({"green": 100}, {"blue": 5, "green": 5})
        world.answer(run)
        assert world.end_of(run)["state"]["name"] == "Promoted"
    assert users.tally.sent > 500
    assert (users.tally.lost, users.tally.answered.total()) == ({}, users.tally.sent)
    assert (world.traffic, world.deployments) == ({"green": 100}, {"green": 5})
    stages = ["create-endpoint", "create-blue", "smoke-invoke-blue", "full-blue", "scale-blue", "create-green", "smoke-invoke-green"]
    assert world.stages(run) == [*stages, "flight-green-10", "full-green", "delete-blue"]
    assert world.writes() == [
        *("endpoint.put", "deployment.put blue", "endpoint.put"),  # 1: endpoint and blue
        "deployment.put blue",  # 2: scale blue
        "deployment.put green",  # 3: create green
        "endpoint.put",  # 4: 10 %
        "endpoint.put",  # 5: 100 %
        "deployment.delete blue",  # 6: delete blue
    ]
    assert world.end_of(world.start(world.repository.push({}, "again"), GITOPS))["state"]["name"] == "Unchanged"

    teardown = world.prefect.start("teardown/teardown", {"endpoint": world.endpoint})
    assert world.until_asked(teardown) == "delete-endpoint"
    world.answer(teardown)
    assert world.end_of(teardown)["state"]["name"] == "Deleted"
    assert world.endpoint not in [endpoint.name for endpoint in world.stack.azure.online_endpoints.list()]


def test_an_endpoint_file_without_traffic_takes_no_live_traffic_away(world: World) -> None:
    world.blue_is_live()
    text = (world.repository.work / path_of(world.endpoint)).read_text().replace("  traffic:\n    blue: 100\n", "")
    assert "traffic" not in text.split("deployments:")[0]
    writes = len(world.writes())
    ended = world.end_of(world.start(world.repository.push({path_of(world.endpoint): text}, "no traffic written")))
    assert ended["state"]["name"] == "Unchanged", ended["state"]
    assert world.traffic == {"blue": 100}
    assert len(world.writes()) == writes


def test_deployments_with_live_weight_are_never_deleted_though_the_file_no_longer_names_them(world: World) -> None:
    world.blue_is_live()
    text = (world.repository.work / path_of(world.endpoint)).read_text().replace("  traffic:\n    blue: 100\n", "")
    text = text.replace("  blue:\n", "  green:\n").replace("../models/v1", "../models/v2")
    ended = world.end_of(world.start(world.repository.push({path_of(world.endpoint): text}, "blue is not named")))
    assert ended["state"]["name"] == "Promoted", ended["state"]
    assert (world.traffic, world.deployments) == ({"blue": 100}, {"blue": 1, "green": 1})


def test_a_polite_but_wrong_smoke_answer_stops_the_rollout_before_any_traffic(world: World) -> None:
    world.blue_is_live()
    ended = world.end_of(world.start_green(model="v2-wrong"))
    assert ended["state"]["type"] == "FAILED"
    message = ended["state"]["message"]
    assert "\n" not in message
    for part in ("SmokeFailed", "green failed 1 of 1", "two-rows", "0.5 is less than or equal to the minimum of 1"):
        assert part in message
    assert world.traffic == {"blue": 100}


def test_a_bad_manifest_ends_the_run_with_file_line_field_rule_and_remedy_and_nothing_written(world: World) -> None:
    commit = world.push({"blue": 90}, {"blue": "v1"})
    ended = world.end_of(world.start(commit))
    message = ended["state"]["message"]
    assert ended["state"]["type"] == "FAILED"
    for part in (f"{path_of(world.endpoint)}:", "endpoint.traffic", "[traffic-total]"):
        assert part in message
    assert world.writes() == []
    assert world.lock() is None


def register_models(world: World) -> None:
    """Register what the seed's manifests expect to find, by the script that their document has."""
    [script] = [block.text for block in blocks("python") if block.where == "configs/registered-models/README.md"]
    azure = world.stack.emulator
    for theirs, ours in {
        "<subscription>": azure.subscription_id,
        "<resource group>": azure.resource_group,
        "<workspace>": azure.workspace,
    }.items():
        script = script.replace(theirs, ours)
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=without_settings(os.environ) | azure.exports(), check=True, timeout=120)
