"""What survives a restart with `--state DIR`: one JSON file, written whole after each change, beside the folder of blobs.

Kept are endpoints, deployments, assets, blobs' metadata, operations, keys, secrets, ports and the certificate authority. Not
kept: faults, pace, logs and counts, which are a test's; and processes, which are started anew (`deployments`). Each version is
written beside the file and moved into place, so a kill at any moment leaves the last one; nothing is synced for a power cut.
May import: `blobs`, `errors`, `settings`, `state`, `tls`, `wire`.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

from aml_emulator import tls
from aml_emulator.blobs import Blob, Blobs
from aml_emulator.errors import error_json
from aml_emulator.settings import Settings
from aml_emulator.state import Asset, Deployment, Endpoint, Operation, Store, SystemData, now
from aml_emulator.wire import Json

logger = logging.getLogger("aml_emulator.saved")
VERSION = 1
FILE = "state.json"
INTERRUPTED = "The emulator ended while this operation was under way. Nothing has changed; ask for it again."
ENDPOINT = ("name", "location", "properties", "tags", "identity", "kind", "ever_succeeded", "keys")
DEPLOYMENT = ("name", "endpoint", "location", "properties", "sku", "tags", "identity", "ever_succeeded")
OPERATION = ("id", "kind", "target", "started", "ended", "status", "error")
ASSET = ("kind", "name", "version", "properties")


class StateError(Exception):
    """The folder cannot be used: somebody else does, or what is in it cannot be read."""


class Saved:
    def __init__(self, settings: Settings, store: Store, blobs: Blobs):
        self.settings, self.store, self.blobs = settings, store, blobs
        self.folder = settings.state or settings.folder
        self.authority = tls.new_authority()
        # Held for as long as this process lives: the kernel lets go of it, however that ends.
        self._locks: list[int] = []
        self._writes = False

    # --- reading --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Takes the folders for this process; with `--state`, brings back what is in it."""
        # Two in one folder would delete each other's deployments.
        self._take(self.settings.folder, "dir.lock", "--dir")
        if self.settings.state is None:
            return
        self._take(self.folder, "lock", "--state")
        file = self.folder / FILE
        if file.exists():
            try:
                self._restore(json.loads(file.read_text()))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                text = f"{file} cannot be read ({error!r}): start with another --state, or delete that folder"
                raise StateError(text) from None
        self._writes = True

    def _take(self, folder: Path, name: str, option: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        self._locks.append(lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(f"another emulator uses {folder}: stop it, or start with another {option}") from None

    def close(self) -> None:
        while self._locks:
            os.close(self._locks.pop())

    def _restore(self, content: Json) -> None:
        if content["version"] != VERSION:
            raise ValueError(f"it has version {content['version']}, this emulator knows {VERSION}")
        settings = content["settings"]
        self.settings.client_secret, self.settings.signing_key = settings["client_secret"], bytes.fromhex(settings["signing_key"])
        self.settings.last_ports = settings["arm_port"], settings["scoring_port"]
        self.authority = settings["authority"]
        self.blobs.known.update({key: Blob(**fields) for key, fields in content["blobs"].items()})
        for fields in content["operations"]:
            self.store.keep_operation(Operation(**fields))
        for fields in content["assets"]:
            self.store.put_asset(Asset(**_with_system(fields)))
        self.store.containers.update(content.get("containers", {}))
        for fields in content["endpoints"]:
            deployments = fields.pop("deployments")
            endpoint = Endpoint(**self._with_operation(fields))
            self.store.endpoints[endpoint.name.lower()] = endpoint
            for one in deployments:
                deployment = Deployment(**self._with_operation(one))
                endpoint.deployments[deployment.name.lower()] = deployment
            # An endpoint that is being deleted makes its deployments busy too, without operations of their own.
            resources: list[Endpoint | Deployment] = [endpoint, *endpoint.deployments.values()]
            for resource in resources:
                if resource.busy:
                    resource.state = "Failed"
        for operation in self.store.operations.values():
            if operation.active:
                operation.status, operation.ended = "Failed", now()
                operation.error = error_json("OperationCanceled", INTERRUPTED)

    def _with_operation(self, fields: Json) -> Json:
        return _with_system(fields) | {"operation": self.store.operations.get((fields["operation"] or "").lower())}

    # --- writing --------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """After each change. Does nothing without `--state`, before `open` and after `freeze`."""
        if not self._writes:
            return
        partial = self.folder / f".{FILE}"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(self._content(), file, separators=(",", ":"))
            os.replace(partial, self.folder / FILE)
        except OSError as error:
            logger.error("%s was not written, so what changed just now would not survive a restart: %s", self.folder / FILE, error)

    def freeze(self) -> None:
        """What ends from here on ends because the emulator does, and is to be there again when it starts."""
        self._writes = False

    def _content(self) -> Json:
        s, store = self.settings, self.store
        settings: Json = {"client_secret": s.client_secret, "signing_key": s.signing_key.hex()}
        settings |= {"arm_port": s.arm_port, "scoring_port": s.scoring_port, "authority": self.authority}
        return {
            "version": VERSION,
            "settings": settings,
            "endpoints": [
                _resource(endpoint, ENDPOINT) | {"deployments": [_resource(one, DEPLOYMENT) for one in endpoint.deployments.values()]}
                for endpoint in store.endpoints.values()
            ],
            "assets": [
                _fields(asset, ASSET) | {"system": asdict(asset.system)} for kind in store.assets for asset in store.all_assets(kind)
            ],
            "containers": store.containers,
            "operations": [_fields(operation, OPERATION) for operation in store.operations.values()],
            "blobs": {key: asdict(blob) for key, blob in self.blobs.known.items()},
        }


def _with_system(fields: Json) -> Json:
    return fields | {"system": SystemData(**fields["system"])}


def _fields(record: object, names: tuple[str, ...]) -> Json:
    return {name: getattr(record, name) for name in names}


def _resource(resource: Endpoint | Deployment, names: tuple[str, ...]) -> Json:
    operation = resource.operation.id if resource.operation is not None else None
    state = resource.resumes_as if isinstance(resource, Deployment) and resource.resumes_as else resource.state
    return _fields(resource, names) | {"state": state, "operation": operation, "system": asdict(resource.system)}
