"""What the scoring door did: counts since the last reset, counts per minute, and a log of the newest requests. All bounded.

Not here: how Azure Monitor asks for it (`monitor`). May import: the standard library, `wire`.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

from aml_emulator.wire import Json

# Newest requests that the log keeps; and hours that the minutes are kept for.
MAX_LOG = 10_000
MAX_MINUTES = 12 * 60
# Latencies are counted in classes a twentieth wide: percentiles are at most 2.5 % off, whatever the number of requests.
CLASS = math.log(1.05)
# The client was gone before its answer began, as nginx and Envoy write it.
CLIENT_GONE = 499


class Served(NamedTuple):
    """One request to the scoring door."""

    time: float
    endpoint: str
    deployment: str
    method: str
    path: str
    status: int
    # What the model answered, when it was asked; 0 when it was not.
    model_status: int
    milliseconds: float
    request_bytes: int
    response_bytes: int
    request_id: str
    mirrored: bool = False


class Kind(NamedTuple):
    """What requests of one minute are told apart by."""

    endpoint: str
    deployment: str
    status: int
    model_status: int


@dataclass(slots=True)
class Tally:
    count: int = 0
    milliseconds: float = 0.0
    request_bytes: int = 0
    response_bytes: int = 0
    classes: Counter[int] = field(default_factory=Counter)

    def add(self, one: Served) -> None:
        self.count += 1
        self.milliseconds += one.milliseconds
        self.request_bytes += one.request_bytes
        self.response_bytes += one.response_bytes
        self.classes[math.ceil(math.log(max(one.milliseconds, 0.01)) / CLASS)] += 1


def percentile(classes: Counter[int], share: float) -> float:
    """The latency in milliseconds that `share` of the requests did not exceed."""
    wanted, seen = share * sum(classes.values()), 0
    for number in sorted(classes):
        seen += classes[number]
        if seen >= wanted:
            return math.exp((number - 0.5) * CLASS)
    raise ValueError("no requests")


class Stats:
    def __init__(self) -> None:
        self._served: defaultdict[str, defaultdict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
        self._mirrored: defaultdict[str, defaultdict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
        # By the minute's number since 1970.
        self.minutes: dict[int, dict[Kind, Tally]] = {}
        self._log: deque[tuple[int, Served]] = deque(maxlen=MAX_LOG)
        self._number = 0
        # Seconds until Azure Monitor shows what was counted.
        self.metrics_lag = 0.0

    def record(self, one: Served) -> None:
        self._number += 1
        self._log.append((self._number, one))
        if one.status == CLIENT_GONE:
            return
        counts = self._mirrored if one.mirrored else self._served
        counts[one.endpoint][one.deployment][one.status] += 1
        if not one.mirrored:
            self._minute(int(one.time // 60)).setdefault(Kind(*one[1:3], one.status, one.model_status), Tally()).add(one)

    def _minute(self, number: int) -> dict[Kind, Tally]:
        kinds = self.minutes.get(number)
        if kinds is None:
            kinds = self.minutes[number] = {}
            for old in [minute for minute in self.minutes if minute <= number - MAX_MINUTES]:
                del self.minutes[old]
        return kinds

    def clear(self) -> None:
        self._served.clear()
        self._mirrored.clear()
        self.minutes.clear()
        self._log.clear()

    def log(self, since: int, endpoint: str | None) -> list[Json]:
        return [
            {"seq": number, **one._asdict(), "time": round(one.time, 3), "milliseconds": round(one.milliseconds, 3)}
            for number, one in self._log
            if number > since and (endpoint is None or one.endpoint.lower() == endpoint.lower())
        ]

    def json(self) -> Json:
        """`deployments` has an entry "" for requests that no deployment was chosen for (401, 404)."""
        body: Json = {}
        for endpoint in {*self._served, *self._mirrored}:
            served, mirrored = self._served[endpoint], self._mirrored[endpoint]
            body[endpoint] = {
                "total": sum(sum(counter.values()) for counter in served.values()),
                "deployments": {name: _by_status(counter) for name, counter in served.items()},
                "mirrored": {name: _by_status(counter) for name, counter in mirrored.items()},
            }
        return {"endpoints": body}

    def per_minute(self, since: int, endpoint: str | None) -> list[Json]:
        """Of the minutes after the one numbered `since`, oldest first."""
        found: list[Json] = []
        for minute, kinds in sorted(self.minutes.items()):
            for kind, tally in kinds.items():
                if minute > since and (endpoint is None or kind.endpoint.lower() == endpoint.lower()):
                    row: Json = {"minute": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(minute * 60)), **kind._asdict()}
                    row |= {"status_class": f"{kind.status // 100}xx", "requests": tally.count}
                    row |= {f"p{share}_ms": round(percentile(tally.classes, share / 100), 3) for share in (50, 95, 99)}
                    found.append(row | {"mean_ms": round(tally.milliseconds / tally.count, 3)})
        return found


def _by_status(counter: Counter[int]) -> dict[str, int]:
    return {str(status): number for status, number in sorted(counter.items())}
