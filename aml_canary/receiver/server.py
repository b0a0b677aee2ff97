"""Runs the webhook door under uvicorn, with bounds on what a stranger may hold. May import `receiver.app` only.

TLS is the business of what stands in front (an ingress, a tunnel). Whose `X-Forwarded-For` is believed, so that clients behind it
are told apart, is uvicorn's FORWARDED_ALLOW_IPS: this machine's own, unless it says otherwise.
"""

import logging
from asyncio import BaseTransport
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from aml_canary.receiver.app import create_app

# All headers of a request together; GitHub's are below 2 KiB.
HEADER_BYTES = 16 * 1024
HEADER_SECONDS = 10.0
# More connections than this at once are answered 503.
CONNECTIONS = 200
# A delivery that is being answered at shutdown is answered to its end.
SHUTDOWN_SECONDS = 15


class _ImpatientProtocol(H11Protocol):
    """Closes a connection on which no whole request head has arrived in time; uvicorn itself would wait for ever."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None:
            self.transport.close()


def configuration(app: Any, host: str, port: int) -> uvicorn.Config:
    """Uvicorn's settings for the door."""
    return uvicorn.Config(
        app,
        host,
        port,
        http=_ImpatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # the app writes one line per delivery
        server_header=False,
        proxy_headers=True,
        headers=[("connection", "close")],  # so the bound on the head holds for every request, not only the first
        limit_concurrency=CONNECTIONS,
        h11_max_incomplete_event_size=HEADER_BYTES,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def serve(host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM. Raises Permanent where the settings do not allow a start."""
    app = create_app()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # would write a line per request to Prefect
    uvicorn.Server(configuration(app, host, port)).run()
