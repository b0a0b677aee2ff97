"""Long-running operations: begun by a write, watched through a status URL, ended by work, pace and faults.

Not here: what the work is. May import: `errors`, `faults`, `pace`, `settings`, `state`, `wire`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aml_emulator.errors import AzureError, OperationFailedError, error_json
from aml_emulator.faults import Fault
from aml_emulator.pace import Pace
from aml_emulator.settings import Settings
from aml_emulator.state import Operation, Store, now
from aml_emulator.wire import Json, Reply, Request

logger = logging.getLogger("aml_emulator.operations")
API = "2022-02-01-preview"


class Operations:
    def __init__(self, settings: Settings, store: Store, pace: Pace):
        self.settings, self.store, self.pace = settings, store, pace
        # Called when an operation has ended, before anybody can see that it has.
        self.on_end: Callable[[], None] = lambda: None

    def begin(
        self,
        operation: Operation,
        work: Callable[[], Awaitable[None]] | None,
        succeed: Callable[[], None],
        fail: Callable[[], None],
        fault: Fault | None = None,
    ) -> asyncio.Task[None]:
        operation.task = asyncio.get_running_loop().create_task(self._run(operation, work, succeed, fail, fault))
        return operation.task

    async def _run(
        self,
        operation: Operation,
        work: Callable[[], Awaitable[None]] | None,
        succeed: Callable[[], None],
        fail: Callable[[], None],
        fault: Fault | None,
    ) -> None:
        try:
            if fault is not None and fault.never_ends:
                await asyncio.Event().wait()
            if fault is not None and fault.failure is not None:
                await self.pace.wait(operation)
                raise OperationFailedError(*fault.failure)
            if work is not None:
                await work()
            await self.pace.wait(operation)
            succeed()
            operation.status = "Succeeded"
        except OperationFailedError as failure:
            fail()
            operation.status, operation.error = "Failed", error_json(failure.code, failure.message)
        except asyncio.CancelledError:
            operation.status = "Canceled"
            raise
        except Exception as error:
            logger.exception("operation %s", operation.kind)
            fail()
            operation.status, operation.error = "Failed", error_json("InternalServerError", repr(error))
        finally:
            operation.ended = now()
            self.on_end()

    def url(self, operation: Operation, leaf: str = "mfeOperationsStatus") -> str:
        s = self.settings
        return (
            f"{s.arm_url}/subscriptions/{s.subscription_id}/providers/Microsoft.MachineLearningServices"
            f"/locations/{s.location}/{leaf}/{operation.id}?api-version={API}"
        )

    def headers(self, operation: Operation, location: str) -> dict[str, str]:
        return {
            "Azure-AsyncOperation": self.url(operation),
            "Location": location,
            "x-ms-async-operation-timeout": "PT30M",
            **self.pace.hint,
        }

    def accepted(self, operation: Operation) -> Reply:
        """The answer to a DELETE, PATCH or POST that goes on in the background."""
        return Reply(202, b"null", self.headers(operation, self.url(operation, "mfeOperationResults")))

    def _find(self, request: Request) -> Operation:
        operation = self.store.operations.get(request.params["operation"].lower())
        if operation is None:
            raise AzureError(404, "NotFound", f"Operation {request.params['operation']} was not found.")
        return operation

    async def status(self, request: Request) -> Reply:
        operation = self._find(request)
        body = self.json(operation)
        operation.reads += 1
        operation.read.set()
        return Reply(200, body, self.pace.hint if operation.active else {})

    async def result(self, request: Request) -> Reply:
        operation = self._find(request)
        if operation.active:
            return Reply(202, b"null", {"Location": self.url(operation, "mfeOperationResults"), **self.pace.hint})
        if operation.error is not None:
            return Reply(400, {"error": operation.error})
        return Reply(200, b"null")

    def json(self, operation: Operation) -> Json:
        body: Json = {
            "id": self.url(operation).removeprefix(self.settings.arm_url).split("?")[0],
            "name": operation.id,
            "startTime": operation.started,
            "endTime": operation.ended,
            "percentComplete": 0.0 if operation.active else 100.0,
            "status": operation.status,
        }
        if operation.error is not None:
            body["error"] = operation.error
        return body
