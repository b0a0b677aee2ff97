"""The scoring door's HTTP side: connections, parsing, bounds. One small protocol: it is in every request's way.

Not here: what happens to a request (`scoring`). May import: httptools, `flow`, `scoring`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from typing import cast

import httptools

from aml_emulator.flow import HIGH, WHOLE, BodyError, Flow
from aml_emulator.scoring import Incoming, ResetError, Scoring

logger = logging.getLogger("aml_emulator.door")

MAX_HEAD = 64 * 1024
# Azure documents no size; large payloads are for batch endpoints.
MAX_BODY = 32 * 1024 * 1024
# A client may send this many requests ahead of their answers before it is made to wait.
MAX_PIPELINED = 16
# Seconds in which a request must have come in completely, an idle connection must have been used again, and a client that
# takes nothing of its answer must go on.
IDLE = 120.0
# Seconds in which a client that was refused may read why, while we still take in, and drop, what it sends.
LINGER = 5.0


class Door:
    def __init__(self, scoring: Scoring, idle: float = IDLE):
        self.scoring, self.idle = scoring, idle
        self.connections: set[Connection] = set()
        self.server: asyncio.Server | None = None
        self.sweeper: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Connection(self), sock=listener, backlog=1024)
        self.sweeper = loop.create_task(self._sweep())
        bound: int = self.server.sockets[0].getsockname()[1]
        return bound

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self.idle / 4)
            for connection in list(self.connections):
                connection.look_at_the_clock(asyncio.get_running_loop().time() - self.idle)

    async def stop(self) -> None:
        if self.sweeper is not None:
            self.sweeper.cancel()
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()


class Connection(asyncio.Protocol):
    def __init__(self, door: Door):
        self.door = door
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        self.ready: deque[Incoming] = deque()
        self.last_used = self.loop.time()
        # When the message that is still coming in began, and when the client stopped taking in its answer.
        self.began: float | None = None
        self.stalled: float | None = None
        self.coming: Incoming | None = None
        self.queued = self.held = self.deaf = False
        self.refusal: BodyError | None = None
        self.silent = True
        self.writable = asyncio.Event()
        self.writable.set()
        self.target, self.headers, self.head_size = b"", cast(list[tuple[bytes, bytes]], []), 0

    # --- asyncio --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.door.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self.door.connections.discard(self)
        self.writable.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.stalled = self.loop.time()
        self.writable.clear()

    def resume_writing(self) -> None:
        self.stalled = None
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.last_used = self.loop.time()
        if self.deaf:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(BodyError(400, b"upgrade is not supported"))
        except httptools.HttpParserError as error:
            # What a callback raises comes wrapped.
            cause = error.__context__
            self._refuse(cause if isinstance(cause, BodyError) else BodyError(400, b"malformed request"))

    def look_at_the_clock(self, limit: float) -> None:
        if self.transport is None:
            return
        if self.stalled is not None and self.stalled < limit:
            self.transport.abort()
        elif self.began is not None and self.began < limit and not self.held:
            self._refuse(BodyError(408, b"the request took too long to come in"))
        elif self.task is None and self.last_used < limit:
            self.transport.abort()

    # --- httptools ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.target, self.headers, self.head_size = b"", [], 0
        self.began, self.coming, self.queued = self.loop.time(), None, False

    def on_url(self, url: bytes) -> None:
        self.target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers of a chunked body come here too, and are nobody's headers.
        if self.coming is None:
            self.headers.append((name.lower(), value))
        self._count_head(len(name) + len(value) + 4)

    def _count_head(self, size: int) -> None:
        self.head_size += size
        if self.head_size > MAX_HEAD:
            raise BodyError(431, b"request header fields too large")

    def on_headers_complete(self) -> None:
        length: int | None = None
        for name, value in self.headers:
            if name == b"expect" and value.lower() == b"100-continue" and self.transport is not None and self.task is None:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif name == b"content-length" and value.isdigit():
                length = int(value)
                if length > MAX_BODY:
                    raise BodyError(413, b"payload too large")
        self.coming = Incoming(self.parser.get_method(), self.target, self.headers, Flow(self._hold), length=length)
        self.coming.chunks = self.parser.get_http_version() != "1.0"

    def on_body(self, body: bytes) -> None:
        request = cast(Incoming, self.coming)
        request.received += len(body)
        if request.received > MAX_BODY:
            raise BodyError(413, b"payload too large")
        request.body.feed(body)
        if not self.queued and request.received > WHOLE:
            self._enqueue(request)

    def on_message_complete(self) -> None:
        request = cast(Incoming, self.coming)
        request.body.finish()
        self.began = None
        if not self.queued:
            self._enqueue(request)

    def _enqueue(self, request: Incoming) -> None:
        self.queued = True
        request.keep_alive = bool(self.parser.should_keep_alive())
        self.ready.append(request)
        if self.task is None:
            self.task = self.loop.create_task(self._work())
        self._hold()

    def _hold(self, _full: bool = False) -> None:
        """Reads on only while neither requests nor the body that is coming in have piled up."""
        too_much = self.coming is not None and not self.coming.body.ended and self.coming.body.size > HIGH
        hold = (too_much or len(self.ready) >= MAX_PIPELINED) and not self.deaf
        if hold != self.held and self.transport is not None:
            self.held = hold
            self.transport.pause_reading() if hold else self.transport.resume_reading()
            # The time that we made it wait is not the client's.
            self.began = self.began and self.loop.time()

    # --- answering ------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.silent = False
        if self.transport is not None:
            self.transport.write(data)

    async def drained(self) -> None:
        if not self.writable.is_set():
            await self.writable.wait()

    async def _work(self) -> None:
        try:
            while self.ready:
                request = self.ready.popleft()
                self.silent = True
                self._hold()
                if not await self.door.scoring.answer(request, self):
                    self._hang_up()
                    return
            if self.refusal is not None:
                self._say(self.refusal)
        except ResetError:
            if self.transport is not None:
                self.transport.abort()
        except Exception:
            logger.exception("scoring")
            if self.silent:
                self._say(BodyError(500, b"internal error"))
            elif self.transport is not None:
                self.transport.abort()
        finally:
            self.task = None
            self.last_used = self.loop.time()

    def _refuse(self, error: BodyError) -> None:
        """Nothing more is read from this client. Answers that it still has to get come first."""
        self.refusal, self.deaf, self.began = error, True, None
        if self.coming is not None and self.queued:
            self.coming.body.fail(error)
        self._hold()
        if self.task is None:
            self._say(error)

    def _say(self, error: BodyError) -> None:
        head = b"HTTP/1.1 %d Refused\r\ncontent-type: text/plain\r\nserver: azureml-frontdoor\r\n" % error.status
        self.write(head + b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(error.text), error.text))
        self._hang_up()

    def _hang_up(self) -> None:
        """Closing while something unread has come in would reset the connection, and with it what the client should read."""
        transport, complete = self.transport, self.began is None and self.refusal is None
        if transport is None or transport.is_closing():
            return
        self.deaf, self.began = True, None
        self._hold()
        if complete:
            transport.close()
        else:
            transport.write_eof()
            self.loop.call_later(LINGER, transport.abort)
