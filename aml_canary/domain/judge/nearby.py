"""Is a canary slower that is asked once or twice a minute? Its latencies among stable's percentiles of the minutes nearby, for the last look.

With so few requests, one minute of stable's does not say much about what a single latency should have been; those around it do, while what
both have in common (an hour of the day, an incident) still cancels, if it does not jump about from one minute to the next. What the score
of a canary's minute is on average, and how much it varies, is a matter of ranks and known exactly whatever the latencies are like; only
their sum is taken as normal. May import the standard library only.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from aml_canary.domain.judge.betting import normal_tail, tempered
from aml_canary.domain.judge.coarse import PERCENTS, Latency, rank, scores

# So many minutes on each side are nearby.
NEAR = 5
GRID = 60
# What a dozen minutes vary more than they should is chance, up to this.
BY_CHANCE = 1.6


class Spread(NamedTuple):
    """Of the score of one minute of the canary against one of stable's: its variance through the canary's requests alone, through
    stable's alone, and through both together."""

    canary: float
    stable: float
    both: float


def chance(minutes: Sequence[Latency]) -> float:
    """One-sided p-value of the canary's medians being above where they would be if both were alike."""
    asked = [one.canary > 0 and 50 in one.canary_ms for one in minutes]
    known = [tuple(q for q in PERCENTS if q in one.stable_ms) if one.stable else () for one in minutes]
    surplus: list[float] = []  # of each of the canary's minutes
    expected: list[float] = []  # its variance
    variance = 0.0
    used = [0.0] * len(minutes)  # what stable's minutes are used for, in canary's minutes
    for at, minute in enumerate(minutes):
        near = [other for other in range(max(0, at - NEAR), min(len(minutes), at + NEAR + 1)) if known[other]] if asked[at] else []
        if not near:
            continue
        more = own = others = rest = 0.0
        for other in near:
            of, there = known[other], minutes[other]
            points, chances = scores(minute.canary, 50, there.stable, of, False)
            seen = points[sum(minute.canary_ms[50] > there.stable_ms[q] for q in of)]
            spread = _spread(minute.canary, there.stable, of)
            more += (seen - sum(k * one for k, one in enumerate(chances))) / len(near)
            own += spread.canary / len(near)
            others += spread.stable / len(near)
            rest += max(0.0, spread.both - spread.canary - spread.stable) / len(near)
            used[other] += math.sqrt(spread.stable) / len(near)
        surplus.append(more)
        expected.append(own + (others + rest) / len(near))
        variance += own + rest / len(near)
    variance += sum(one * one for one in used)
    if not variance:
        return 1.0
    # Where latencies jump from one minute to the next, in both, the canary's minutes vary more than ranks alone would make them.
    mean = sum(surplus) / len(surplus)
    seen_spread = sum((one - mean) ** 2 for one in surplus) / max(1, len(surplus) - 1)
    effect = max(1.0, seen_spread / (sum(expected) / len(expected)) / BY_CHANCE)
    return tempered(normal_tail(sum(surplus) / math.sqrt(variance)), effect)


@lru_cache(maxsize=8192)
def _spread(canary: int, stable: int, of: tuple[int, ...]) -> Spread:
    points, chances = scores(canary, 50, stable, of, False)
    steps = [(rank(stable, q), higher - lower) for q, (lower, higher) in zip(of, pairwise(points), strict=True)]
    k = rank(canary, 50)
    grid = [(at + 0.5) / GRID for at in range(GRID)]
    density = [math.exp((k - 1) * math.log(u) + (canary - k) * math.log(1 - u)) for u in grid]
    means = [sum(step * _below(stable, j, u) for j, step in steps) for u in grid]
    whole = sum(density)
    mean = sum(one * weight for one, weight in zip(means, density, strict=True)) / whole
    alone = sum((one - mean) ** 2 * weight for one, weight in zip(means, density, strict=True)) / whole

    def slope(j: int) -> float:
        """How much likelier the canary is above the j-th of stable's where that is a little lower."""
        u = j / (stable + 1)
        return math.exp((k - 1) * math.log(u) + (canary - k) * math.log(1 - u)) * GRID / whole

    other = 0.0
    for i, one in steps:
        for j, two in steps:
            low, high = min(i, j), max(i, j)
            other += one * two * slope(i) * slope(j) * low * (stable + 1 - high) / ((stable + 1) ** 2 * (stable + 2))
    average = sum(score * chance for score, chance in enumerate(chances))
    both = sum((score - average) ** 2 * chance for score, chance in enumerate(chances))
    return Spread(alone, other, both)


@lru_cache(maxsize=65536)
def _below(requests: int, j: int, u: float) -> float:
    """How likely the j-th of so many uniform numbers is below `u`."""
    if requests > 200:
        return normal_tail((j - 0.5 - requests * u) / math.sqrt(requests * u * (1 - u)))
    term = math.exp(requests * math.log(1 - u))
    total = 0.0
    for k in range(j):
        total += term
        term *= (requests - k) / (k + 1) * u / (1 - u)
    return max(0.0, 1 - total)
