"""One request to one scoring process, and its answer, both streamed. A connection each: gunicorn's sync workers close theirs.

Not here: which process (`pool`), what becomes of the answer (`scoring`). May import: `flow`, the standard library, httptools.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

from aml_emulator.flow import WHOLE, Copy, Flow

Headers = list[tuple[bytes, bytes]]


class NotReachedError(Exception):
    """No connection: the process has not seen the request, so another may have it."""


class BrokenError(Exception):
    """The connection ended before the answer was complete. The process may have run the request."""


@dataclass(slots=True)
class Answer:
    """`body` is all of it, or `stream` brings it until `deadline`. Whoever has an answer closes it."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    stream: Flow | None = None
    length: int | None = None
    deadline: float = 0.0
    on_close: list[Callable[[], object]] = field(default_factory=list)

    def close(self) -> None:
        while self.on_close:
            self.on_close.pop()()


@dataclass(slots=True)
class Sent:
    """A request: what is known of it now, and, if that is not all, the rest of its body."""

    payload: bytes
    rest: Flow | None = None
    chunked: bool = False
    head_only: bool = False
    copy: Copy | None = None


class _Exchange(asyncio.Protocol):
    def __init__(self, sent: Sent, answered: asyncio.Future[Answer]):
        self.sent, self.answered = sent, answered
        self.parser = httptools.HttpResponseParser(self)
        self.answer, self.body = Answer(), Flow(self._hold)
        self.transport: asyncio.Transport | None = None
        self.head_seen = self.framed = False
        self.writable: asyncio.Event | None = None

    # --- asyncio --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.sent.payload)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BrokenError(str(error)))
            return
        if self.head_seen and not self.answered.done():
            if self.sent.head_only:
                self._finish()
            elif self.answer.length is None or self.answer.length > WHOLE:
                self.answer.stream = self.body
                self.answered.set_result(self.answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self.writable is not None:
            self.writable.set()
        # An answer without a length ends where the connection ends.
        if self.head_seen and not self.framed and error is None:
            self._finish()
        else:
            self._fail(BrokenError("connection termination"))

    def pause_writing(self) -> None:
        if self.writable is not None:
            self.writable.clear()

    def resume_writing(self) -> None:
        if self.writable is not None:
            self.writable.set()

    def _hold(self, hold: bool) -> None:
        if self.transport is not None:
            self.transport.pause_reading() if hold else self.transport.resume_reading()

    # --- httptools ------------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self.answer.length = int(value)
        self.framed = self.framed or name in (b"content-length", b"transfer-encoding")
        if not self.head_seen:
            self.answer.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.answer.status = self.parser.get_status_code()
        self.head_seen = True

    def on_body(self, body: bytes) -> None:
        self.body.feed(body)

    def on_message_complete(self) -> None:
        self._finish()

    # --- ends -----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self.body.finish()
        if not self.answered.done():
            self.answer.body = self.body.take()
            self.answered.set_result(self.answer)
        if self.transport is not None:
            self.transport.close()

    def _fail(self, error: Exception) -> None:
        self.body.fail(error)
        if not self.answered.done():
            self.answered.set_exception(error)
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # --- the rest of the request ----------------------------------------------------------------------------------

    async def pump(self, rest: Flow, timer: asyncio.Timeout, patience: float) -> None:
        """The time the model is given starts anew with each piece we had to wait for: a slow client is not its fault."""
        loop, transport, copy = asyncio.get_running_loop(), cast(asyncio.Transport, self.transport), self.sent.copy
        self.writable = asyncio.Event()
        self.writable.set()
        while not transport.is_closing():
            waited = not rest.ready and not self.answered.done()
            if waited:
                timer.reschedule(None)
            piece = await rest.next()
            if waited and not self.answered.done():
                timer.reschedule(loop.time() + patience)
            if not piece:
                break
            if copy is not None:
                copy.add(piece)
            transport.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self.sent.chunked else piece)
            await self.writable.wait()
        if rest.ended and copy is not None:
            copy.end()
        if self.sent.chunked and not transport.is_closing():
            transport.write(b"0\r\n\r\n")


async def _connected(loop: asyncio.AbstractEventLoop, port: int) -> socket.socket:
    """On loopback a connection is there at once: asyncio's own way to it, made for those that are not, takes far longer."""
    # With the protocol named, asyncio turns Nagle's algorithm off.
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        connection.setblocking(False)
        try:
            connection.connect(("127.0.0.1", port))
        except BlockingIOError:
            await loop.sock_connect(connection, ("127.0.0.1", port))
    except BaseException:
        connection.close()
        raise
    return connection


async def send(port: int, sent: Sent, deadline: float, patience: float) -> Answer:
    """Raises TimeoutError at `deadline` (loop time), NotReachedError, BrokenError, or what the client's body failed with."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answer] = loop.create_future()
    exchange = _Exchange(sent, answered)
    pump: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout_at(deadline) as timer:
            try:
                await loop.create_connection(lambda: exchange, sock=await _connected(loop, port))
            except OSError as error:
                raise NotReachedError(str(error)) from None
            if sent.rest is not None:
                pump = loop.create_task(exchange.pump(sent.rest, timer, patience))
                both: set[asyncio.Future[Any]] = {answered, pump}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if not answered.done():
                    pump.result()
            answer = await answered
            answer.deadline = timer.when() or loop.time() + patience
    except BaseException:
        # Nobody may be told any more; a future whose exception nobody fetches would be complained about.
        answered.cancel() if not answered.done() else answered.cancelled() or answered.exception()
        if pump is not None:
            pump.cancel()
        exchange.abort()
        raise
    if answer.stream is not None:
        answer.on_close.append(exchange.abort)
    if pump is not None:
        pump.add_done_callback(_looked_at)
        answer.on_close.append(pump.cancel)
    return answer


def _looked_at(task: asyncio.Task[None]) -> None:
    # The answer came before the body's end; how that ended changes nothing any more.
    task.cancelled() or task.exception()
