"""Requests in, replies out, as plain values: what the handlers of the control plane see of HTTP.

Not a framework: no routing, no state. May import: the standard library.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]

# Azure Resource Manager refuses request bodies over 4 MB; blobs do not pass through here.
MAX_BODY = 4 * 1024 * 1024


class BodyTooLargeError(Exception):
    """More than MAX_BODY came in."""


class TooSlowError(Exception):
    """The body, or the next piece of a blob, did not come in time."""


class MalformedBodyError(Exception):
    """The body is not a JSON object."""


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    receive: Receive
    params: dict[str, str] = field(default_factory=dict)
    operation: str = "unknown"
    body: bytes = b""
    # Seconds in which the body must have come in; of a streamed one, its next piece.
    patience: float = 120.0
    # Extra facts about this request for the log that tests read.
    notes: Json = field(default_factory=dict)

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any], receive: Receive, patience: float) -> Request:
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return cls(scope["method"], scope["path"], query, headers, receive, patience=patience)

    async def stream(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self.patience):
                    message = await self.receive()
            except TimeoutError:
                raise TooSlowError from None
            if message["type"] != "http.request":
                raise ConnectionError("the client went away")
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return

    async def read(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            # Of one who sends a byte now and then, each piece would be in time.
            async with asyncio.timeout(self.patience):
                async for chunk in self.stream():
                    size += len(chunk)
                    if size > MAX_BODY:
                        raise BodyTooLargeError
                    chunks.append(chunk)
        except TimeoutError:
            raise TooSlowError from None
        self.body = b"".join(chunks)
        return self.body

    def number(self, key: str, default: int) -> int:
        """A whole number of the query string."""
        text = self.query.get(key) or str(default)
        if not text.isascii() or not text.isdigit():
            raise MalformedBodyError(f"{key} must be a whole number")
        return int(text[:9])

    def json(self) -> Json:
        try:
            value = json.loads(self.body or b"{}")
        except (ValueError, RecursionError) as error:
            raise MalformedBodyError(str(error)) from None
        if not isinstance(value, dict):
            raise MalformedBodyError("a JSON object is expected")
        return value


@dataclass(frozen=True, slots=True)
class FilePart:
    """A body that is too large for memory: `size` bytes of a file."""

    path: Path
    start: int
    size: int

    def pieces(self, of: int = 1024 * 1024) -> Iterator[bytes]:
        left = self.size
        with self.path.open("rb") as file:
            file.seek(self.start)
            while left and (piece := file.read(min(of, left))):
                left -= len(piece)
                yield piece


@dataclass(slots=True)
class Reply:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"
    # The body is sent as it is when it is bytes, else as JSON; None means no body at all, or a part of a file.
    file: FilePart | None = None

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, separators=(",", ":")).encode()
