"""What the scoring door does with one request: admit, route, forward, and answer as Azure's front door does.

Bodies pass through: what is larger than `flow.WHOLE` is forwarded while it comes, and no more than `flow.HIGH` of it waits
here. Not here: HTTP parsing of clients (`door`). May import: `faults`, `flow`, `instances`, `pool`, `routing`, `stats`, `upstream`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import time
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from aml_emulator import instances, upstream
from aml_emulator.faults import Faults
from aml_emulator.flow import BodyError, Copy, Flow
from aml_emulator.pool import OverloadedError, Pool, TimedOutError
from aml_emulator.routing import Route, Routing
from aml_emulator.stats import CLIENT_GONE, Served, Stats
from aml_emulator.upstream import Answer, Headers, Sent

HOP_BY_HOP = frozenset(b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split())
# Not for the container: what is ours to set, and the caller's key.
NOT_FORWARDED = HOP_BY_HOP | frozenset(b"host content-length expect authorization x-request-id x-ms-client-request-id".split())
NOT_RETURNED = HOP_BY_HOP | {b"content-length", b"server", b"date", b"x-request-id"}
PLAIN = [(b"content-type", b"text/plain")]
MAX_MIRRORED = 100
# What the log keeps of a path.
MAX_PATH = 1000
# A mirrored copy must be kept until the request itself has gone out. Larger bodies are not mirrored; with 100 under way this
# is also what bounds the memory that mirroring takes.
MAX_COPY = 128 * 1024
_unsafe = re.compile(rb"[^A-Za-z0-9_.-]")
_reasons = {status.value: status.phrase.encode() for status in HTTPStatus}


class ResetError(Exception):
    """Close the connection as it is: a fault that a test asked for, or an answer that broke off half-way."""


class Client(Protocol):
    """Where an answer goes."""

    def write(self, data: bytes) -> None: ...

    async def drained(self) -> None:
        """Returns when the client has taken in enough for us to go on."""


@dataclass(slots=True)
class Incoming:
    method: bytes
    target: bytes
    headers: Headers = field(default_factory=list)
    body: Flow = field(default_factory=Flow)
    keep_alive: bool = True
    chunks: bool = True  # the client understands chunked answers
    length: int | None = None
    received: int = 0

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key == name), b"")


@dataclass(slots=True)
class _Course:
    """How one request went, for the log."""

    endpoint: str = ""
    deployment: str = ""
    status: int = CLIENT_GONE
    model_status: int = 0
    response_bytes: int = 0


class Scoring:
    def __init__(self, routing: Routing, stats: Stats, faults: Faults):
        self.routing, self.stats, self.faults = routing, stats, faults
        self.mirrored: set[asyncio.Task[None]] = set()

    async def answer(self, request: Incoming, client: Client) -> bool:
        """Writes the response; True when the connection may carry another request. Raises ResetError."""
        started, course = time.perf_counter(), _Course()
        request_id = str(uuid.uuid4())
        endpoint, _, rest = request.target.lstrip(b"/").partition(b"/")
        name = endpoint.partition(b"?")[0].decode("latin-1").lower()
        route = self.routing.routes.get(name)
        if route is None:
            # On Azure such a host name does not exist at all.
            return await self._write(request, request_id, Answer(404, PLAIN, b"endpoint not found"), course, client)
        course.endpoint = route.endpoint
        try:
            answer = await self._serve(request, request_id.encode(), route, b"/" + rest, course)
            try:
                course.status = answer.status
                return await self._write(request, request_id, answer, course, client)
            finally:
                answer.close()
        except ResetError:
            course.status = course.status if course.status != CLIENT_GONE else 0
            raise
        finally:
            taken = (time.perf_counter() - started) * 1000
            line = (request.method.decode("latin-1"), (b"/" + rest[:MAX_PATH]).decode("latin-1"), course.status, course.model_status, taken)
            size = (request.received, course.response_bytes)
            self.stats.record(Served(time.time(), course.endpoint, course.deployment, *line, *size, request_id))

    async def _serve(self, request: Incoming, request_id: bytes, route: Route, path: bytes, course: _Course) -> Answer:
        refusal = self._refusal(request, route)
        if refusal is not None:
            return refusal
        wanted = request.header(b"azureml-model-deployment").decode("latin-1").lower()
        pool = route.pools.get(wanted) if wanted else self.routing.pick(route)
        if pool is None:
            text = f"Deployment {wanted} not found" if wanted else "No valid deployments to route to"
            return Answer(404, PLAIN, text.encode())
        course.deployment = pool.deployment
        # A request that names its deployment is never mirrored.
        mirror = route.mirror if not wanted and route.mirror is not None and self.routing.mirrors(route) else None
        sent = _sent(request, request_id, path)
        if mirror is not None:
            self._mirror_when_sent(route.endpoint, mirror, sent, request, request_id, path)
        if self.faults.active:
            injected = await self._fault(route, pool)
            if injected is not None:
                return injected
        return await self._forward(pool, sent, course)

    async def _fault(self, route: Route, pool: Pool) -> Answer | None:
        names = (route.endpoint.lower(), pool.deployment.lower())
        fault = self.faults.take("score", names, outcome=False)
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        if fault.kill and pool.instances:
            instances.kill_group(pool.instances[0].pid)
        if fault.reset:
            raise ResetError
        if fault.status is None:
            return None
        extra = [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
        return Answer(fault.status, PLAIN + extra, fault.message.encode())

    def _refusal(self, request: Incoming, route: Route) -> Answer | None:
        scheme, _, token = request.header(b"authorization").decode("latin-1").partition(" ")
        kind = b"key" if route.auth_mode == "Key" else b"token"
        if scheme.lower() != "bearer" or not token:
            return Answer(401, PLAIN, kind + b"_auth_bad_header_forbidden")
        if not self.routing.admits(route, token.strip()):
            return Answer(401, PLAIN, kind + b"_auth_access_denied")
        return None

    # --- mirroring ------------------------------------------------------------------------------------------------

    def _mirror_when_sent(self, endpoint: str, pool: Pool, sent: Sent, request: Incoming, request_id: bytes, path: bytes) -> None:
        if len(self.mirrored) >= MAX_MIRRORED:
            return
        if sent.rest is None:
            self._start_mirror(endpoint, pool, Sent(sent.payload), request, request_id)
            return
        copy = Copy(MAX_COPY)

        def whole(body: bytes) -> None:
            payload = _head(request, request_id, path, b"content-length: %d" % len(body)) + body
            self._start_mirror(endpoint, pool, Sent(payload), request, request_id)

        copy.on_end, sent.copy = whole, copy

    def _start_mirror(self, endpoint: str, pool: Pool, sent: Sent, request: Incoming, request_id: bytes) -> None:
        task = asyncio.create_task(self._mirror(endpoint, pool, sent, request, request_id))
        self.mirrored.add(task)
        task.add_done_callback(self.mirrored.discard)

    async def _mirror(self, endpoint: str, pool: Pool, sent: Sent, request: Incoming, request_id: bytes) -> None:
        started, course = time.perf_counter(), _Course()
        answer = await self._forward(pool, sent, course)
        course.response_bytes = len(answer.body)
        # A discarded answer is taken in to its end, whichever that is: the process must not notice that nobody wants it.
        with contextlib.closing(answer), contextlib.suppress(TimeoutError, upstream.BrokenError):
            while answer.stream is not None:
                async with asyncio.timeout_at(answer.deadline):
                    piece = await answer.stream.next()
                if not piece:
                    break
                course.response_bytes += len(piece)
        taken = (time.perf_counter() - started) * 1000
        line = (request.method.decode("latin-1"), request.target[:MAX_PATH].decode("latin-1"), answer.status, course.model_status, taken)
        size = (len(sent.payload), course.response_bytes)
        self.stats.record(Served(time.time(), endpoint, pool.deployment, *line, *size, request_id.decode(), mirrored=True))

    # --- forwarding and answering ---------------------------------------------------------------------------------

    async def _forward(self, pool: Pool, sent: Sent, course: _Course) -> Answer:
        """The answer holds its place on an instance until it is closed."""
        started = time.monotonic()
        patience = pool.limits.request_timeout
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            try:
                instance = await pool.acquire(deadline)
            except OverloadedError:
                return Answer(429, [*PLAIN, (b"ms-azureml-model-error-reason", b"too_many_pending_request")])
            except TimedOutError:
                return Answer(408, PLAIN, b"upstream request timeout")
            answer: Answer | None = None
            try:
                answer = await upstream.send(instance.port, sent, deadline, patience)
            except upstream.NotReachedError:
                # Its watcher will bring up another one; until then nobody is to be sent there.
                pool.remove(instance)
                continue
            except upstream.BrokenError as error:
                text = f"upstream connect error or disconnect/reset before headers. reset reason: {error}"
                course.model_status = 503
                return _model_error(Answer(503, list(PLAIN), text.encode()))
            except TimeoutError:
                return Answer(408, PLAIN, b"upstream request timeout")
            except BodyError as error:
                return Answer(error.status, PLAIN, error.text)
            finally:
                if answer is None:
                    pool.release(instance)
            if answer.stream is None:
                pool.release(instance)
            else:
                answer.on_close.insert(0, functools.partial(pool.release, instance))
            course.model_status = answer.status
            taken = int((time.monotonic() - started) * 1000)
            answer.headers.append((b"ms-azureml-model-time", b"%d" % taken))
            return answer if answer.status == 200 else _model_error(answer)

    async def _write(self, request: Incoming, request_id: str, answer: Answer, course: _Course, client: Client) -> bool:
        lines = [b"HTTP/1.1 %d %s" % (answer.status, _reasons.get(answer.status, b"Unknown"))]
        lines += [b"%s: %s" % (name, value) for name, value in answer.headers if name not in NOT_RETURNED]
        stream = answer.stream
        length = len(answer.body) if stream is None else answer.length
        chunked = length is None and request.chunks
        if length is not None:
            lines.append(b"content-length: %d" % length)
        elif chunked:
            lines.append(b"transfer-encoding: chunked")
        lines.append(b"date: " + _date())
        lines.append(b"server: azureml-frontdoor")
        lines.append(b"x-request-id: " + request_id.encode())
        if course.deployment:
            lines.append(b"azureml-model-deployment: " + course.deployment.encode())
        # What is left of a body that the answer did not wait for cannot be told from a next request.
        keep_alive = request.keep_alive and request.body.ended and (length is not None or chunked)
        if not keep_alive:
            lines.append(b"connection: close")
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        if stream is None or request.method == b"HEAD":
            course.response_bytes = len(answer.body)
            client.write(head if request.method == b"HEAD" else head + answer.body)
        else:
            client.write(head)
            await self._stream(answer, stream, chunked, course, client)
        await client.drained()
        return keep_alive

    async def _stream(self, answer: Answer, stream: Flow, chunked: bool, course: _Course, client: Client) -> None:
        try:
            while True:
                async with asyncio.timeout_at(answer.deadline):
                    piece = await stream.next()
                if not piece:
                    break
                course.response_bytes += len(piece)
                client.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                if stream.ended:
                    # The process is done with it; how long the client takes is no more its concern.
                    answer.close()
                async with asyncio.timeout_at(None if stream.ended else answer.deadline):
                    await client.drained()
        except (TimeoutError, upstream.BrokenError):
            raise ResetError from None
        if chunked:
            client.write(b"0\r\n\r\n")


def _model_error(answer: Answer) -> Answer:
    """Azure's sidecar rewrites whatever is not 200 into 424 and tells the original in headers."""
    answer.headers.append((b"ms-azureml-model-error-reason", b"model_error"))
    answer.headers.append((b"ms-azureml-model-error-statuscode", b"%d" % answer.status))
    answer.status = 424
    return answer


def _sent(request: Incoming, request_id: bytes, path: bytes) -> Sent:
    head_only = request.method == b"HEAD"
    if request.body.ended:
        body = request.body.take()
        framing = b"content-length: %d" % len(body) if body or request.method not in (b"GET", b"HEAD") else b""
        return Sent(_head(request, request_id, path, framing) + body, head_only=head_only)
    chunked = request.length is None
    framing = b"content-length: %d" % request.length if request.length is not None else b"transfer-encoding: chunked"
    return Sent(_head(request, request_id, path, framing), request.body, chunked, head_only)


def _head(request: Incoming, request_id: bytes, path: bytes, framing: bytes) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method, path), b"host: 127.0.0.1", b"connection: close"]
    for name, value in request.headers:
        if name not in NOT_FORWARDED:
            lines.append(b"%s: %s" % (name, value))
        elif name == b"x-ms-client-request-id":
            lines.append(b"%s: %s" % (name, _unsafe.sub(b"", value)[:40]))
    lines.append(b"x-request-id: " + request_id)
    if framing:
        lines.append(framing)
    return b"\r\n".join(lines) + b"\r\n\r\n"


_date_cache: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    global _date_cache
    second = int(time.time())
    if _date_cache[0] != second:
        _date_cache = (second, time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second)).encode())
    return _date_cache[1]
