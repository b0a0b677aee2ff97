"""Another writer, for tests of lost updates: a person or pipeline whose PUT lands around one of ours.

Its writes go through the same handler and the same rules as anybody's, and are in the log with `"foreign": true`.
Not here: which requests they land around (`faults`). May import: `context`, `errors`, `routes`, `wire`.
"""

from __future__ import annotations

import asyncio
import json

from aml_emulator.context import Context
from aml_emulator.errors import AzureError
from aml_emulator.routes import Router
from aml_emulator.state import Endpoint
from aml_emulator.wire import Json, MalformedBodyError, Request

PROPERTIES = ("traffic", "mirrorTraffic", "description")


class ForeignWriter:
    def __init__(self, context: Context, router: Router):
        self.context, self.router = context, router
        self._later: set[asyncio.Task[None]] = set()

    async def write(self, request: Request, change: Json) -> tuple[Request, int] | None:
        """The PUT and its status, once it is in force; None where there is no such endpoint."""
        endpoint = self._endpoint(request)
        if endpoint is None:
            return None
        body = _body(endpoint, change)
        path = f"{self.context.settings.workspace_id}/onlineEndpoints/{endpoint.name}"
        match = self.router.match("PUT", path)
        assert match is not None  # noqa: S101  the route table has it
        put = Request("PUT", path, {}, {}, _nothing, match.params, match.operation.name, json.dumps(body).encode())
        put.notes["foreign"] = True
        try:
            status = (await match.handler(put)).status
        except AzureError as error:
            status = error.status
        except MalformedBodyError:
            status = 400
        if status < 300 and endpoint.operation is not None and endpoint.operation.task is not None:
            await asyncio.wait({endpoint.operation.task})
        return put, status

    def _endpoint(self, request: Request) -> Endpoint | None:
        return self.context.store.endpoint(request.params.get("endpoint", ""))

    async def ended(self, request: Request) -> None:
        """Waits until what this request began has ended, so that the foreign write comes after it and not into it."""
        endpoint = self._endpoint(request)
        if endpoint is not None and endpoint.operation is not None and endpoint.operation.task is not None:
            await asyncio.wait({endpoint.operation.task})

    def later(self, task: asyncio.Task[None]) -> None:
        self._later.add(task)
        task.add_done_callback(self._later.discard)


def _body(endpoint: Endpoint, change: Json) -> Json:
    properties = {**endpoint.properties, **{key: change[key] for key in PROPERTIES if key in change}}
    tags = change.get("tags", endpoint.tags)
    return {"location": endpoint.location, "identity": endpoint.identity, "tags": tags, "properties": properties}


async def _nothing() -> None:
    return None
