"""The control plane's connections: uvicorn's protocol, with the bounds that it does not set itself.

A head that does not come to its end is 408, one that is too large is 431; what comes after the head is bounded where it is
read (`wire`, `blobs`). May import: uvicorn.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

# Bytes that may come without any of them being body: request line, headers, trailers.
MAX_HEAD = 64 * 1024


class Bounded(HttpToolsProtocol):
    def __init__(self, *, patience: float, **options: Any):
        super().__init__(**options)
        self.patience, self.outside_body, self.refused = patience, 0, False
        self.timer: asyncio.TimerHandle | None = None

    # --- asyncio --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        self.outside_body += len(data)
        super().data_received(data)
        if self.outside_body > MAX_HEAD:
            self._refuse(431, b"RequestHeaderFieldsTooLarge", b"The request's headers are larger than 64 KiB.")

    # --- httptools ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.timer is None:
            self._start_timer()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.outside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.outside_body = 0
        super().on_message_complete()

    # --- refusing -------------------------------------------------------------------------------------------------

    def _start_timer(self) -> None:
        text = b"The request took too long to come in."
        self.timer = self.loop.call_later(self.patience, self._refuse, 408, b"RequestTimeout", text)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _refuse(self, status: int, code: bytes, text: bytes) -> None:
        if self.refused or self.transport.is_closing():
            return
        self.refused = True
        # An answer that is under way must not get another one into its middle.
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not (cycle.response_started or self.pipeline):
            if cycle is not None:
                cycle.disconnected = True
            body = b'{"error":{"code":"%s","message":"%s","details":[],"additionalInfo":[]}}' % (code, text)
            head = STATUS_LINE[status] + b"content-type: application/json; charset=utf-8\r\n"
            self.transport.write(head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        self.transport.close()
