"""Who serves a request of one deployment: its instances, their free places, and the queue before them.

Azure lets `2 * max_concurrent_requests_per_instance * instance_count` requests in and answers 429 above that. Here half
of them run and half wait; one that comes on top waits `max_queue_wait` for a place before it is refused, so that a
hiccup of one machine does not look like overload. An instance is drained before it is stopped.
May import: `instances`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aml_emulator.instances import Instance

# Waiting requests of one deployment; a bound for a stampede, far above what a client sends.
MAX_WAITING = 10_000


class OverloadedError(Exception):
    """429: more requests are in flight than the deployment admits."""


class TimedOutError(Exception):
    """408: request_timeout passed before an instance had answered."""


@dataclass(slots=True)
class Limits:
    max_concurrent: int = 1
    request_timeout: float = 5.0
    queue_wait: float = 0.5


@dataclass(slots=True, eq=False)
class Pool:
    endpoint: str
    deployment: str
    limits: Limits = field(default_factory=Limits)
    instances: list[Instance] = field(default_factory=list)
    # As deployed; a crashed instance that is being restarted still counts.
    capacity: int = 1
    waiting: deque[asyncio.Future[Instance]] = field(default_factory=deque)
    running: int = 0
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def in_flight(self) -> int:
        return self.running + len(self.waiting)

    def _free(self) -> Instance | None:
        best: Instance | None = None
        for instance in self.instances:
            if instance.in_flight >= self.limits.max_concurrent:
                continue
            if best is None or instance.in_flight < best.in_flight:
                best = instance
        return best

    def _give(self, instance: Instance) -> None:
        instance.in_flight += 1
        self.running += 1

    async def acquire(self, deadline: float) -> Instance:
        """A place on an instance, held until `release`. `deadline` is in loop time."""
        if not self.waiting:
            instance = self._free()
            if instance is not None:
                self._give(instance)
                return instance
        loop = asyncio.get_running_loop()
        admitted = 2 * self.limits.max_concurrent * self.capacity
        over = self.in_flight >= admitted
        if len(self.waiting) >= MAX_WAITING:
            raise OverloadedError
        end = min(deadline, loop.time() + self.limits.queue_wait) if over else deadline
        place: asyncio.Future[Instance] = loop.create_future()
        self.waiting.append(place)
        timer = loop.call_at(end, _expire, place, OverloadedError() if over and end < deadline else TimedOutError())
        try:
            return await place
        except asyncio.CancelledError:
            # The client left in the very moment it got its place.
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release(place.result())
            raise
        finally:
            timer.cancel()
            if not place.done() or place.cancelled() or place.exception() is not None:
                self._forget(place)

    def _forget(self, place: asyncio.Future[Instance]) -> None:
        if place in self.waiting:
            self.waiting.remove(place)
        self._settle()

    def release(self, instance: Instance) -> None:
        instance.in_flight -= 1
        self.running -= 1
        if instance.in_flight == 0:
            instance.idle.set()
        self._hand_out()
        self._settle()

    def _hand_out(self) -> None:
        while self.waiting:
            instance = self._free()
            if instance is None:
                return
            place = self.waiting.popleft()
            if not place.done():
                self._give(instance)
                place.set_result(instance)

    def _settle(self) -> None:
        if not self.in_flight:
            self.empty.set()

    def set_instances(self, instances: list[Instance]) -> None:
        self.instances = instances
        self.capacity = max(1, len(instances))
        self._hand_out()

    def add(self, instance: Instance) -> None:
        self.instances.append(instance)
        self._hand_out()

    def remove(self, instance: Instance) -> None:
        if instance in self.instances:
            self.instances.remove(instance)

    async def drained(self, instance: Instance) -> None:
        """Returns when the instance, already out of rotation, has answered all it was given."""
        while instance.in_flight and not instance.exited.done():
            instance.idle.clear()
            waiter = asyncio.ensure_future(instance.idle.wait())
            both: set[asyncio.Future[Any]] = {waiter, instance.exited}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()

    async def quiet(self) -> None:
        """Returns when nothing runs or waits any more."""
        while self.in_flight:
            self.empty.clear()
            await self.empty.wait()


def _expire(place: asyncio.Future[Instance], error: Exception) -> None:
    if not place.done():
        place.set_exception(error)
