"""`aml-canary setup` and `init` on a real Prefect server: twice is once, a dry run makes nothing, and the server tells of a silent guard."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed

from aml_canary.gateways import prefect_setup
from examples.demo.prefect_api import PrefectApi
from tests.contract.channels import Channel, running_channel
from tests.contract.receiver_world import PrefectServer, running_prefect
from tests.orchestration.world import wait_until

PROGRAM = Path(sys.executable).parent / "aml-canary"
ADDRESS = "https://git.example.test/acme/models.git"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_prefect(tmp_path_factory.mktemp("prefect")) as running:
        yield running


@pytest.fixture(scope="module")
def channel() -> Iterator[Channel]:
    with running_channel() as running:
        yield running


def cli(server: PrefectServer, *words: str, typed: str = "", cwd: Path | None = None, **env: str) -> str:
    everything = server.env | {"AML_CANARY_REPOSITORIES": f'{{"acme/models": "{ADDRESS}"}}'} | env
    done = subprocess.run([PROGRAM, *words], env=everything, input=typed, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything(server: PrefectServer) -> dict[str, Any]:
    """What setup could have made, without what changes by itself."""
    api = PrefectApi(server.api_url)
    deployments = {d["name"]: d for d in api.call("POST", "/deployments/filter", {})}
    return {
        "pools": sorted(pool["name"] for pool in api.call("POST", "/work_pools/filter", {})),
        "deployments": {
            name: (d["entrypoint"], [(s["schedule"]["interval"], s["parameters"], s["active"]) for s in d["schedules"]])
            for name, d in sorted(deployments.items())
        },
        "automations": [(a["id"], a["name"], len(a["actions"])) for a in api.call("POST", "/automations/filter", {})],
        "blocks": sorted((b["id"], b["name"]) for b in api.call("POST", "/block_documents/filter", {})),
    }


def test_a_dry_run_makes_nothing_and_twice_is_once(server: PrefectServer, channel: Channel, tmp_path: Path) -> None:
    words = ("setup", "--deploy", "--channel", "custom-webhook/ml-oncall")
    before = everything(server)
    dry = cli(server, *words, "--dry-run")
    assert everything(server) == before
    made = cli(server, *words, typed=f"{channel.url}/hook\n")
    assert made.splitlines()[:3] == [
        "made: work pool rollouts",
        "made: channel custom-webhook/ml-oncall",
        "made: automation 'aml-canary: the guard does not run'",
    ]
    assert [line.removeprefix("would be ") for line in dry.splitlines()] == made.splitlines()
    first = everything(server)
    assert (first["pools"], list(first["deployments"])) == (["rollouts"], ["answer", "canary", "guard", "review", "sync", "teardown"])
    assert first["deployments"]["sync"] == ("flows.sync.sync", [(300.0, {"repository": "acme/models"}, True)])
    assert first["deployments"]["guard"][1] == [(60.0, {}, True)]
    assert [(name, actions) for _, name, actions in first["automations"]] == [(prefect_setup.WATCHDOG, 1)]

    again = cli(server, *words, AML_CANARY_NOTIFY='["custom-webhook/ml-oncall"]')
    assert [line.partition(":")[0] for line in again.splitlines()] == ["there", "there", "there", "made"]
    assert everything(server) == first

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    cli(
        server,
        *("init", "--endpoint", "churn", "--model", "azureml:churn:3", "--no-input", "--host", "github"),
        *("--repository", "acme/models", "--url", ADDRESS),
        cwd=tmp_path,
    )
    deploy = [Path(sys.executable).parent / "prefect", "--no-prompt", "deploy", "--all"]
    subprocess.run(deploy, env=server.env, cwd=tmp_path, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    assert everything(server) == first, "what init writes is what setup deploys"


@pytest.mark.parametrize(
    ("words", "typed", "told"),
    [
        (("--channel", "no-such/block"), "x", "no-such is no notification block"),
        (("--channel", "sendgrid-email/mail"), "x", "make it in the Prefect UI"),
        (("--channel", "slack-webhook/other"), "", "the input has no address"),
    ],
)
def test_what_cannot_be_made_says_why(server: PrefectServer, words: tuple[str, ...], typed: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        cli(server, "setup", *words, typed=typed)


def test_a_guard_that_stops_is_told_of(server: PrefectServer, channel: Channel) -> None:
    two = f'{{"acme/models": "{ADDRESS}", "acme/more": "{ADDRESS}"}}'
    cli(server, "setup", "--deploy", "--channel", "custom-webhook/silence", typed=f"{channel.url}/hook\n", AML_CANARY_REPOSITORIES=two)
    looks = [parameters["repository"] for _, parameters, _ in everything(server)["deployments"]["sync"][1]]
    assert sorted(looks) == ["acme/models", "acme/more"]
    with temporary_settings({PREFECT_API_URL: server.api_url}):
        done = prefect_setup.watchdog(("custom-webhook/silence",), dry=False, silence=timedelta(seconds=10))
        assert [one.word for one in done] == ["changed"]
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(client.read_deployment_by_name("guard/guard").id)
            client.set_flow_run_state(run.id, Completed(), force=True)
    wait_until(lambda: channel.told != [], "the server notices that the guard is silent")
    assert channel.subjects() == ["aml-canary: the guard does not run"]
