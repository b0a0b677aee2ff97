"""People are told by a real channel while a rollout waits, fails, is retried and is cancelled; and one that is down is in nobody's way."""

import json

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from aml_canary.settings import settings
from examples.demo.manifests import path_of
from examples.demo.stack import free_port
from tests.contract.channels import SECRET, running_channel
from tests.orchestration.world import World, wait_until


def test_each_event_is_told_once_and_a_channel_that_is_down_holds_nothing_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.blue_is_live()
    with running_channel() as channel:
        with temporary_settings({PREFECT_API_URL: world.prefect.url}):
            down = channel.block(f"down-{world.endpoint}", f"http://127.0.0.1:{free_port()}")
            notify = json.dumps([channel.block(f"up-{world.endpoint}"), down])
        # For the processes of this rollout, and for the guard of this one.
        monkeypatch.setenv("AML_CANARY_NOTIFY", notify)
        settings.cache_clear()
        commit = world.push({"green": 100}, {"green": "v2"})
        parameters = {"repository": world.repository.url, "commit": commit, "manifest": path_of(world.endpoint)}
        deployment = world.prefect.deployment("canary/canary")
        job = {"env": {"AML_CANARY_NOTIFY": notify}, "command": deployment["job_variables"].get("command")}
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "job_variables": {k: v for k, v in job.items() if v}}
        run = str(world.prefect.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"])

        assert world.until_asked(run) == "flight-green-10"
        name = world.prefect.run(run)["name"]
        waits = f"{name} waits for an answer: flight-green-10"
        assert channel.subjects() == [waits]
        assert f"/runs/flow-run/{run}" in channel.told[0][1]

        world.stack.emulator.faults.add("endpoint.put", name=world.endpoint, status=400, code="BadRequest", message="no")
        world.answer(run)
        assert world.end_of(run)["state"]["name"] == "Failed"
        wait_until(lambda: len(channel.told) > 1, "the failure is told")
        world.run_guard()
        assert channel.subjects() == [waits, f"{name}: failed, and needs somebody"]

        world.prefect.retry(run, force=False)
        wait_until(lambda: world.prefect.state(run) != "Failed", "it is at work again")
        assert world.until_asked(run) == "full-green", "what was approved is not asked again, nor told"
        world.prefect.cancel(run)
        wait_until(lambda: world.prefect.state(run) == "Cancelled", "it is cancelled")
        for _ in range(2):
            world.run_guard()
        ends = [f"{name} waits for an answer: full-green", f"{name}: cancelled"]
        assert channel.subjects() == [waits, f"{name}: failed, and needs somebody", *ends]
        assert (world.traffic, world.lock()) == ({"blue": 100}, None)
        [*_, (_, text)] = channel.told
        assert "The endpoint is free." in text

    def warned() -> list[str]:
        return [line for line in world.prefect.logs(run) if "Nobody may have heard" in line]

    wait_until(lambda: len(warned()) >= 3, "the last process has handed over its log")
    assert len(warned()) == 3, "the rollout's own events; the guard has a log of its own"
    assert all(f"custom-webhook/down-{world.endpoint} did not take it (ConnectError)" in line and SECRET not in line for line in warned())
