"""One emulator, put together: both doors, state, processes; started, announced in a ready file, stopped.

May import: everything of the emulator but `cli`, `process` and `pytest_plugin`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import uvicorn

from aml_emulator import environments, tls
from aml_emulator.arm import Arm, Log
from aml_emulator.assets import Assets
from aml_emulator.blobs import Blobs
from aml_emulator.connections import Bounded
from aml_emulator.context import Context
from aml_emulator.deployments import Deployments
from aml_emulator.door import Door
from aml_emulator.endpoints import Endpoints
from aml_emulator.faults import Faults
from aml_emulator.identity import Identity
from aml_emulator.monitor import Monitor
from aml_emulator.operations import Operations
from aml_emulator.pace import Pace
from aml_emulator.page import Page
from aml_emulator.powers import Powers
from aml_emulator.routes import OPERATIONS, Handler, Router
from aml_emulator.routing import Routing
from aml_emulator.saved import Saved
from aml_emulator.scoring import Scoring
from aml_emulator.settings import Settings
from aml_emulator.state import Store
from aml_emulator.stats import Stats
from aml_emulator.wire import Json

logger = logging.getLogger("aml_emulator")
READY_FILE = "ready.json"
# Seconds that a start waits for deployments of the last run to come up again, before it says that it is up.
RESUME_PATIENCE = 20.0


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are the command line's: uvicorn would raise them again before our processes are stopped.
        yield


class Emulator:
    def __init__(self, settings: Settings):
        self.settings = settings
        store, stats = Store(), Stats()
        faults = Faults(operation.name for operation in OPERATIONS if not operation.name.startswith("emulator."))
        identity, blobs = Identity(settings), Blobs(settings)
        operations = Operations(settings, store, Pace.named(settings.pace))
        routing = Routing(identity)
        provider = environments.provider(settings.environments, settings.environment_cache or settings.folder / "environments")
        self.context = Context(settings, store, operations, faults, identity, blobs, routing, provider)
        self.log = Log()
        self.powers = Powers(self.context, self.log, stats)
        self.page = Page(self.context, self.log, stats)
        self.door = Door(Scoring(routing, stats, faults))
        self.saved = Saved(settings, store, blobs)
        operations.on_end = self.saved.write
        self.endpoints = Endpoints(self.context)
        self.deployments = Deployments(self.context, self.endpoints)
        self.arm = Arm(self.context, Router(self._handlers()), self.log, self.saved)
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    def _handlers(self) -> dict[str, Handler]:
        context = self.context
        endpoints, deployments, operations, identity = self.endpoints, self.deployments, context.operations, context.identity
        assets = Assets(context)
        powers, blobs, monitor = self.powers, context.blobs, Monitor(context, self.powers.stats)
        return {
            "endpoint.list": endpoints.list,
            "endpoint.put": endpoints.put,
            "endpoint.get": endpoints.get,
            "endpoint.patch": endpoints.patch,
            "endpoint.delete": endpoints.delete,
            "endpoint.list_keys": endpoints.list_keys,
            "endpoint.regenerate_keys": endpoints.regenerate_keys,
            "endpoint.token": endpoints.token,
            "deployment.list": deployments.list,
            "deployment.put": deployments.put,
            "deployment.get": deployments.get,
            "deployment.patch": deployments.patch,
            "deployment.delete": deployments.delete,
            "deployment.get_logs": deployments.logs,
            "deployment.skus": deployments.skus,
            "endpoint.metrics": monitor.get,
            "deployment.metrics": monitor.get,
            "metrics.batch": monitor.batch,
            "operation.get": operations.status,
            "operation.result": operations.result,
            "subscription.list": identity.subscriptions,
            "workspace.get": assets.workspace,
            "datastore.list": assets.list_datastores,
            "datastore.get": assets.get_datastore,
            "datastore.list_secrets": assets.datastore_secrets,
            "code.start_pending_upload": assets.pending_upload,
            "asset.list": assets.list_containers,
            "asset.get": assets.get_container,
            "asset.put": assets.put_container,
            "asset.list_versions": assets.list_versions,
            "asset.get_version": assets.get_version,
            "asset.put_version": assets.put_version,
            "blob.list": blobs.handle,
            "blob.head": blobs.handle,
            "blob.get": blobs.handle,
            "blob.put": blobs.handle,
            "identity.discovery": identity.discovery,
            "identity.token": identity.token,
            "identity.managed": identity.managed_identity,
            "identity.clouds": identity.clouds,
            "emulator.page": self.page.html,
            "emulator.overview": self.page.overview,
            "emulator.health": powers.health,
            "emulator.requests": powers.requests,
            "emulator.clear_requests": powers.clear_requests,
            "emulator.stats": powers.get_stats,
            "emulator.clear_stats": powers.clear_stats,
            "emulator.scoring_log": powers.scoring_log,
            "emulator.minutes": powers.minutes,
            "emulator.faults": powers.faults,
            "emulator.add_fault": powers.add_fault,
            "emulator.clear_faults": powers.clear_faults,
            "emulator.remove_fault": powers.remove_fault,
            "emulator.pace": powers.pace,
            "emulator.set_pace": powers.set_pace,
            "emulator.processes": powers.processes,
            "emulator.kill": powers.kill,
            "emulator.reset": powers.reset,
        }

    async def start(self) -> None:
        """Returns when both doors are open, and what `--state` kept is back."""
        settings = self.settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.saved.open()
        self.context.blobs.forget_unknown()
        shutil.rmtree(settings.folder / "deployments", ignore_errors=True)
        context = tls.make_bundle(settings.folder, self.saved.authority)
        # With the protocol named, asyncio turns Nagle's algorithm off; without, each answer would wait 40 ms for an ACK.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        _bind(listener, settings.arm_port, settings.last_ports[0])
        listener.listen(512)
        settings.arm_port = listener.getsockname()[1]
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        _bind(door, settings.scoring_port, settings.last_ports[1])
        settings.scoring_port = await self.door.start(door)
        bounded = cast(Any, functools.partial(Bounded, patience=settings.patience))
        config = uvicorn.Config(
            self.arm, http=bounded, loop="none", lifespan="off", ws="none", log_config=None, access_log=False,
            log_level="warning", server_header=False, proxy_headers=False, timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        config.load()
        config.ssl = context
        self._server = _Uvicorn(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise RuntimeError("the control plane did not start")
            await asyncio.sleep(0.005)
        self.saved.write()
        if resuming := self.deployments.resume():
            await asyncio.wait(resuming, timeout=RESUME_PATIENCE)

    async def stop(self) -> None:
        self.saved.freeze()
        await self.door.stop()
        await self.powers.end_all()
        if self.settings.state is None:
            self.context.blobs.clear()
        if self._server is not None and self._serving is not None:
            # Clients keep their connections open; there is nothing left that they could be waiting for.
            self._server.should_exit = self._server.force_exit = True
            await self._serving
        self.saved.close()

    def facts(self) -> Json:
        """The content of the ready file: all that a client needs to know."""
        s = self.settings
        return {
            "pid": os.getpid(),
            "arm_url": s.arm_url,
            "scoring_url": s.scoring_url,
            "ca_bundle": str((s.folder / "ca-bundle.pem").resolve()),
            "subscription_id": s.subscription_id,
            "resource_group": s.resource_group,
            "workspace": s.workspace,
            "location": s.location,
            "tenant_id": s.tenant_id,
            "client_id": s.client_id,
            "client_secret": s.client_secret,
            "authority_host": s.authority_host,
            "cloud_name": s.cloud_name,
            "cloud_metadata": s.cloud_metadata,
        }

    def announce(self, path: Path) -> None:
        """Written beside and moved into place, so that a reader never sees half of it; it holds a secret."""
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self.facts(), file, indent=2)
            file.write("\n")
        os.replace(partial, path)


def _bind(listener: socket.socket, wanted: int, last: int) -> None:
    """To the port that was asked for, else to the last run's, else to any."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", wanted or last))
    except OSError as error:
        if wanted or not last:
            raise OSError(error.errno, f"port {wanted} of 127.0.0.1: {error.strerror}") from None
        logger.warning("port %d of the last run is in use: taking another one, so the addresses change", last)
        listener.bind(("127.0.0.1", 0))
