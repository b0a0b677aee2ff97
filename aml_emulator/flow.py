"""A body on its way from one connection to another: what has come and was not taken yet, bounded by holding its source back.

Not here: sockets, framing (`door`, `upstream`). May import: the standard library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# Bodies up to this size are forwarded whole, so that a slow sender of a small one never occupies a scoring process.
WHOLE = 64 * 1024
# So much of a larger one may wait here for its receiver; then its sender has to wait.
HIGH = 256 * 1024


class BodyError(Exception):
    """The client's body does not come to a proper end: too large, malformed, too slow. Has the status to answer with."""

    def __init__(self, status: int, text: bytes):
        super().__init__(text.decode())
        self.status, self.text = status, text


class Flow:
    __slots__ = ("chunks", "ended", "error", "hold", "size", "waiter")

    def __init__(self, hold: Callable[[bool], None] | None = None):
        self.chunks: list[bytes] = []
        self.size = 0
        self.ended = False
        self.error: Exception | None = None
        self.hold = hold
        self.waiter: asyncio.Future[None] | None = None

    # --- its source -----------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self.chunks.append(data)
        self.size += len(data)
        if self.size > HIGH and self.hold is not None:
            self.hold(True)
        self._wake()

    def finish(self) -> None:
        self.ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        if not self.ended:
            self.error = error
            self._wake()

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    # --- its receiver ---------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """`next` would not wait."""
        return bool(self.chunks) or self.ended or self.error is not None

    def take(self) -> bytes:
        """All that has come so far."""
        data = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        self.size = 0
        if self.hold is not None and not self.ended:
            self.hold(False)
        return data

    async def next(self) -> bytes:
        """The next piece; empty at the end. One receiver at a time. Raises what `fail` was told."""
        while not self.chunks:
            if self.ended:
                return b""
            if self.error is not None:
                raise self.error
            self.waiter = asyncio.get_running_loop().create_future()
            try:
                await self.waiter
            finally:
                self.waiter = None
        return self.take()


class Copy:
    """A second copy of a body for mirroring, kept only while it is small enough."""

    def __init__(self, limit: int):
        self.limit, self.size = limit, 0
        self.chunks: list[bytes] | None = []
        self.on_end: Callable[[bytes], None] | None = None

    def end(self) -> None:
        if self.on_end is not None and self.chunks is not None:
            self.on_end(b"".join(self.chunks))

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.limit:
            self.chunks = None
        elif self.chunks is not None:
            self.chunks.append(data)
