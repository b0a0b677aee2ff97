"""What exists: endpoints, deployments, assets, operations. Records and lookups, no rules, no processes.

Azure's names are case-insensitive: every key here is lower case, and every record keeps the spelling it was made with.
May import: `settings`, `wire`.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aml_emulator.wire import Json

# Writes to a resource in one of these are refused until the operation that put it there has ended.
BUSY = ("Creating", "Updating", "Scaling", "Deleting")
# Operations that are remembered; a forgotten emulator must not grow without end.
MAX_OPERATIONS = 500
ZERO_TIME = "0001-01-01T00:00:00+00:00"


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass(slots=True)
class SystemData:
    created_at: str = field(default_factory=now)
    modified_at: str = ""

    @property
    def modified(self) -> str:
        return self.modified_at or self.created_at

    def json(self) -> Json:
        return {
            "createdBy": "aml-emulator",
            "createdByType": "Application",
            "createdAt": self.created_at,
            "lastModifiedBy": "aml-emulator",
            "lastModifiedByType": "Application",
            "lastModifiedAt": self.modified,
        }


@dataclass(slots=True)
class Operation:
    """One long-running operation, as its status URL shows it."""

    id: str
    kind: str
    target: str
    started: str = field(default_factory=now)
    ended: str = ZERO_TIME
    status: str = "Updating"
    error: Json | None = None
    reads: int = 0
    read: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        return self.status == "Updating"


@dataclass(slots=True)
class Deployment:
    name: str
    endpoint: str
    location: str
    properties: Json
    sku: Json
    tags: Json
    identity: Json | None = None
    state: str = "Creating"
    # Azure never lets a deployment that failed its first provisioning be updated.
    ever_succeeded: bool = False
    system: SystemData = field(default_factory=SystemData)
    operation: Operation | None = None
    runtime: Any = None
    # While its processes are started again after a restart: the state it comes back to.
    resumes_as: str = ""
    # Answers to the next reads after a write, when a fault asked for stale ones.
    stale: list[Json] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        return self.state in BUSY

    @property
    def capacity(self) -> int:
        return int(self.sku.get("capacity", 1))


@dataclass(slots=True)
class Endpoint:
    name: str
    location: str
    properties: Json
    tags: Json
    identity: Json
    kind: str = "Managed"
    state: str = "Creating"
    ever_succeeded: bool = False
    system: SystemData = field(default_factory=SystemData)
    operation: Operation | None = None
    deployments: dict[str, Deployment] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=lambda: {"Primary": new_key(), "Secondary": new_key()})
    stale: list[Json] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        return self.state in BUSY

    @property
    def traffic(self) -> dict[str, int]:
        return {k.lower(): int(v) for k, v in (self.properties.get("traffic") or {}).items()}

    @property
    def mirror(self) -> dict[str, int]:
        return {k.lower(): int(v) for k, v in (self.properties.get("mirrorTraffic") or {}).items()}


@dataclass(slots=True)
class Asset:
    """One version of a code, model or environment."""

    kind: str
    name: str
    version: str
    properties: Json
    system: SystemData = field(default_factory=SystemData)

    @property
    def hash(self) -> str | None:
        return (self.properties.get("properties") or {}).get("hash_sha256")


def new_key() -> str:
    return secrets.token_urlsafe(24)


@dataclass(slots=True)
class Store:
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    assets: dict[str, dict[str, dict[str, Asset]]] = field(default_factory=dict)
    # What is said of all versions of an asset together, by kind and name.
    containers: dict[str, dict[str, Json]] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)

    def endpoint(self, name: str) -> Endpoint | None:
        return self.endpoints.get(name.lower())

    def versions(self, kind: str, name: str) -> list[Asset]:
        """Oldest first."""
        return list(self.assets.get(kind, {}).get(name.lower(), {}).values())

    def asset(self, kind: str, name: str, version: str) -> Asset | None:
        return self.assets.get(kind, {}).get(name.lower(), {}).get(version.lower())

    def put_asset(self, asset: Asset) -> bool:
        """True when it is new."""
        known = self.assets.setdefault(asset.kind, {}).setdefault(asset.name.lower(), {})
        new = asset.version.lower() not in known
        known[asset.version.lower()] = asset
        return new

    def container(self, kind: str, name: str) -> Json:
        return self.containers.get(kind, {}).get(name.lower(), {})

    def put_container(self, kind: str, name: str, properties: Json) -> None:
        self.containers.setdefault(kind, {})[name.lower()] = properties

    def all_assets(self, kind: str) -> Iterator[Asset]:
        for versions in self.assets.get(kind, {}).values():
            yield from versions.values()

    def new_operation(self, kind: str, target: str, prefix: str) -> Operation:
        operation = Operation(f"{prefix}:{uuid.uuid4()}:{uuid.uuid4()}", kind, target)
        self.keep_operation(operation)
        return operation

    def keep_operation(self, operation: Operation) -> None:
        self.operations[operation.id.lower()] = operation
        if len(self.operations) > MAX_OPERATIONS:
            oldest = next((key for key, one in self.operations.items() if not one.active), None)
            self.operations.pop(oldest or "", None)

    def clear(self) -> None:
        self.endpoints.clear()
        self.assets.clear()
        self.containers.clear()
        self.operations.clear()
