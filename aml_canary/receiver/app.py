"""The webhook door: an ASGI app that turns a genuine push into one run of the sync flow, a pull request into one review, and a comment that
speaks to us into one run that answers with it.

A delivery is a nudge. It says which commit to look at; what shall be live is read from git, by the flow. So nothing is kept
here, and a delivery that is lost costs one interval of the scheduled sync. May import `githosts`, `settings`, `errors` and its
siblings `runs`, `bucket` and `metrics`.
"""

import asyncio
import json
import logging
import math
import re
import time
from functools import partial
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aml_canary.errors import Permanent, Transient
from aml_canary.githosts import HOSTS
from aml_canary.githosts.delivery import Comment, Event, Forged, Ignored, NotSigned, PullRequest, Push, Unreadable
from aml_canary.receiver.bucket import Buckets, Rate
from aml_canary.receiver.metrics import CONTENT_TYPE_LATEST, Metrics
from aml_canary.receiver.runs import NotDeployed, Runs, check_ready, refuse_to_start_without_prefect
from aml_canary.settings import Settings, settings

# A push of 2,000 commits is below 3 MiB, and one delivery never takes more memory than this.
BODY_BYTES = 3 * 1024 * 1024
# A host sends its body at once; who takes longer is holding the connection.
BODY_SECONDS = 10.0
# A host that delivers for a whole organization stays far below both. Who does not is answered before anything is read.
EACH_ADDRESS = Rate(burst=200, per_second=20)
ALL_ADDRESSES = Rate(burst=500, per_second=100)

logger = logging.getLogger("aml_canary.receiver")


_Line = dict[str, str | int | bool | None]
_PASSWORD_IN_URL = re.compile(r"//[^/@\s]+@")


class _Answer(NamedTuple):
    """An HTTP status, what is said with it and logged, and after how many seconds another try makes sense."""

    status: int
    said: dict[str, str]
    retry_after: float | None = None


class _Refused(Permanent):
    """The request is not one that this door takes."""

    def __init__(self, status: int, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class _Door:
    """What of the settings a delivery is judged by, and where it leads."""

    def __init__(self, installed: Settings, runs: Runs) -> None:
        self.secrets = tuple(secret.get_secret_value() for secret in installed.webhook_secrets)
        # Hosts do not tell names apart by case.
        self.repositories = {name.casefold(): name for name in installed.repositories}
        self.branch = installed.branch
        self.runs, self.metrics, self.buckets = runs, Metrics(), Buckets(EACH_ADDRESS, ALL_ADDRESSES)
        if not self.secrets or not all(secret.strip() for secret in self.secrets):
            raise Permanent(
                "No webhook secret is configured, or one is empty: anybody could start a rollout. "
                "Set AML_CANARY_WEBHOOK_SECRETS, a JSON list such as '[\"...\"]', to the secret that the git host signs with."
            )
        if not self.repositories:
            raise Permanent('No repository is followed. Set AML_CANARY_REPOSITORIES, such as \'{"acme/models": "https://..."}\'.')

    def objection(self, event: Event) -> str:
        """Why nothing is started for this event; empty where something is."""
        if isinstance(event, Ignored):
            return event.reason
        branch = event.branch if isinstance(event, Push) else event.target if isinstance(event, PullRequest) else self.branch
        if branch != self.branch:
            return f"Branch {branch!r} is not followed; {self.branch!r} is."
        if event.repository.casefold() not in self.repositories:
            # Not a 4xx: one webhook may serve a whole organization, and hosts switch off webhooks that fail often.
            return f"Repository {event.repository!r} is not followed. Add it to AML_CANARY_REPOSITORIES to change that."
        return ""


def create_app(installed: Settings | None = None, runs: Runs | None = None) -> Starlette:
    """The app for these settings, or for those in the environment. Raises Permanent where it could not do its work safely.

    A plain ASGI app: any server runs it that is told `aml_canary.receiver:create_app` and that this is a factory. The bounds on
    connections and request heads are those of `receiver.server`.
    """
    door = _Door(installed or settings(), runs or Runs())
    refuse_to_start_without_prefect()
    return Starlette(
        routes=[
            Route("/webhooks/{host}", partial(_deliver, door), methods=["POST"]),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz),
            Route("/metrics", partial(_metrics, door)),
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


async def _metrics(door: _Door, _: Request) -> Response:
    return Response(door.metrics.exposition(), headers={"content-type": CONTENT_TYPE_LATEST})


async def _deliver(door: _Door, request: Request) -> Response:
    """Answers one delivery, and says in one line of the log what came of it."""
    started = time.monotonic()
    host = request.path_params["host"]
    line: _Line = {"host": host[:50]}
    try:
        answer = await _take(door, request, line)
    except (NotSigned, Forged) as refused:
        answer = _Answer(401, {"refused": str(refused)})
    except Unreadable as refused:
        answer = _Answer(400, {"refused": str(refused)})
    except ClientDisconnect:
        answer = _Answer(400, {"refused": "The connection was closed before all of the body had arrived."})
    except _Refused as refused:
        answer = _Answer(refused.status, {"refused": str(refused)}, refused.retry_after)
    except Transient as problem:
        # Prefect's address may hold a password.
        line["cause"] = _PASSWORD_IN_URL.sub("//", repr(problem.__cause__))
        answer = _Answer(503, {"refused": f"{problem} Deliver it again, or wait for the scheduled sync."}, problem.retry_after)
    seconds = time.monotonic() - started
    door.metrics.count(host if host in HOSTS else "unknown", answer.status, seconds)
    line |= {"status": answer.status, "milliseconds": round(seconds * 1000), **answer.said}
    # Who knocks too often shall not fill the log either.
    level = logging.DEBUG if answer.status == 429 else logging.INFO if answer.status < 400 else logging.WARNING
    logger.log(level, "%s", json.dumps(line))
    headers = {} if answer.retry_after is None else {"Retry-After": f"{math.ceil(answer.retry_after)}"}
    return JSONResponse(answer.said, answer.status, headers)


async def _take(door: _Door, request: Request, line: _Line) -> _Answer:
    """From the first byte to the run's id; `line` learns what is known on the way."""
    wait = door.buckets.wait(request.client.host if request.client else "", time.monotonic())
    if wait:
        raise _Refused(429, "Too many deliveries at once.", wait)
    name = request.path_params["host"]
    host = HOSTS.get(name)
    if host is None:
        raise _Refused(404, f"No such git host here; there is {', '.join(HOSTS)}.")
    line["delivery"] = request.headers.get(host.DELIVERY_HEADER, "")[:100]
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Refused(415, "Set the webhook's content type to application/json.")
    body = await _body(request)
    host.verify(request.headers, body, door.secrets, time.time())
    events = host.parse(request.headers, body)
    # One branch is followed, so of the branches in one delivery at most one is.
    event = next((event for event in events if not door.objection(event)), events[0])
    line |= _known(event)
    if objection := door.objection(event):
        return _Answer(202, {"ignored": objection})
    return await _start(door, name, event)


def _known(event: Event) -> _Line:
    """What of an event the log shows."""
    if isinstance(event, Ignored):
        return {}
    known: _Line = {"repository": event.repository, "commit": event.commit}
    if isinstance(event, Comment):
        return known | {"number": event.number, "comment": event.id, "login": event.login}
    if isinstance(event, Push):
        return known | {"branch": event.branch, "forced": event.forced, "pusher": event.pusher[:100]}
    return known | {"number": event.number, "target": event.target, "author": event.author[:100]}


async def _start(door: _Door, host: str, event: Event) -> _Answer:
    if isinstance(event, Ignored):
        return _Answer(202, {"ignored": event.reason})
    name = door.repositories[event.repository.casefold()]
    if isinstance(event, Push):
        return _Answer(201, {"run": await door.runs.sync(event, name)})
    try:
        if isinstance(event, Comment):
            return _Answer(201, {"run": await door.runs.answer(host, event, name, door.secrets[0])})
        return _Answer(201, {"run": await door.runs.review(host, event, name)})
    except NotDeployed as missing:
        return _Answer(202, {"ignored": f"This kind of delivery is not asked for. {missing}"})


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
