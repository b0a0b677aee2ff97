"""An emulator as a child process, for tests and demos: start it, talk to its test powers, stop it.

May import: the standard library; `azure` only inside `ml_client`, which needs it by its nature.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT = 30.0


class EmulatorError(Exception):
    """The emulator did not start, or refused a request to its test powers."""


class Faults:
    """Faults on the running emulator; see POST /_emulator/faults."""

    def __init__(self, emulator: RunningEmulator):
        self._emulator = emulator

    def add(self, on: str, **fields: Any) -> dict[str, Any]:
        """`add("endpoint.put", status=429, headers={"Retry-After": "1"}, count=2)`."""
        return self._emulator.call("POST", "faults", {"on": on, **fields})

    def list(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._emulator.call("GET", "faults")["faults"]
        return found

    def clear(self) -> None:
        self._emulator.call("DELETE", "faults")


class Requests:
    """The log of control-plane requests."""

    def __init__(self, emulator: RunningEmulator):
        self._emulator = emulator

    def list(self, operation: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        query = f"?since={since}" + (f"&operation={operation}" if operation else "")
        found: list[dict[str, Any]] = self._emulator.call("GET", f"requests{query}")["requests"]
        return found

    def clear(self) -> None:
        self._emulator.call("DELETE", "requests")


@dataclass
class RunningEmulator:
    """The facts of the ready file as attributes, and the test powers as methods."""

    pid: int
    arm_url: str
    scoring_url: str
    ca_bundle: str
    subscription_id: str
    resource_group: str
    workspace: str
    location: str
    tenant_id: str
    client_id: str
    client_secret: str
    authority_host: str
    cloud_name: str
    cloud_metadata: dict[str, str]

    @classmethod
    def from_file(cls, path: Path) -> RunningEmulator:
        return cls(**json.loads(path.read_text()))

    def __post_init__(self) -> None:
        self.faults, self.requests = Faults(self), Requests(self)
        self._tls: ssl.SSLContext | None = None

    def env(self) -> dict[str, str]:
        """What makes any script that uses azure-ai-ml and azure-identity talk to this emulator."""
        return {
            "AZURE_TENANT_ID": self.tenant_id,
            "AZURE_CLIENT_ID": self.client_id,
            "AZURE_CLIENT_SECRET": self.client_secret,
            "AZURE_AUTHORITY_HOST": self.authority_host,
            "REQUESTS_CA_BUNDLE": self.ca_bundle,
            "SSL_CERT_FILE": self.ca_bundle,
            "AZUREML_DEV_URL_MFE": self.arm_url,
            "AZURE_SUBSCRIPTION_ID": self.subscription_id,
            "AZURE_RESOURCE_GROUP": self.resource_group,
            "AZUREML_WORKSPACE_NAME": self.workspace,
        }

    def exports(self) -> dict[str, str]:
        """`env()`, and a managed identity: a plain `DefaultAzureCredential()` would ask Microsoft about our authority."""
        managed = {"IDENTITY_ENDPOINT": f"{self.arm_url}/msi/token", "IDENTITY_HEADER": "aml-emulator"}
        return self.env() | managed | {"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}

    def credential(self) -> Any:
        """Microsoft's own client-secret credential against the emulator's token route."""
        from azure.identity import ClientSecretCredential

        return ClientSecretCredential(
            self.tenant_id,
            self.client_id,
            self.client_secret,
            authority=self.authority_host.removeprefix("https://"),
            disable_instance_discovery=True,
            connection_verify=self.ca_bundle,
        )

    def ml_client(self, **options: Any) -> Any:
        """Microsoft's unmodified client. Uploads also need REQUESTS_CA_BUNDLE in the environment: see `env()`."""
        from azure.ai.ml import MLClient

        return MLClient(
            self.credential(),
            self.subscription_id,
            self.resource_group,
            self.workspace,
            cloud=self.cloud_name,
            cloud_metadata=self.cloud_metadata,
            connection_verify=self.ca_bundle,
            **options,
        )

    # --- test powers ----------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self.ca_bundle)
        data = None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPSConnection(self.arm_url.removeprefix("https://"), context=self._tls, timeout=60)
        try:
            connection.request(method, f"/_emulator/{path}", data)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise EmulatorError(f"{method} {path}: {response.status} {text.decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(text) if text else {}
        return answer

    def reset(self) -> None:
        self.call("POST", "reset")

    def stats(self) -> dict[str, Any]:
        return self.call("GET", "stats")

    def pace(self, transitions: dict[str, Any] | None = None, pace: str | None = None) -> dict[str, Any]:
        """`pace({"endpoint.update": {"reads": 3}, "deployment.*": "at_once"})`."""
        body: dict[str, Any] = {} if pace is None else {"pace": pace}
        return self.call("POST", "pace", body | ({"transitions": transitions} if transitions else {}))

    def processes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", "processes")["processes"]
        return found

    def kill(self, endpoint: str, deployment: str) -> dict[str, Any]:
        """Kills one scoring process of the deployment."""
        return self.call("POST", "kill", {"endpoint": endpoint, "deployment": deployment})


@contextlib.contextmanager
def running_emulator(folder: Path, *arguments: str) -> Iterator[RunningEmulator]:
    """An emulator for the length of a `with` block. `arguments` are those of `aml-emulator start`.

    The child's standard input is a pipe that only we hold, so it also ends when this process is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "aml_emulator.cli", "start", "--dir", str(folder), "--until-stdin-closes"]
    command += arguments
    with (folder / "emulator.log").open("ab") as log:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not ready.exists():
            if child.poll() is not None or time.monotonic() > deadline:
                raise EmulatorError(f"the emulator did not start: {(folder / 'emulator.log').read_text()[-2000:]}")
            time.sleep(0.02)
        yield RunningEmulator.from_file(ready)
    finally:
        child.terminate()
        try:
            child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdin is not None:
            child.stdin.close()
