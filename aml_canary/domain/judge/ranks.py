"""Are the canary's single values higher than stable's (latencies of requests), or lower (quality)? By ranks within each minute.

If both are alike, which of a minute's values are the canary's is chance alone. So the sum of the canary's scores is compared with the sums
of all other choices of as many values; where these are too many to go through, with the bound that drawing without replacement varies
less than drawing with it (Hoeffding 1963). May import the standard library only.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

from aml_canary.domain.judge.betting import normal_tail, tempered, winnings
from aml_canary.domain.judge.counts import Count, factors

Values = tuple[float, ...]

BETS = (0.1, 0.3, 0.8)
TAILS = (0.9, 0.99)
# However far off it is, one minute counts no more than this: a deployment may have a bad minute of its own.
MOST_IN_A_MINUTE = math.log(8)
# Up to so many steps all choices are gone through.
EXACTLY = 4000
_inverse = NormalDist().inv_cdf


class Scored(NamedTuple):
    """One minute: logarithms of the factors of all bets, the sum of the canary's scores, and its variance if both are alike."""

    logs: tuple[float, ...]
    total: float
    variance: float


def normal_scores(values: Sequence[float]) -> list[float]:
    """For each value, the normal quantile of its rank; equal values have equal scores, and all of them add up to 0."""
    order = sorted(range(len(values)), key=values.__getitem__)
    scores = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        score = _inverse((0.5 * (first + last) + 0.5) / len(order))
        for at in range(first, last + 1):
            scores[order[at]] = score
        first = last + 1
    mean = sum(scores) / len(scores) if scores else 0.0  # not 0 where some are equal
    return [score - mean for score in scores]


def log_mean(scores: Sequence[float], chosen: int, strength: float) -> float:
    """Logarithm of the mean of exp(strength * sum) over all choices of so many scores, or of a bound above it."""
    weights = [math.exp(strength * score) for score in scores]
    mean = sum(weights) / len(weights)
    if len(scores) * chosen > EXACTLY:
        return chosen * math.log(mean)
    sums = [1.0] + [0.0] * chosen  # means of products of k of the weights so far, each divided by their mean
    for number, weight in enumerate(weights, 1):
        for k in range(min(number, chosen), 0, -1):
            # Of the choices of k among `number`, the share k/number has the newest.
            sums[k] = sums[k] * (number - k) / number + sums[k - 1] * weight / mean * k / number
    return math.log(sums[chosen]) + chosen * math.log(mean)


@lru_cache(maxsize=4096)
def scored(canary: Values, stable: Values) -> Scored:
    """One minute; higher is worse."""
    bets = len(BETS) + len(TAILS)
    if not canary or not stable:
        return Scored((0.0,) * bets, 0.0, 0.0)
    pooled = (*canary, *stable)
    scores = normal_scores(pooled)
    total, size = sum(scores[: len(canary)]), len(pooled)
    # The sum of all scores is 0: what the canary's sum is, stable's is not. The fewer are the quicker and the sharper.
    few, signed = (len(canary), scores) if len(canary) <= len(stable) else (len(stable), [-score for score in scores])
    logs = [bet * total - log_mean(signed, few, bet) for bet in BETS]
    order = sorted(pooled)
    for tail in TAILS:
        edge = order[min(size - 1, int(tail * size))]
        above, others = sum(value >= edge for value in canary), sum(value >= edge for value in stable)
        logs.append(math.log(sum(math.exp(log) for log in factors(Count(len(canary), above, len(stable), others))) / 5))
    variance = len(canary) * len(stable) / (size * max(1, size - 1)) * sum(score * score for score in scores)
    return Scored(tuple(min(log, MOST_IN_A_MINUTE) for log in logs), total, variance)


def evidence(minutes: Sequence[tuple[Values, Values]]) -> float:
    """For the canary's values being higher, of (canary, stable) by minute; if they are not, exceeded with probability 1/evidence, ever."""
    return winnings([scored(canary, stable).logs for canary, stable in minutes])


def chance(minutes: Sequence[tuple[Values, Values]]) -> float:
    """The p-value of all these minutes together, looked at once, at a time that was known beforehand."""
    found = [one for one in (scored(canary, stable) for canary, stable in minutes) if one.variance > 0]
    variance = sum(one.variance for one in found)
    if not found:
        return 1.0
    drift = sum(one.total for one in found) / variance
    effect = sum((one.total - drift * one.variance) ** 2 / one.variance for one in found) / max(1, len(found) - 1)
    return tempered(normal_tail(sum(one.total for one in found) / math.sqrt(variance)), max(1.0, effect))
