"""Faults a test asks for: which requests they hit, how often, and what happens then.

Not here: the HTTP door to them (`powers`). May import: the standard library, `wire`.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from aml_emulator.wire import Json

FIELDS = {
    "on", "name", "count", "probability", "seed", "delay", "status", "code", "message", "headers", "reset", "kill", "operation",
    "stale_reads", "foreign_write",
}  # fmt: skip
# The scoring door is no operation of the route table.
SCORE = "score"
# Writes that go on in the background: only these can end failed, never end, or be followed by stale reads.
WRITES = ("put", "patch", "delete", "regenerate_keys")
MAX_DELAY = 3600.0
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(slots=True)
class Fault:
    id: int
    on: str
    name: str | None = None
    count: int | None = 1
    probability: float = 1.0
    delay: float = 0.0
    status: int | None = None
    code: str = "InjectedFault"
    message: str = "Injected by /_emulator/faults"
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    kill: bool = False
    failure: tuple[str, str] | None = None
    never_ends: bool = False
    stale_reads: int = 0
    foreign_write: Json | None = None
    hits: int = 0
    seed: int = 0
    # Of its own, so that nothing else that happens changes which requests it hits.
    chance: random.Random = field(default_factory=random.Random)

    @property
    def on_outcome(self) -> bool:
        """It changes how an accepted write goes on, rather than how the request is answered."""
        return self.failure is not None or self.never_ends or self.stale_reads > 0

    def json(self) -> Json:
        body: Json = {"id": self.id, "on": self.on, "name": self.name, "count": self.count, "hits": self.hits}
        body |= {"probability": self.probability, "delay": self.delay, "status": self.status, "code": self.code}
        body |= {"message": self.message, "headers": self.headers, "reset": self.reset, "stale_reads": self.stale_reads}
        body |= {"kill": self.kill, "seed": self.seed}
        body["foreign_write"] = self.foreign_write
        if self.never_ends:
            body["operation"] = "never_ends"
        elif self.failure:
            body["operation"] = {"code": self.failure[0], "message": self.failure[1]}
        return body


def parse(number: int, body: Json, known: Iterable[str]) -> Fault:
    """`known` are the operations there are. Raises ValueError for a fault that could not do what it says."""
    unknown = set(body) - FIELDS
    if unknown:
        raise ValueError(f"unknown field {sorted(unknown)[0]!r}; known are: {', '.join(sorted(FIELDS))}")
    if not isinstance(body.get("on"), str):
        raise ValueError('"on" must name an operation, such as "endpoint.put" or "deployment.*"')
    matching = [name for name in (SCORE, *known) if fnmatchcase(name, body["on"])]
    if not matching:
        raise ValueError(f"no operation matches {body['on']!r}; there are: {', '.join((SCORE, *known))}")
    fault = Fault(number, body["on"], _optional_text(body, "name"))
    fault.count = None if body.get("count", 1) is None else _whole(body, "count", 1, least=1)
    fault.probability = _number(body, "probability", 1, most=1)
    fault.seed = _whole(body, "seed", 0)
    fault.chance = random.Random(fault.seed)
    fault.delay = _number(body, "delay", 0, most=MAX_DELAY)
    fault.status = None if body.get("status") is None else _whole(body, "status", 0, least=200, most=599)
    fault.code = _optional_text(body, "code") or fault.code
    fault.message = _optional_text(body, "message") or fault.message
    fault.headers = _headers(body.get("headers"))
    fault.reset, fault.kill = bool(body.get("reset", False)), bool(body.get("kill", False))
    fault.stale_reads = _whole(body, "stale_reads", 0)
    fault.foreign_write = _foreign(body.get("foreign_write"))
    outcome: Any = body.get("operation")
    if outcome == "never_ends":
        fault.never_ends = True
    elif isinstance(outcome, dict):
        fault.failure = (str(outcome.get("code", fault.code)), str(outcome.get("message", fault.message)))
    elif outcome is not None:
        raise ValueError('"operation" is {"code": ..., "message": ...} or "never_ends"')
    if fault.on_outcome and not any(name.startswith(("endpoint.", "deployment.")) and name.endswith(WRITES) for name in matching):
        raise ValueError(f'"operation" and "stale_reads" are for writes of endpoints and deployments, and {fault.on!r} matches none')
    if fault.kill and not any(name.startswith((SCORE, "endpoint.", "deployment.")) for name in matching):
        raise ValueError(f'"kill" is for score, endpoints and deployments, and {fault.on!r} matches none of them')
    return fault


def _optional_text(body: Json, key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f'"{key}" must be a string, not {value!r}')
    return value


def _number(body: Json, key: str, default: float, *, most: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not 0 <= value <= most:
        raise ValueError(f'"{key}" must be a number from 0 to {most:g}, not {value!r}')
    return float(value)


def _whole(body: Json, key: str, default: int, *, least: int = 0, most: int = 10**9) -> int:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f'"{key}" must be a whole number from {least} to {most}, not {value!r}')
    return value


def _headers(given: Any) -> dict[str, str]:
    if not isinstance(given or {}, dict):
        raise ValueError('"headers" must be an object')
    headers = {str(name): str(value) for name, value in (given or {}).items()}
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"{name!r}: {value!r} is no header that HTTP can carry")
    return headers


FOREIGN = {"when", "traffic", "mirrorTraffic", "tags", "description"}


def _foreign(change: Any) -> Json | None:
    if change is None:
        return None
    if not isinstance(change, dict) or set(change) - FOREIGN or change.get("when", "before") not in ("before", "after"):
        raise ValueError('"foreign_write" is {"when": "before" or "after", and any of "traffic", "mirrorTraffic", "tags", "description"}')
    return change


class Faults:
    def __init__(self, known: Iterable[str] = ()) -> None:
        self._numbers = itertools.count(1)
        self._known = tuple(known)
        self.active: list[Fault] = []

    def add(self, body: Json) -> Fault:
        fault = parse(next(self._numbers), body, self._known)
        self.active.append(fault)
        return fault

    def take(self, operation: str, names: tuple[str, ...], *, outcome: bool) -> Fault | None:
        """The first fault that hits this request, used up by one. `outcome` asks for those that hit the work itself."""
        for fault in self.active:
            if fault.on_outcome is not outcome or not fnmatchcase(operation, fault.on):
                continue
            if fault.name is not None and fault.name.lower() not in names:
                continue
            if fault.count is not None and fault.hits >= fault.count:
                continue
            if fault.chance.random() >= fault.probability:
                continue
            fault.hits += 1
            return fault
        return None

    def remove(self, number: int | None = None) -> None:
        self.active = [] if number is None else [fault for fault in self.active if fault.id != number]
