"""The webhook door: an ASGI app that turns a genuine push into one run of the sync flow.

A delivery is a nudge. It says which commit to look at; what shall be live is read from git, by the flow. So nothing is kept
here, and a delivery that is lost costs one interval of the scheduled sync. May import `githosts`, `settings`, `errors` and
`receiver.runs`.
"""

import asyncio
import json
import logging
import time
from functools import partial
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aml_canary.errors import Permanent, Transient
from aml_canary.githosts import HOSTS
from aml_canary.githosts.delivery import Forged, Ignored, NotSigned, PullRequest, Unreadable
from aml_canary.receiver.runs import RETRY_SECONDS, Syncs, check_ready, refuse_to_start_without_prefect
from aml_canary.settings import Settings, settings

# A push of 2,000 commits is below 3 MiB, and one delivery never takes more memory than this.
BODY_BYTES = 3 * 1024 * 1024
# A host sends its body at once; who takes longer is holding the connection.
BODY_SECONDS = 10.0

logger = logging.getLogger("aml_canary.receiver")


class _Answer(NamedTuple):
    """An HTTP status, and what is said with it and logged."""

    status: int
    said: dict[str, str]


class _Refused(Permanent):
    """The request is not one that this door takes."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Door:
    """What of the settings a delivery is judged by, and where it leads."""

    def __init__(self, installed: Settings) -> None:
        self.secrets = tuple(secret.get_secret_value() for secret in installed.webhook_secrets)
        # Hosts do not tell names apart by case.
        self.repositories = {name.casefold(): name for name in installed.repositories}
        self.branch = installed.branch
        self.syncs = Syncs()
        if not self.secrets or not all(secret.strip() for secret in self.secrets):
            raise Permanent(
                "No webhook secret is configured, or one is empty: anybody could start a rollout. "
                "Set AML_CANARY_WEBHOOK_SECRETS, a JSON list such as '[\"...\"]', to the secret that the git host signs with."
            )
        if not self.repositories:
            raise Permanent('No repository is followed. Set AML_CANARY_REPOSITORIES, such as \'{"acme/models": "https://..."}\'.')


def create_app(installed: Settings | None = None) -> Starlette:
    """The app for these settings, or for those in the environment. Raises Permanent where it could not do its work safely."""
    door = _Door(installed or settings())
    refuse_to_start_without_prefect()
    return Starlette(
        routes=[
            Route("/webhooks/{host}", partial(_deliver, door), methods=["POST"]),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz),
        ]
    )


async def _healthz(_: Request) -> Response:
    return JSONResponse({"healthy": True})


async def _readyz(_: Request) -> Response:
    try:
        await check_ready()
    except Transient as problem:
        return JSONResponse({"ready": False, "reason": str(problem)}, 503)
    return JSONResponse({"ready": True})


async def _deliver(door: _Door, request: Request) -> Response:
    """Answers one delivery, and says in one line of the log what came of it."""
    started = time.monotonic()
    line: dict[str, str | int | bool | None] = {"host": request.path_params["host"]}
    try:
        answer = await _take(door, request, line)
    except (NotSigned, Forged) as refused:
        answer = _Answer(401, {"refused": str(refused)})
    except Unreadable as refused:
        answer = _Answer(400, {"refused": str(refused)})
    except ClientDisconnect:
        answer = _Answer(400, {"refused": "The connection was closed before all of the body had arrived."})
    except _Refused as refused:
        answer = _Answer(refused.status, {"refused": str(refused)})
    except Transient as problem:
        line["cause"] = repr(problem.__cause__)
        answer = _Answer(503, {"refused": f"{problem} Deliver it again, or wait for the scheduled sync."})
    line |= {"status": answer.status, "milliseconds": round((time.monotonic() - started) * 1000), **answer.said}
    logger.log(logging.INFO if answer.status < 400 else logging.WARNING, "%s", json.dumps(line))
    headers = {"Retry-After": f"{RETRY_SECONDS:.0f}"} if answer.status == 503 else None
    return JSONResponse(answer.said, answer.status, headers)


async def _take(door: _Door, request: Request, line: dict[str, str | int | bool | None]) -> _Answer:
    """From the first byte to the run's id; `line` learns what is known on the way."""
    host = HOSTS.get(request.path_params["host"])
    if host is None:
        raise _Refused(404, f"No such git host here; there is {', '.join(HOSTS)}.")
    line["delivery"] = request.headers.get(host.DELIVERY_HEADER, "")[:100]
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Refused(415, "Set the webhook's content type to application/json.")
    body = await _body(request)
    host.verify(request.headers, body, door.secrets, time.time())
    push = host.parse(request.headers, body)[0]
    if isinstance(push, PullRequest):
        push = Ignored("Reviews of pull requests are not set up.")
    if isinstance(push, Ignored):
        return _Answer(202, {"ignored": push.reason})
    line |= {
        "repository": push.repository,
        "branch": push.branch,
        "commit": push.commit,
        "forced": push.forced,
        "pusher": push.pusher[:100],
    }
    if push.branch != door.branch:
        return _Answer(202, {"ignored": f"Branch {push.branch!r} is not followed; {door.branch!r} is."})
    if push.repository.casefold() not in door.repositories:
        # Not a 4xx: one webhook may serve a whole organization, and hosts switch off webhooks that fail often.
        return _Answer(
            202, {"ignored": f"Repository {push.repository!r} is not followed. Add it to AML_CANARY_REPOSITORIES to change that."}
        )
    name = door.repositories[push.repository.casefold()]
    return _Answer(201, {"run": await door.syncs.start(push, name)})


async def _body(request: Request) -> bytes:
    """The raw body. What is announced as too large is not read at all."""
    too_large = _Refused(413, f"The body is larger than {BODY_BYTES} bytes.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES:
                    raise too_large
    except TimeoutError as late:
        raise _Refused(408, f"The body did not arrive within {BODY_SECONDS:.0f} s.") from late
    return bytes(body)
