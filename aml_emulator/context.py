"""What the handlers of the control plane share.

May import: `faults`, `identity`, `operations`, `routing`, `settings`, `state`, `wire`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from aml_emulator.blobs import Blobs
from aml_emulator.environments import Provider
from aml_emulator.faults import Fault, Faults
from aml_emulator.identity import Identity
from aml_emulator.operations import Operations
from aml_emulator.routing import Routing
from aml_emulator.settings import Settings
from aml_emulator.state import Deployment, Endpoint, Store, now
from aml_emulator.wire import Json, Request

PAGE = 100


@dataclass(slots=True)
class Context:
    settings: Settings
    store: Store
    operations: Operations
    faults: Faults
    identity: Identity
    blobs: Blobs
    routing: Routing
    environments: Provider

    def outcome_fault(self, request: Request) -> Fault | None:
        """A fault that changes how this accepted write goes on, if a test asked for one."""
        fault = self.faults.take(request.operation, resource_names(request), outcome=True)
        if fault is not None:
            request.notes["fault"] = fault.id
        return fault

    def in_force(self, endpoint: Endpoint, changed: Endpoint | Deployment, before: Json, fault: Fault | None) -> None:
        """The end of a write that succeeded: what it changed is an endpoint, or a deployment of one."""
        changed.state, changed.ever_succeeded = "Succeeded", True
        changed.system.modified_at = now()
        self.routing.publish(endpoint)
        if fault is not None and fault.stale_reads:
            changed.stale = [before] * fault.stale_reads

    def page(self, request: Request, items: list[Json]) -> Json:
        """One page of a list, with Azure's nextLink when there is more.

        `count` is the size of a page; `$top`, where the client gives it, bounds the whole list.
        """
        start = request.number("$skip", 0)
        items = items[: max(1, request.number("$top", len(items) or 1))]
        end = start + max(1, min(PAGE, request.number("count", PAGE)))
        page: Json = {"value": items[start:end]}
        if end < len(items):
            query = {**request.query, "$skip": str(end)}
            page["nextLink"] = f"{self.settings.arm_url}{request.path}?{urlencode(query)}"
        return page


def resource_names(request: Request) -> tuple[str, ...]:
    """The names a fault may be aimed at: the deployment, the endpoint, or any other named resource."""
    return tuple(value.lower() for key, value in request.params.items() if key in ("endpoint", "deployment", "name"))
