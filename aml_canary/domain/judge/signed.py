"""How far is the canary's latency from stable's over many minutes? Wilcoxon's signed-rank test, for the one look at the longest minute.

If both are alike, a minute's difference is as likely to be so much above zero as below it. That uses how large the differences are and is
sharper than their signs alone, but wants latencies without gaps: see `coarse.is_wide`. May import the standard library only.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from aml_canary.domain.judge.betting import normal_tail
from aml_canary.domain.judge.coarse import Latency

# The 90th percentile counts for this part, where the canary has so many requests that there is one.
PART, NEEDS = 0.3, 15
# Up to so many minutes the distribution is computed exactly.
EXACTLY = 100


def differences(minutes: Sequence[Latency]) -> list[float]:
    """For each minute with both latencies, the logarithm of the canary's over stable's; the oldest first."""
    found = []
    for minute in minutes:
        if not (minute.canary and minute.stable and _known(minute.canary_ms, 50) and _known(minute.stable_ms, 50)):
            continue
        difference = math.log(minute.canary_ms[50] / minute.stable_ms[50])
        if min(minute.canary, minute.stable) >= NEEDS and _known(minute.canary_ms, 90) and _known(minute.stable_ms, 90):
            difference += PART * (math.log(minute.canary_ms[90] / minute.stable_ms[90]) - difference)
        found.append(difference)
    return found


def _known(by: Mapping[int, float], percent: int) -> bool:
    return by.get(percent, 0.0) > 0


def chance(values: Sequence[float]) -> float:
    """One-sided p-value for values (one for each minute) that tend to be above zero. Zeros say nothing."""
    return _chance(tuple(values))


@lru_cache(maxsize=64)
def _chance(values: tuple[float, ...]) -> float:
    ordered = sorted((abs(value), value > 0) for value in values if value)
    doubled: list[int] = []  # twice the ranks, so that equal values may share one
    first = 0
    while first < len(ordered):
        last = first
        while last + 1 < len(ordered) and ordered[last + 1][0] == ordered[first][0]:
            last += 1
        doubled += [first + last + 2] * (last - first + 1)
        first = last + 1
    seen = sum(rank for rank, (_, above) in zip(doubled, ordered, strict=True) if above)
    total = sum(doubled)
    if not ordered:
        return 1.0
    if len(ordered) > EXACTLY:
        return normal_tail((seen - 1 - total / 2) / math.sqrt(sum(rank * rank for rank in doubled) / 4))
    ways = [1.0] + [0.0] * total
    top = 0
    for rank in doubled:
        top += rank
        for at in range(top, -1, -1):
            ways[at] = (ways[at] + (ways[at - rank] if at >= rank else 0.0)) / 2
    return min(1.0, sum(ways[seen:]))
