"""Faults a test asks for: which requests they hit, how often, and what happens then.

Not here: the HTTP door to them (`powers`). May import: the standard library, `wire`.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from aml_emulator.wire import Json

FIELDS = {
    "on", "name", "count", "probability", "delay", "status", "code", "message", "headers", "reset", "operation",
    "stale_reads", "foreign_write",
}  # fmt: skip


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
    failure: tuple[str, str] | None = None
    never_ends: bool = False
    stale_reads: int = 0
    foreign_write: Json | None = None
    hits: int = 0

    @property
    def on_outcome(self) -> bool:
        """It changes how an accepted write goes on, rather than how the request is answered."""
        return self.failure is not None or self.never_ends or self.stale_reads > 0

    def json(self) -> Json:
        body: Json = {"id": self.id, "on": self.on, "name": self.name, "count": self.count, "hits": self.hits}
        body |= {"probability": self.probability, "delay": self.delay, "status": self.status, "code": self.code}
        body |= {"message": self.message, "headers": self.headers, "reset": self.reset, "stale_reads": self.stale_reads}
        body["foreign_write"] = self.foreign_write
        if self.never_ends:
            body["operation"] = "never_ends"
        elif self.failure:
            body["operation"] = {"code": self.failure[0], "message": self.failure[1]}
        return body


def parse(number: int, body: Json) -> Fault:
    unknown = set(body) - FIELDS
    if unknown:
        raise ValueError(f"unknown field {sorted(unknown)[0]!r}; known are: {', '.join(sorted(FIELDS))}")
    if not isinstance(body.get("on"), str):
        raise ValueError('"on" must name an operation, such as "endpoint.put" or "deployment.*"')
    fault = Fault(number, body["on"], body.get("name"), body.get("count", 1))
    fault.probability = float(body.get("probability", 1))
    fault.delay = float(body.get("delay", 0))
    fault.status = None if body.get("status") is None else int(body["status"])
    fault.code = str(body.get("code", fault.code))
    fault.message = str(body.get("message", fault.message))
    fault.headers = {str(k): str(v) for k, v in (body.get("headers") or {}).items()}
    fault.reset = bool(body.get("reset", False))
    fault.stale_reads = int(body.get("stale_reads", 0))
    fault.foreign_write = _foreign(body.get("foreign_write"))
    outcome: Any = body.get("operation")
    if outcome == "never_ends":
        fault.never_ends = True
    elif isinstance(outcome, dict):
        fault.failure = (str(outcome.get("code", fault.code)), str(outcome.get("message", fault.message)))
    elif outcome is not None:
        raise ValueError('"operation" is {"code": ..., "message": ...} or "never_ends"')
    return fault


FOREIGN = {"when", "traffic", "mirrorTraffic", "tags", "description"}


def _foreign(change: Any) -> Json | None:
    if change is None:
        return None
    if not isinstance(change, dict) or set(change) - FOREIGN or change.get("when", "before") not in ("before", "after"):
        raise ValueError('"foreign_write" is {"when": "before" or "after", and any of "traffic", "mirrorTraffic", "tags", "description"}')
    return change


class Faults:
    def __init__(self, seed: int = 0) -> None:
        self._numbers = itertools.count(1)
        self._random = random.Random(seed)
        self.active: list[Fault] = []

    def add(self, body: Json) -> Fault:
        fault = parse(next(self._numbers), body)
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
            if self._random.random() >= fault.probability:
                continue
            fault.hits += 1
            return fault
        return None

    def remove(self, number: int | None = None) -> None:
        self.active = [] if number is None else [fault for fault in self.active if fault.id != number]
