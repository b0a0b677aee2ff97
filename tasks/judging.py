"""The judge's word on a canary that has live traffic, from the metrics of the minutes since its last traffic step.

Computed anew each time and kept nowhere, so whoever asks, the rollout or the guard, hears the same. May import `aml_canary.domain`
and `aml_canary.gateways`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from aml_canary.domain.baking import compared_with
from aml_canary.domain.judge.judging import judge
from aml_canary.domain.judge.minutes import Minute, spans
from aml_canary.domain.judge.verdict import Verdict
from aml_canary.domain.manifest import Judge
from aml_canary.domain.observed import Facts
from aml_canary.domain.steps import Bake
from aml_canary.gateways.metrics import newest_whole_minute, read_minutes

# A canary with all of the traffic is compared with what stable did in this many minutes before.
_BEFORE = 60
# Of what comes after the bake no more minutes than this are read, however long somebody takes to answer a gate.
_MOST_LATER = 24 * 60


@dataclass(frozen=True)
class Watch:
    """One bake as it is judged: what is watched, against whom, by which rules, from which minute since the epoch on."""

    endpoint: str
    bake: Bake
    stable: str
    rules: Judge
    first: int


def watch_of(endpoint: str, bake: Bake, facts: Facts, rules: Judge) -> Watch:
    """The watch over the traffic step that the endpoint's facts tell of, from the first whole minute after it on."""
    first = int(datetime.fromisoformat(facts.since).timestamp() // 60) + 1
    return Watch(endpoint, bake, compared_with(bake, facts.stable), rules, first)


def whole_minutes(watch: Watch) -> int:
    """How many whole minutes there are to judge by now."""
    return max(0, newest_whole_minute(datetime.now(UTC)) - watch.first + 1)


def minutes_of(watch: Watch) -> tuple[Minute, ...]:
    """The whole minutes since the traffic step, of a long wait those that `spans` names. Raises Transient or Permanent."""
    newest = newest_whole_minute(datetime.now(UTC))
    read = spans(watch.first, newest, watch.rules.longest_minutes, _MOST_LATER)
    return tuple(m for first, last in read for m in read_minutes(watch.endpoint, watch.stable or None, watch.bake.canary, first, last))


def minutes_before(watch: Watch) -> tuple[Minute, ...]:
    """The hour before the traffic step: what stable is like."""
    return read_minutes(watch.endpoint, watch.stable or None, watch.bake.canary, watch.first - 1 - _BEFORE, watch.first - 2)


def judged(watch: Watch, minutes: tuple[Minute, ...] | None = None) -> Verdict:
    """The verdict as of now. Raises Transient or Permanent where the metrics cannot be read."""
    seen = minutes_of(watch) if minutes is None else minutes
    return judge(seen, watch.rules, watch.bake.share / 100, before=minutes_before(watch))
