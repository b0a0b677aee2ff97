"""Asking both deployments the same questions while a bake goes on: the smoke requests, once a minute, straight to each.

Only where the manifest judges quality: its function gets the answers' values, or equal answers are counted. What is asked here is taken out
of the minutes again, because it is no traffic. May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways` and `tasks.judging`.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from prefect.logging import get_run_logger

from aml_canary.domain.judge.minutes import Arm, Minute
from aml_canary.domain.judge.quality import agreement
from aml_canary.domain.judge.risk import risk
from aml_canary.domain.judge.verdict import Verdict
from aml_canary.domain.order import Order
from aml_canary.domain.smoke import same_answer
from aml_canary.errors import Permanent, Transient
from aml_canary.gateways import azureml
from aml_canary.gateways.functions import load
from aml_canary.gateways.scoring import score
from tasks.judging import Watch

_TIMEOUT_SECONDS = 60.0


@dataclass
class _Asked:
    """What was asked of one deployment in one minute, and the values of its answers."""

    statuses: Counter[int] = field(default_factory=Counter)
    values: list[float] = field(default_factory=list)


class Replay:
    """The questions of one bake. `maybe` asks where a new minute has begun."""

    def __init__(self, order: Order, over: Watch) -> None:
        quality = over.rules.quality
        self._order, self._over = order, over
        self._function: Callable[[Any, Any], float] | None = load(quality.function) if quality.function else None
        self._least = quality.least_agreement_percent
        self._wanted = self._function is not None or self._least is not None
        self._asked: dict[tuple[int, str], _Asked] = {}
        self._agreed = self._compared = 0
        self._last = 0

    def maybe(self) -> None:
        """Ask, once in a minute, in its second quarter, so that no answer comes in another minute than its question."""
        minute, second = divmod(time.time(), 60)
        if not self._wanted or not self._over.stable or int(minute) == self._last or not 15 <= second < 30:
            return
        self._last = int(minute)
        try:
            live = azureml.glance(self._order.endpoint)
            access = azureml.scoring_access(self._order.endpoint)
            for request in self._order.manifest.rollout.smoke.requests:
                self._compare(live.scoring_uri, access, self._order.bodies[request.file], request.expect.tolerance)
        except Transient as error:
            get_run_logger().warning("The smoke requests could not be sent again: %s", error)

    def _compare(self, uri: str, access: str, body: bytes, tolerance: float) -> None:
        arms = (self._over.stable, self._over.bake.canary)
        answers = [score(uri, access, body, deployment=name, timeout_seconds=_TIMEOUT_SECONDS) for name in arms]
        for name, answer in zip(arms, answers, strict=True):
            asked = self._asked.setdefault((self._last, name), _Asked())
            asked.statuses[answer.status] += 1
            if self._function is not None and answer.status == 200:
                asked.values.append(value_of(self._function, body, answer.body))
        if answers[0].status == 200:
            self._compared += 1
            self._agreed += answers[1].status == 200 and same_answer(answers[0].body, answers[1].body, tolerance)

    def corrected(self, minutes: tuple[Minute, ...]) -> tuple[Minute, ...]:
        """The minutes without what was asked here, and with the values of the answers."""
        return tuple(
            replace(m, stable=self._arm(m.at, self._over.stable, m.stable), canary=self._arm(m.at, self._over.bake.canary, m.canary))
            for m in minutes
        )

    def _arm(self, minute: int, name: str, arm: Arm | None) -> Arm | None:
        asked = self._asked.get((minute, name))
        if arm is None or asked is None:
            return arm
        answers = {status: count - asked.statuses[status] for status, count in arm.answers.items() if count > asked.statuses[status]}
        return replace(arm, answers=answers, quality=tuple(asked.values))

    def added_to(self, verdict: Verdict) -> Verdict:
        """The verdict with what equal answers say."""
        if self._least is None or not self._compared:
            return verdict
        return verdict.also(agreement(self._agreed, self._compared, self._least, risk(self._over.rules).fail))


def value_of(function: Callable[[Any, Any], float], request: bytes, response: str) -> float:
    """What the manifest's function makes of an answer. Raises Permanent where it makes nothing of it, or the answer is no JSON."""
    try:
        return float(function(json.loads(request), json.loads(response)))
    except Exception as error:
        raise Permanent(
            f"rollout.judge.quality.function failed ({type(error).__name__}: {error}) on the answer {response[:200]!r}. "
            "Have it give a number for every answer that may come with HTTP 200, bad ones too."
        ) from error
