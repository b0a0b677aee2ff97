"""The powers of a test, under /_emulator/: health, request log, counts, faults, pace, kill, reset. No authentication.

Clearly foreign paths, so that nobody takes them for Azure's. May import: everything but `server` and `cli`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator

from aml_emulator import __version__, instances
from aml_emulator.arm import Log
from aml_emulator.context import Context
from aml_emulator.errors import AzureError
from aml_emulator.instances import Instance
from aml_emulator.pace import Pace
from aml_emulator.runtime import Runtime
from aml_emulator.stats import MAX_MINUTES, Stats
from aml_emulator.wire import Json, Reply, Request


class Powers:
    def __init__(self, context: Context, log: Log, stats: Stats):
        self.context, self.log, self.stats = context, log, stats

    async def health(self, _request: Request) -> Reply:
        return Reply(200, {"status": "ok", "version": __version__})

    # --- what happened --------------------------------------------------------------------------------------------

    async def requests(self, request: Request) -> Reply:
        """`?since=<seq>` and `?operation=<name>` narrow it down."""
        since = request.number("since", 0)
        wanted = request.query.get("operation")
        found = [e for e in self.log.entries if e["seq"] > since and (wanted is None or e["operation"] == wanted)]
        return Reply(200, {"requests": found})

    async def clear_requests(self, _request: Request) -> Reply:
        self.log.entries.clear()
        return Reply(204)

    async def get_stats(self, _request: Request) -> Reply:
        return Reply(200, self.stats.json())

    async def clear_stats(self, _request: Request) -> Reply:
        self.stats.clear()
        return Reply(204)

    async def scoring_log(self, request: Request) -> Reply:
        """The newest requests to the scoring door; `?since=<seq>` and `?endpoint=<name>` narrow it down."""
        return Reply(200, {"requests": self.stats.log(request.number("since", 0), request.query.get("endpoint"))})

    async def minutes(self, request: Request) -> Reply:
        """The newest minutes, oldest first: `?last=<number of minutes>` and `?endpoint=<name>`."""
        since = int(time.time() // 60) - request.number("last", MAX_MINUTES)
        found = self.stats.per_minute(since, request.query.get("endpoint"))
        return Reply(200, {"minutes": found})

    # --- what shall happen ----------------------------------------------------------------------------------------

    async def faults(self, _request: Request) -> Reply:
        return Reply(200, {"faults": [fault.json() for fault in self.context.faults.active]})

    async def add_fault(self, request: Request) -> Reply:
        try:
            return Reply(201, self.context.faults.add(request.json()).json())
        except (ValueError, TypeError, AttributeError) as error:
            raise AzureError(400, "BadFault", str(error)) from None

    async def clear_faults(self, _request: Request) -> Reply:
        self.context.faults.remove()
        return Reply(204)

    async def remove_fault(self, request: Request) -> Reply:
        number = request.params["number"]
        self.context.faults.remove(int(number) if number.isascii() and number.isdigit() else 0)
        return Reply(204)

    async def pace(self, _request: Request) -> Reply:
        return Reply(200, self.context.operations.pace.json() | {"metrics_lag": self.stats.metrics_lag})

    async def set_pace(self, request: Request) -> Reply:
        """{"pace": "fast"|"azure"} starts anew; {"transitions": {"endpoint.update": {"reads": 3}, ...}} adds to it.

        {"metrics_lag": seconds}: how long after a minute began Azure Monitor shows it.
        """
        body = request.json()
        try:
            if "pace" in body:
                if body["pace"] not in ("fast", "azure"):
                    raise ValueError('pace is "fast" or "azure"')
                self.context.operations.pace.become(Pace.named(body["pace"]))
            for kind, value in (body.get("transitions") or {}).items():
                self.context.operations.pace.set(kind, value)
            if "metrics_lag" in body:
                lag = float(body["metrics_lag"])
                if not 0 <= lag < math.inf:
                    raise ValueError("metrics_lag is a number of seconds, 0 or more")
                self.stats.metrics_lag = lag
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise AzureError(400, "BadPace", str(error)) from None
        return Reply(200, self.context.operations.pace.json() | {"metrics_lag": self.stats.metrics_lag})

    # --- processes ------------------------------------------------------------------------------------------------

    def _running(self) -> Iterator[tuple[Runtime, Instance]]:
        for endpoint in self.context.store.endpoints.values():
            for deployment in endpoint.deployments.values():
                for instance in deployment.runtime.pool.instances if deployment.runtime else ():
                    yield deployment.runtime, instance

    async def processes(self, _request: Request) -> Reply:
        return Reply(200, {"processes": [_process(runtime, instance) for runtime, instance in self._running()]})

    async def kill(self, request: Request) -> Reply:
        """{"endpoint": ..., "deployment": ...} kills one of its processes; {"pid": ...} that one."""
        body = request.json()
        for runtime, instance in self._running():
            named = (runtime.endpoint.lower(), runtime.deployment.lower())
            wanted = (str(body.get("endpoint", "")).lower(), str(body.get("deployment", "")).lower())
            if instance.pid == body.get("pid") or ("pid" not in body and named == wanted):
                entry = _process(runtime, instance)
                instances.kill_group(instance.pid)
                await asyncio.shield(instance.exited)
                return Reply(200, entry)
        raise AzureError(404, "NoSuchProcess", "no scoring process matches")

    async def reset(self, _request: Request) -> Reply:
        """Everything gone but the emulator itself: quick, so that each test can have it."""
        await self.end_all()
        self.context.store.clear()
        self.context.blobs.clear()
        self.context.faults.remove()
        self.context.operations.pace = Pace.named(self.context.settings.pace)
        self.stats.clear()
        self.stats.metrics_lag = 0.0
        self.log.entries.clear()
        return Reply(204)

    async def end_all(self) -> None:
        """Operations, routes and processes; the records stay."""
        store = self.context.store
        for operation in store.operations.values():
            if operation.task is not None:
                operation.task.cancel()
        tasks = [operation.task for operation in store.operations.values() if operation.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        runtimes = [d.runtime for e in store.endpoints.values() for d in e.deployments.values() if d.runtime]
        self.context.routing.routes.clear()
        await asyncio.gather(*(runtime.close(drain=False) for runtime in runtimes))


def _process(runtime: Runtime, instance: Instance) -> Json:
    names: Json = {"endpoint": runtime.endpoint, "deployment": runtime.deployment}
    return names | {"pid": instance.pid, "port": instance.port, "in_flight": instance.in_flight}
