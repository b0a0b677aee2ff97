"""The ASGI application of the control plane: route, authenticate, inject faults, log, answer.

Not here: what operations do. May import: `routes`, `errors`, `faults`, `foreign`, `identity`, `instances`, `saved`, `wire`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import uuid
from collections import deque
from pathlib import Path
from typing import Any

from aml_emulator import errors, instances
from aml_emulator.blobs import ACCOUNT
from aml_emulator.context import Context, resource_names
from aml_emulator.errors import AzureError
from aml_emulator.foreign import ForeignWriter
from aml_emulator.routes import OPEN, Match, Router
from aml_emulator.saved import Saved
from aml_emulator.wire import BodyTooLargeError, Json, MalformedBodyError, Reply, Request, TooSlowError

logger = logging.getLogger("aml_emulator.arm")
# The log is for tests, and a forgotten emulator must not grow without end.
MAX_LOG = 8_000
# What is taken in of a body that nobody wants, and for how many seconds.
MAX_DRAINED = 64 * 1024 * 1024
DRAINING = 10.0
STREAMED = ("blob.put",)
READING = ("GET", "HEAD")
# What the log keeps of one request; a larger body is noted by its size.
MAX_PATH = 1000
MAX_LOGGED = 64 * 1024
LOGGED_BODIES = ("PUT", "PATCH", "POST")


class Log:
    def __init__(self) -> None:
        self.entries: deque[Json] = deque(maxlen=MAX_LOG)
        self._numbers = itertools.count(1)

    def add(self, request: Request, status: int) -> None:
        entry: Json = {"seq": next(self._numbers), "method": request.method, "path": request.path[:MAX_PATH]}
        entry |= {"operation": request.operation, "status": status, **request.notes}
        if request.method in LOGGED_BODIES and not request.operation.startswith("identity."):
            if len(request.body) > MAX_LOGGED:
                entry["body_bytes"] = len(request.body)
            try:
                entry["body"] = json.loads(request.body) if 0 < len(request.body) <= MAX_LOGGED else None
            except (ValueError, RecursionError):
                entry["body"] = None
        self.entries.append(entry)


class Arm:
    def __init__(self, context: Context, router: Router, log: Log, saved: Saved):
        self.context, self.router, self.log, self.saved = context, router, log, saved
        self.foreign = ForeignWriter(context, router)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request.from_scope(scope, receive, self.context.settings.patience)
        try:
            reply = await self._answer(request)
        except ConnectionError:
            return
        if reply is None:
            await _reset(receive, send)
            return
        if not request.path.startswith("/_emulator"):
            self.log.add(request, reply.status)
        if self.context.settings.answers is not None and "/onlineendpoints" in request.path.lower():
            _write_down(self.context.settings.answers, request, reply)
        await _send(send, reply, request.method == "HEAD")

    async def _answer(self, request: Request) -> Reply | None:
        match = self._match(request)
        if match is None:
            drained = await _drain(request)
            return _closing(errors.not_implemented(request.method, request.path).reply(), drained)
        request.operation, request.params = match.operation.name, match.params
        try:
            if request.operation not in STREAMED:
                await request.read()
            if not request.operation.startswith(OPEN):
                self.context.identity.check_arm(request)
                self._check_scope(request)
            if self.context.faults.active and not request.operation.startswith("emulator."):
                reply, reset = await self._fault(request)
                if reset or reply is not None:
                    return reply
            reply = await match.handler(request)
            if request.method not in READING:
                # Whoever has the answer may rely on it, also after a kill.
                self.saved.write()
            if "foreign_write" in request.notes:
                await self._foreign_write_after(request, request.notes["foreign_write"])
            return reply
        except AzureError as error:
            return error.reply()
        except MalformedBodyError as error:
            return errors.malformed(str(error)).reply()
        except BodyTooLargeError:
            return _closing(errors.too_large().reply(), await _drain(request))
        except TooSlowError:
            return errors.too_slow().reply()
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("%s %s", request.method, request.path)
            return AzureError(500, "InternalServerError", "The emulator failed; see its own log.").reply()

    def _match(self, request: Request) -> Match | None:
        match = self.router.match(request.method, request.path)
        if match is None or not match.operation.name.startswith("blob."):
            return match
        return match if ACCOUNT.match(match.params["account"]) else None

    def _check_scope(self, request: Request) -> None:
        settings, params = self.context.settings, request.params
        if params.get("subscription", settings.subscription_id).lower() != settings.subscription_id.lower():
            text = f"The subscription '{params['subscription']}' could not be found."
            raise AzureError(404, "SubscriptionNotFound", text)
        if params.get("group", settings.resource_group).lower() != settings.resource_group.lower():
            raise AzureError(404, "ResourceGroupNotFound", f"Resource group '{params['group']}' could not be found.")
        if params.get("workspace", settings.workspace).lower() != settings.workspace.lower():
            raise errors.not_found("workspaces", params["workspace"], settings.resource_group)

    async def _fault(self, request: Request) -> tuple[Reply | None, bool]:
        """What to answer instead, and whether to close the connection without an answer."""
        fault = self.context.faults.take(request.operation, resource_names(request), outcome=False)
        if fault is None:
            return None, False
        request.notes["fault"] = fault.id
        await asyncio.sleep(fault.delay)
        if fault.kill:
            self._kill(request)
        if fault.reset:
            self.log.add(request, 0)
            return None, True
        if fault.foreign_write is not None and fault.foreign_write.get("when") == "after":
            request.notes["foreign_write"] = fault.foreign_write
        elif fault.foreign_write is not None:
            await self._foreign_write(request, fault.foreign_write)
        if fault.status is None:
            return None, False
        return AzureError(fault.status, fault.code, fault.message, headers=fault.headers).reply(), False

    def _kill(self, request: Request) -> None:
        """One scoring process of the deployment that the request is for, or of the endpoint's first one that has any."""
        endpoint = self.context.store.endpoint(request.params.get("endpoint", ""))
        wanted = request.params.get("deployment", "").lower()
        for key, deployment in endpoint.deployments.items() if endpoint else ():
            if wanted in ("", key) and deployment.runtime is not None and deployment.runtime.pool.instances:
                instances.kill_group(deployment.runtime.pool.instances[0].pid)
                return

    async def _foreign_write(self, request: Request, change: Json) -> None:
        written = await self.foreign.write(request, change)
        if written is not None:
            self.log.add(*written)

    async def _foreign_write_after(self, request: Request, change: Json) -> None:
        async def write() -> None:
            await self.foreign.ended(request)
            await self._foreign_write(request, change)

        if request.method == "GET":
            # In force before the reader has its answer: whatever it does with that is too late.
            await write()
        else:
            # A write answers before it has ended, and may end only when its client asks for its state.
            self.foreign.later(asyncio.get_running_loop().create_task(write()))


def _write_down(file: Path, request: Request, reply: Reply) -> None:
    said: Json = {"method": request.method, "path": request.path, "query": request.query}
    said |= {"status": reply.status, "headers": reply.headers, "body": reply.encoded().decode(errors="replace")}
    with file.open("a") as lines:
        lines.write(json.dumps(said) + "\n")


async def _drain(request: Request) -> bool:
    """Takes in what is left of a body, so that the client reads our answer instead of a broken pipe. False: it goes on and on."""
    left = MAX_DRAINED
    try:
        async with asyncio.timeout(DRAINING):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return False
    except (TimeoutError, TooSlowError):
        return False
    return True


def _closing(reply: Reply, drained: bool) -> Reply:
    if not drained:
        reply.headers["Connection"] = "close"
    return reply


async def _reset(receive: Any, send: Any) -> None:
    # ASGI has no word for this, so we reach through uvicorn's `send` for the transport behind it.
    send.__self__.transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Any, reply: Reply, head: bool) -> None:
    body, part = reply.encoded(), reply.file
    headers = {"x-ms-request-id": str(uuid.uuid4()), "x-ms-correlation-request-id": str(uuid.uuid4())}
    headers |= {"Cache-Control": "no-cache", **reply.headers}
    if body or part:
        headers.setdefault("Content-Type", reply.content_type)
    if reply.status != 204:
        headers.setdefault("Content-Length", str(part.size if part else len(body)))
    raw = [(k.lower().encode("latin-1"), v.encode("latin-1", "replace")) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    if part is not None and not head:
        for piece in part.pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if head else body})
