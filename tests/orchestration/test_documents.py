"""docs/operating.md, as somebody on call follows it: each of its commands is typed while what it is written for is so. And a manifest.

The rollout's name, the run's id and the kind of channel are the reader's own.
"""

import json
import os
import signal

import yaml
from azure.ai.ml.entities import Environment, Model

from examples.demo.manifests import path_of
from examples.demo.stack import ROOT, free_port
from tests.contract.channels import running_channel
from tests.orchestration.world import World, wait_until
from tests.reader import Reader
from tests.unit.documents import blocks


def test_whoever_is_on_call_gets_by_with_what_the_operating_guide_has_them_type(churn: World) -> None:
    world = churn
    world.blue_is_live()
    # For the worker that comes when the first is lost.
    world.stack.env["AML_CANARY_REPOSITORIES"] = json.dumps({world.repository.name: world.repository.url})
    with running_channel() as channel, Reader("docs/operating.md", world.repository.work, world.stack.env) as reader:
        reader.own |= {"slack-webhook/ml-oncall": "custom-webhook/ml-oncall", "ENDPOINT": "churn", " PATH": " configs/churn.canary.yml"}
        run = rollout(world, reader)
        assert "an answer to flight-green-10" in reader.read(), "is anybody waiting for me"

        status, approve, reject = reader.lines()
        assert "churn" in reader.type(status)
        assert "flight-green-10 is approved and goes on, as Ada said." in reader.type(approve)
        assert world.until_asked(run) == "full-green"
        assert world.traffic == {"blue": 90, "green": 10}
        assert "live traffic goes back, as Ada said." in reader.type(reject)
        assert (world.end_of(run)["state"]["name"], world.traffic) == ("Rejected", {"blue": 100})
        assert "| 1 | `smoke-invoke-green` |" in reader.say("aml-canary plan PATH"), "green is there from before"
        explained = reader.say("aml-canary explain churn@1a2b3c4")
        assert explained.index("Ada (unverified) approved flight-green-10: latency is fine") < explained.index("latency is not fine")
        assert "Ada (unverified)" in reader.say("aml-canary audit churn@1a2b3c4 --verify")
        assert "Lifted." in reader.say("aml-canary unquarantine ENDPOINT")

        assert "made: channel custom-webhook/ml-oncall" in reader.read(typed=f"{channel.url}/hook\n")
        with reader.beginning("aml-canary watch churn") as watching:
            rollout(world, reader)
            assert "Live traffic was left alone: blue 100 %." in reader.read(), "abort"
            assert watching.wait(240) == 1, "it ends as git does not want it"
            assert "asked whether to go on with flight-green-10" in watching.log.read_text()
        assert any("Aborted" in subject or "aborted" in subject for subject in channel.subjects()), channel.subjects()
        run = rollout(world, reader)
        world.answer(run)
        assert world.until_asked(run) == "full-green"
        there, reader.env["PREFECT_API_URL"] = reader.env["PREFECT_API_URL"], f"http://127.0.0.1:{free_port()}/api"
        assert "With --without-prefect" in reader.type('aml-canary abort churn "callers see timeouts"', code=1)
        told = reader.read()
        assert "Live traffic of churn was put back: blue 100 %. It was blue 90 %, green 10 %." in told
        assert world.traffic == {"blue": 100}
        assert "nothing to go back to" in reader.type('aml-canary abort churn "again" --without-prefect')
        reader.env["PREFECT_API_URL"] = there
        assert "The rollout of churn is ended." in reader.type(told.splitlines()[-1].partition("back: ")[2])
        assert (world.prefect.state(run), world.lock()) == ("Aborted", None)

        world.stack.emulator.pace({"deployment.create": {"reads": 10**6}})
        run = rollout(world, reader, "v1", until="create-green")
        lose_the_machine(world, run)
        assert world.prefect.state(run) == "Running", "nobody has told Prefect"
        assert "ACCEPT" in reader.read(), "set_state"
        assert world.prefect.state(run) == "Crashed"
        world.let_azure_go_on()
        world.prefect.retry(run, force=True)
        assert world.until_asked(run) == "flight-green-10", "and Retry goes on"
        assert "The rollout of churn is ended." in reader.say('aml-canary abort churn "its machine is gone"')

        commit = world.push({"blue": 100}, {"blue": "v1"})
        reader.read()
        [sync] = [found for found in world.prefect.runs("sync") if found["parameters"]["repository"] == world.repository.name]
        assert "churn" in world.end_of(sync["id"])["state"]["message"]
        [again] = [found for found in world.prefect.runs("canary") if found["parameters"]["commit"] == commit]
        world.approve_through(again["id"], "delete-green")
        assert world.end_of(again["id"])["state"]["name"] == "Promoted"

        assert "blue 100 %" in reader.read()
        others = [found["id"] for found in world.prefect.runs("guard")]
        reader.say("prefect deployment run guard/guard")
        [guard] = [found for found in world.prefect.runs("guard") if found["id"] not in others]
        assert world.end_of(guard["id"])["state"]["type"] == "COMPLETED"
        reader.say("prefect deployment run teardown/teardown --param endpoint=churn")
        [teardown] = [found for found in world.prefect.runs("teardown") if found["parameters"]["endpoint"] == "churn"]
        world.approve_through(teardown["id"], "delete-endpoint")
        assert world.end_of(teardown["id"])["state"]["type"] == "COMPLETED"


def test_the_manifest_of_docs_git_is_rolled_out_as_it_stands(churn: World) -> None:
    [text] = [block.text for block in blocks("yaml") if block.where == "docs/git.md" and block.text.startswith("# One endpoint")]
    roll_out(churn, text)


def test_the_manifest_of_the_readme_is_rolled_out_as_it_stands(churn: World) -> None:
    [text] = [block.text for block in blocks("yaml") if block.where == "README.md"]
    models, environment = ROOT / "examples/models", yaml.safe_load((ROOT / "examples/manifests/churn.canary.yml").read_text())
    image = environment["deployments"]["blue"]["environment"]["image"]
    azure = churn.stack.azure
    for version in ("3", "4"):
        azure.models.create_or_update(Model(name="churn", version=version, path=models / "model"))
    made = Environment(name="churn-scoring", version="1", image=image, conda_file=models / "environment.yml")
    azure.environments.create_or_update(made)
    roll_out(churn, text)
    found = {deployment.name: deployment.model.rpartition("/")[2] for deployment in azure.online_deployments.list("churn")}
    assert found == {"blue": "3", "green": "4"}


def roll_out(world: World, text: str) -> None:
    """From nothing to where this manifest ends: both deployments, and green is live."""
    run = world.start(world.repository.push({path_of("churn"): text}, "churn, as it stands"))
    asked = []
    while world.prefect.wait(run, "Suspended")["state"]["name"] == "Suspended":
        asked.append(world.prefect.gate(run))
        world.answer(run)
    assert (world.prefect.state(run), asked) == ("Promoted", ["full-green"])
    assert (world.traffic, world.deployments) == ({"green": 100}, {"blue": 1, "green": 1})


def rollout(world: World, reader: Reader, model: str = "v2", *, until: str = "flight-green-10") -> str:
    """A rollout of green that waits at this gate, or is at work on this step; from now on the document's is this one."""
    commit = world.push({"green": 100}, {"green": model})
    reader.say("aml-canary run PATH")
    [run] = [str(found["id"]) for found in world.prefect.runs("canary") if found["parameters"]["commit"] == commit]
    if until.startswith("create-"):
        wait_until(lambda: world.azure_is_at_work("green"), "it is at work")
    else:
        assert world.until_asked(run) == until
    reader.own |= {"churn@1a2b3c4": world.prefect.run(run)["name"], "<run id>": run}
    return run


def lose_the_machine(world: World, run: str) -> None:
    """kill -9 worker and flow at once; another worker comes."""
    flow = int(str(world.prefect.run(run)["infrastructure_pid"]).split(":")[-1])
    world.restart_worker(lambda: os.kill(flow, signal.SIGKILL))
