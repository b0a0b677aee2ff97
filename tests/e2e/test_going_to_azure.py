"""docs/azure.md, as somebody follows it who installs everything: from a Prefect server to a doctor who finds nothing failed.

Azure is the emulator, by its own managed identity; loopback is what the machine listens on, and several machines are one. Where `az` is
not installed its lines are passed by. Where PostgreSQL and Redis are not, SQLite stands in for the one, what is said about the other is
passed by, and a skipped test says so.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from aml_emulator.process import RunningEmulator, running_emulator
from examples.demo.prefect_api import PrefectApi
from examples.demo.repository import Repository
from examples.demo.stack import BIN, free_port, without_settings
from tests.contract.channels import running_channel
from tests.e2e.azure_cli import AZ, signed_in
from tests.e2e.databases import MISSING, Postgres, running_postgres, running_redis
from tests.orchestration.world import wait_until
from tests.reader import Reader
from tests.unit.documents import blocks

ON_ALL = "--host 0.0.0.0"
BOTH = "PostgreSQL and Redis"
NOT_TYPED = pytest.mark.skip(reason=f"not installed: {', '.join(MISSING)}. What docs/azure.md says about {BOTH} was not typed for real")

# What Prefect leaves in Redis because of each setting; where the first of them is not in force, no event comes to PostgreSQL either.
LEFT_IN_REDIS = {
    "PREFECT_MESSAGING_BROKER": "events",
    "PREFECT_MESSAGING_CACHE": "message:messaging-cache:*",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "triggers:seen:*",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect:concurrency:lease:*",
    "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect:worker-cleanup:*",
    "PREFECT_REDIS_MESSAGING_URL": "events",
    "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": "prefect:worker-cleanup:*",
    "PREFECT_SERVER_DOCKET_URL": "prefect-server:workers",
}


@pytest.mark.parametrize("on", ["SQLite", pytest.param(BOTH, marks=NOT_TYPED)] if MISSING else [BOTH])
def test_whoever_goes_to_azure_gets_by_with_what_its_guide_has_them_type(on: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path, "acme/models")
    repository.push({"README.md": "Ours."}, "Before there was a canary")
    door = free_port()
    own = {
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
        if AZ is None:
            reader.skip("az")
        else:
            give_the_role(reader, azure, identity, tmp_path)

        with prefect_on_both(reader) if on == BOTH else prefect_on_sqlite(reader, tmp_path) as api:
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
            with reader.beginning(work) as worker, reader.beginning(doors) as opening:
                worker.wait_until(lambda: online(api), 240)
                opening.wait_until(lambda: ready(door), 240)
                # As it does by itself within a minute.
                assert api.wait(api.start("guard/guard", {}))["state"]["type"] == "COMPLETED"
                told = reader.read()
                assert re.search(r"^\d+ checks: 0 failed", told, re.MULTILINE), told
                for about in ("azure", "guard", "git", "work pool", "webhook secrets"):
                    assert re.search(rf"^ok +{about}", told, re.MULTILINE), told


def give_the_role(reader: Reader, azure: RunningEmulator, identity: Mapping[str, str], folder: Path) -> None:
    """Make the role of the document's own file, and give it to the workers' identity; what Azure is asked for is what the file says."""
    [role] = [block.text for block in blocks("json") if block.where == "docs/azure.md" and "AssignableScopes" in block.text]
    for theirs, ours in identity.items():
        role = role.replace(theirs, ours)
    (reader.folder / "role.json").write_text(role)
    group = f"/subscriptions/{azure.subscription_id}/resourceGroups/{azure.resource_group}"
    workspace = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/{azure.workspace}"
    reader.own |= {"<identity>": azure.client_id, "<resource id of the workspace>": workspace}
    as_worker = reader.env
    with signed_in(azure, folder) as (roles, as_owner):
        reader.env = as_worker | as_owner
        reader.read()
        reader.env = as_worker
        *_, made = roles.of_kind("roleDefinitions")
        [given] = roles.of_kind("roleAssignments")
        said = json.loads(role)
        assert (made["roleName"], made["assignableScopes"]) == (said["Name"], [group])
        assert [(one["actions"], one["notActions"]) for one in made["permissions"]] == [(said["Actions"], said["NotActions"])]
        assert roles.kept[given["roleDefinitionId"]]["properties"] == made
        assert given["principalId"] == roles.principals[azure.client_id]
        assert [path for path in roles.kept if path.startswith(f"{workspace}/providers/Microsoft.Authorization/roleAssignments/")]


@contextmanager
def prefect_on_sqlite(reader: Reader, folder: Path) -> Iterator[PrefectApi]:
    """One server, whose PostgreSQL is SQLite; nobody types what is for several."""
    reader.own["postgresql+asyncpg://prefect:<password>@db.example.com/prefect"] = f"sqlite+aiosqlite:///{folder}/prefect.db"
    database, upgrade, server = reader.lines()
    reader.type(database, upgrade)
    with answering(reader, server) as api:
        assert "prefect_redis" in reader.next().text
        yield api


@contextmanager
def prefect_on_both(reader: Reader) -> Iterator[PrefectApi]:
    """One server, and after it two with the services apart; one of the two is used, and at the end all is where it has to be."""
    with running_postgres() as postgres, running_redis() as redis:
        reader.own |= {
            "<password>": postgres.password,
            "db.example.com": postgres.address,
            "redis.example.com": f"127.0.0.1:{redis.get_connection_kwargs()['port']}",
        }
        database, upgrade, server = reader.lines()
        reader.type(database, upgrade)
        with answering(reader, server):
            pass
        *settings, services, another = reader.lines()
        reader.type(*settings)
        with reader.beginning(services), answering(reader, another) as api, answering(reader, another) as other:
            yield api
            one_prefect(api, other, postgres)
            assert {line.removeprefix("export ").partition("=")[0] for line in settings} == set(LEFT_IN_REDIS)
            unused = [name for name, key in LEFT_IN_REDIS.items() if not redis.keys(key)]
            assert unused == [], redis.keys("*")


@contextmanager
def answering(reader: Reader, server: str) -> Iterator[PrefectApi]:
    """A Prefect server, begun as the document has it, on a port of its own."""
    port = free_port()
    reader.own[ON_ALL] = f"--host 127.0.0.1 --port {port}"
    api = PrefectApi(f"http://127.0.0.1:{port}/api")
    with reader.beginning(server) as going:
        going.wait_until(api.healthy, 120)
        yield api


def one_prefect(one: PrefectApi, other: PrefectApi, postgres: Postgres) -> None:
    """Both servers speak of one run, which PostgreSQL has, and of one lease."""
    [done, *_] = [run["id"] for run in one.runs("guard") if run["state"]["type"] == "COMPLETED"]
    assert other.run(done)["state"]["type"] == "COMPLETED"
    assert f"{done}|COMPLETED" in postgres.asked("SELECT id, state_type FROM flow_run")
    # Told by a server, written by the services: it went through Redis.
    event = f"prefect.flow-run.{done}|prefect.flow-run.Completed"
    wait_until(lambda: event in postgres.asked("SELECT resource_id, event FROM events"), "the services have written what they were told")

    one.call("POST", "/v2/concurrency_limits/", {"name": "seats", "limit": 1})
    lease = one.call("POST", "/v2/concurrency_limits/increment-with-lease", {"names": ["seats"], "slots": 1})["lease_id"]
    other.call("POST", f"/v2/concurrency_limits/leases/{lease}/renew", {"lease_duration": 60})


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
