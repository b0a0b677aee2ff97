"""Everything a rollout needs, on this machine's loopback: emulator, Prefect server and worker, deployments, the webhook door.

Real programs, each a process of its own; nothing is faked but Azure, and that by the emulator. The tests stand on this too.
May import the standard library, requests, `aml_emulator.process` and this package.
"""

import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

from aml_emulator.process import RunningEmulator, running_emulator
from examples.demo.prefect_api import PrefectApi
from examples.demo.processes import Process
from examples.demo.traffic import SteadyTraffic

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
POOL = "rollouts"


@dataclass
class Stack:
    """What runs, and how to reach it. `env` is what every process of ours is given."""

    folder: Path
    emulator: RunningEmulator
    prefect: PrefectApi
    env: dict[str, str]
    webhook_secret: str
    processes: dict[str, Process] = field(default_factory=dict)
    door: str = ""

    def start_worker(self) -> None:
        """Start the worker of the rollouts pool."""
        command = [str(BIN / "prefect"), "worker", "start", "--pool", POOL, "--name", "worker", "--with-healthcheck"]
        port = free_port()
        env = {**self.env, "PREFECT_WORKER_WEBSERVER_PORT": str(port), "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1"}
        worker = Process("worker", command, env, self.folder / "logs" / "worker.log", cwd=self.folder)
        self.processes["worker"] = worker
        worker.wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), 120)

    def start_door(self) -> None:
        """Start the webhook door."""
        port = free_port()
        command = [str(BIN / "aml-canary"), "serve-webhooks", "--port", str(port)]
        door = Process("door", command, self.env, self.folder / "logs" / "door.log", cwd=self.folder)
        self.processes["door"] = door
        self.door = f"http://127.0.0.1:{port}"
        door.wait_until(lambda: _answers(f"{self.door}/healthz"), 120)

    def stop(self) -> None:
        """Stop every process, the last one first."""
        for process in reversed(self.processes.values()):
            process.stop()

    def traffic(self, endpoint: str) -> dict[str, int]:
        """The live weights of an endpoint, as Azure's SDK shows them; without zeros. Empty where there is no endpoint."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            shown = self.azure.online_endpoints.get(endpoint).traffic
        except ResourceNotFoundError:
            return {}
        return {name: weight for name, weight in sorted(shown.items()) if weight}

    @cached_property
    def azure(self) -> Any:
        """Microsoft's own client, for looking at what a rollout did, and for being somebody else who does things."""
        return self.emulator.ml_client()

    @contextmanager
    def steady_traffic(self, endpoint: str, rate: float = 50.0) -> Iterator[SteadyTraffic]:
        """Requests to an endpoint, `rate` a second, for the length of a block."""
        uri = self.azure.online_endpoints.get(endpoint).scoring_uri
        keys = self.azure.online_endpoints.get_keys(endpoint)
        access = getattr(keys, "primary_key", None) or keys.access_token
        body = (ROOT / "examples" / "manifests" / "sample-request.json").read_bytes()
        traffic = SteadyTraffic(uri, access, body, rate).start()
        try:
            yield traffic
        finally:
            traffic.stop()

    def begin_runs_by(self, command: str) -> None:
        """From now on the worker begins each run by this command."""
        for found in self.prefect.call("POST", "/deployments/filter", {}):
            self.prefect.call("PATCH", f"/deployments/{found['id']}", {"job_variables": {"command": command}})

    def clear_schedules(self) -> None:
        """Take the deployments' schedules away, for whoever starts the runs themselves."""
        for name in ("guard/guard", "sync/sync"):
            found = self.prefect.deployment(name)
            for schedule in found["schedules"]:
                self.prefect.call("DELETE", f"/deployments/{found['id']}/schedules/{schedule['id']}")


@contextmanager
def running_stack(folder: Path, cache: Path, repositories: Mapping[str, str], *, prefect_port: int = 0) -> Iterator[Stack]:
    """Start emulator, Prefect server, deployments and worker; stop them all at the end.

    `repositories` are those to follow, name to URL. `folder` gets the state and logs of this run. `cache` keeps an empty
    Prefect database between runs, because making one takes longer than everything else.
    """
    azure_log(folder).parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        emulator = stack.enter_context(running_emulator(folder / "emulator", "--answers", str(azure_log(folder))))
        port = prefect_port or free_port()
        api = PrefectApi(f"http://127.0.0.1:{port}/api")
        secret = secrets.token_hex(16)
        ours = {"AML_CANARY_REPOSITORIES": json.dumps(dict(repositories)), "AML_CANARY_WEBHOOK_SECRETS": json.dumps([secret])}
        env = environment(folder, emulator, api.url) | ours
        made = Stack(folder, emulator, api, env, webhook_secret=secret)
        stack.callback(made.stop)
        made.processes["prefect"] = start_prefect(folder, cache, api, env, port)
        # Here and not by the worker, which says that it is well before its pool is there.
        api.call("POST", "/work_pools/", {"name": POOL, "type": "process"})
        made.start_worker()
        deploy_all(env)
        # A run begins sooner like this (docs/azure.md says why).
        made.begin_runs_by(f"{sys.executable} -m flows")
        yield made


def azure_log(folder: Path) -> Path:
    """Where each answer of Azure's stand-in about online endpoints is written down, a JSON line each."""
    return folder / "logs" / "azure.jsonl"


def deploy_all(env: Mapping[str, str]) -> None:
    """Create the deployments of prefect.yaml; once more where Prefect's SQLite had too much to do. Raises RuntimeError."""
    command = [str(BIN / "prefect"), "--no-prompt", "deploy", "--all", "--prefect-file", str(ROOT / "prefect.yaml")]
    for _ in range(3):
        done = subprocess.run(command, env=env, cwd=ROOT, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if not done.returncode:
            return
    raise RuntimeError(f"prefect deploy failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def start_prefect(folder: Path, cache: Path, api: PrefectApi, env: Mapping[str, str], port: int) -> Process:
    """Start a Prefect server on a database that is empty and ready."""
    import prefect

    home = Path(env["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    empty = cache / f"prefect-{prefect.__version__}.db"
    if empty.exists():
        shutil.copy(empty, home / "prefect.db")
    command = [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]

    def start() -> Process:
        server = Process("prefect", command, env, folder / "logs" / "prefect.log", cwd=folder)
        server.wait_until(api.healthy, 120)
        return server

    server = start()
    if not empty.exists():
        server.stop()
        cache.mkdir(parents=True, exist_ok=True)
        shutil.copy(home / "prefect.db", empty.with_suffix(".part"))
        empty.with_suffix(".part").rename(empty)
        server = start()
    return server


def environment(folder: Path, emulator: RunningEmulator, api_url: str) -> dict[str, str]:
    """What our processes see: nothing of the caller's Prefect, Azure or aml-canary settings, all of the stack's."""
    return {
        **without_settings(os.environ),
        **{name: value for name, value in emulator.env().items() if name != "AZUREML_DEV_URL_MFE"},
        "AML_CANARY_SUBSCRIPTION_ID": emulator.subscription_id,
        "AML_CANARY_RESOURCE_GROUP": emulator.resource_group,
        "AML_CANARY_WORKSPACE": emulator.workspace,
        "AML_CANARY_CLOUD_NAME": emulator.cloud_name,
        "AML_CANARY_CLOUD_METADATA": json.dumps(emulator.cloud_metadata),
        "AML_CANARY_HOME": str(folder / "home"),
        "AML_CANARY_RETRY_DELAY_SECONDS": "0.5",
        # A minute is whole here as soon as it is over; on Azure, three minutes later.
        "AML_CANARY_METRICS_LAG_MINUTES": "0",
        "AML_CANARY_FUNCTIONS": '["examples.quality"]',
        # The shortest there are, so that a lost machine is noticed within two minutes.
        "AML_CANARY_SILENCE_SECONDS": "95",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_PROFILES_PATH": str(folder / "prefect" / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
    }


_SETTINGS = ("PREFECT_", "AZURE", "AML_CANARY_", "IDENTITY_", "ARM_")


def without_settings(env: Mapping[str, str]) -> dict[str, str]:
    """An environment without what would point Prefect, Azure's SDK or us elsewhere than the stack."""
    return {name: value for name, value in env.items() if not name.startswith(_SETTINGS)}


def exports(env: Mapping[str, str]) -> str:
    """What has a shell speak to the stack as its worker does, with our commands found: lines for the shell to read. They hold secrets."""
    kept = {name: value for name, value in env.items() if name.startswith((*_SETTINGS, "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(kept.items())]
    # What the shell was told before may point elsewhere: a key of Prefect's cloud, the cloud that Azure's SDK was used with last.
    theirs = f"env | sed -nE 's/^(({'|'.join(_SETTINGS)})[A-Za-z0-9_]*)=.*/\\1/p'"
    forget = f'for name in $({theirs}); do unset "$name"; done\n'
    return "".join([forget, *lines, f'export PATH={shlex.quote(str(BIN))}:"$PATH"\n'])


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has, and that stays free until somebody asks for it by number.

    The system gives each outgoing connection a port, too, and keeps it for a minute after; from 32768 on, or higher, unless told otherwise.
    """
    for port in secrets.SystemRandom().sample(range(16384, 32768), 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port of 127.0.0.1 is free")


def is_free(port: int) -> bool:
    """Whether nobody listens on the TCP port of 127.0.0.1."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) != 0


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
