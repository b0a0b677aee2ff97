"""docs/azure.md, as somebody follows it who installs everything: from a Prefect server to a doctor who finds nothing failed.

Azure is the emulator, by its own managed identity; loopback is what the machine listens on. Not typed are `az`, which is not installed,
and what needs Redis; the database is SQLite, because there is no PostgreSQL here.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import requests

from aml_emulator.process import RunningEmulator, running_emulator
from examples.demo.prefect_api import PrefectApi
from examples.demo.repository import Repository
from examples.demo.stack import BIN, free_port, without_settings
from tests.contract.channels import running_channel
from tests.orchestration.world import wait_until
from tests.reader import Reader

ON_ALL = "--host 0.0.0.0"


def test_whoever_goes_to_azure_gets_by_with_what_its_guide_has_them_type(tmp_path: Path) -> None:
    repository = Repository(tmp_path, "acme/models")
    repository.push({"README.md": "Ours."}, "Before there was a canary")
    prefect, door = free_port(), free_port()
    api = PrefectApi(f"http://127.0.0.1:{prefect}/api")
    own = {
        "postgresql+asyncpg://prefect:<password>@db.example.com/prefect": f"sqlite+aiosqlite:///{tmp_path}/prefect.db",
        ON_ALL: f"--host 127.0.0.1 --port {prefect}",
        f"{ON_ALL} --port 8090": f"--host 127.0.0.1 --port {door}",
        "slack-webhook/": "custom-webhook/",
        "https://git.example.com/acme/models": repository.url,
    }
    with (
        running_emulator(tmp_path / "emulator") as azure,
        running_channel() as channel,
        Reader("docs/azure.md", repository.work, machine(azure, tmp_path), own) as reader,
    ):
        identity = {
            "00000000-0000-0000-0000-000000000000": azure.subscription_id,
            "ml-prod": azure.resource_group,
            "churn-prod": azure.workspace,
        }
        reader.own |= identity
        reader.read()
        reader.skip("az")

        database, upgrade, server = reader.lines()
        reader.type(database, upgrade)
        with reader.beginning(server):
            wait_until(api.healthy, "the server answers")
            assert "prefect_redis" in reader.next().text
            reader.type(f"export PREFECT_API_URL={api.url}")
            reader.say("prefect work-pool create rollouts --type process")

            assert "wrote prefect.yaml" in reader.read(typed="\nacme/models\ngithub\n")
            fill_in(repository.work / "aml-canary.env", identity.values(), api)
            made = reader.read(typed=f"{channel.url}/hook\n")
            assert [line.partition(":")[0] for line in made.splitlines()[:4]] == ["there", "made", "made", "made"], made
            looks = [found["parameters"] for found in api.deployment("sync/sync")["schedules"]]
            assert looks == [{"repository": "acme/models"}]
            reader.say("prefect --no-prompt deploy --all")
            assert [found["parameters"] for found in api.deployment("sync/sync")["schedules"]] == looks

            repositories, work = reader.lines()
            reader.type(repositories)
            secrets, doors = reader.lines()
            reader.type(secrets)
            with reader.beginning(work), reader.beginning(doors):
                wait_until(lambda: online(api), "the worker works")
                wait_until(lambda: ready(door), "the door is open")
                # As it does by itself within a minute.
                assert api.wait(api.start("guard/guard", {}))["state"]["type"] == "COMPLETED"
                told = reader.read()
                assert re.search(r"^\d+ checks: 0 failed", told, re.MULTILINE), told
                for about in ("azure", "guard", "git", "work pool", "webhook secrets"):
                    assert re.search(rf"^ok +{about}", told, re.MULTILINE), told


def machine(azure: RunningEmulator, folder: Path) -> dict[str, str]:
    """What a machine has of its own where managed identities are: somebody who answers for them, and here the emulator's cloud."""
    env = {name: value for name, value in azure.exports().items() if name.startswith(("IDENTITY_", "REQUESTS_", "SSL_"))}
    ours = {
        "AML_CANARY_CLOUD_NAME": azure.cloud_name,
        "AML_CANARY_CLOUD_METADATA": json.dumps(azure.cloud_metadata),
        "AML_CANARY_HOME": str(folder / "home"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    return without_settings(os.environ) | env | ours


def fill_in(settings: Path, identity: Iterable[str], api: PrefectApi) -> None:
    """What `init` could not know."""
    text = settings.read_text()
    for name, value in zip(("SUBSCRIPTION_ID", "RESOURCE_GROUP", "WORKSPACE"), identity, strict=True):
        assert f"AML_CANARY_{name}=\n" in text
        text = text.replace(f"AML_CANARY_{name}=\n", f"AML_CANARY_{name}={value}\n")
    settings.write_text(text.replace("http://127.0.0.1:4200/api", api.url))


def online(api: PrefectApi) -> bool:
    """Whether a worker takes the pool's runs."""
    return "ONLINE" in [worker["status"] for worker in api.call("POST", "/work_pools/rollouts/workers/filter", {})]


def ready(door: int) -> bool:
    """Whether the door is open."""
    try:
        return requests.get(f"http://127.0.0.1:{door}/readyz", timeout=5).ok
    except requests.ConnectionError:
        return False
