"""How long things take: when a long-running operation may end, per kind.

Three modes: `at_once`, after `reads` polls of its status, after `seconds`. Real work (starting processes) comes on top.
May import: `state`.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from aml_emulator.state import Operation
from aml_emulator.wire import Json

KINDS = (
    "endpoint.create", "endpoint.update", "endpoint.delete", "endpoint.regenerate",
    "deployment.create", "deployment.update", "deployment.scale", "deployment.delete",
)  # fmt: skip

# What azure-core reads as "ask again after this many milliseconds"; real Azure sends no hint at all.
HINT_MS = 50


@dataclass(slots=True)
class Transition:
    reads: int = 0
    seconds: float = 0.0

    def json(self) -> Json:
        return {"reads": self.reads, "seconds": self.seconds}


@dataclass(slots=True)
class Pace:
    name: str = "fast"
    rules: dict[str, Transition] = field(default_factory=dict)
    # Operations that wait to be read; another pace has them look again, because whoever began them may never read.
    waiting: dict[int, Operation] = field(default_factory=dict)

    @classmethod
    def named(cls, name: str) -> Pace:
        pace = cls(name)
        if name == "azure":
            # Azure's own times are minutes; these keep its order of events without its patience.
            pace.rules["endpoint.*"] = Transition(seconds=2)
            pace.rules["deployment.*"] = Transition(seconds=4)
        return pace

    def become(self, other: Pace) -> None:
        """Take another's rules, for operations under way too."""
        self.name, self.rules = other.name, other.rules
        self._look_again()

    def _look_again(self) -> None:
        for operation in self.waiting.values():
            operation.read.set()

    @property
    def hint(self) -> dict[str, str]:
        return {"x-ms-retry-after-ms": str(HINT_MS)} if self.name == "fast" else {}

    def set(self, kind: str, value: Any) -> None:
        """`value` is "at_once", {"reads": n} or {"seconds": t}; kind may be a pattern such as `deployment.*`."""
        if not any(fnmatchcase(known, kind) for known in KINDS):
            raise ValueError(f"no operation kind matches {kind!r}; there are: {', '.join(KINDS)}")
        if value == "at_once":
            transition = Transition()
        elif isinstance(value, dict) and value and set(value) <= {"reads", "seconds"}:
            transition = Transition(int(value.get("reads", 0)), float(value.get("seconds", 0)))
            if transition.reads < 0 or not 0 <= transition.seconds < math.inf:
                raise ValueError(f"reads and seconds must be 0 or more, and finite: {value!r}")
        else:
            raise ValueError('a transition is "at_once", {"reads": n} or {"seconds": t}')
        # The newest rule wins, so an older one with the same pattern must not keep its place.
        self.rules.pop(kind, None)
        self.rules[kind] = transition
        self._look_again()

    def transition(self, kind: str) -> Transition:
        for pattern, transition in reversed(self.rules.items()):
            if fnmatchcase(kind, pattern):
                return transition
        return Transition()

    async def wait(self, operation: Operation) -> None:
        transition = self.transition(operation.kind)
        if transition.seconds:
            await asyncio.sleep(transition.seconds)
        # Asked again each time, so that an operation held back by a great number of reads can be let go.
        self.waiting[id(operation)] = operation
        try:
            while operation.reads < self.transition(operation.kind).reads:
                operation.read.clear()
                await operation.read.wait()
        finally:
            del self.waiting[id(operation)]

    def json(self) -> Json:
        return {"pace": self.name, "transitions": {k: v.json() for k, v in self.rules.items()}}
