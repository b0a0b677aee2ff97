"""Is the canary slower than stable, where only percentiles of each minute are known? That is all that Azure Monitor has.

Where the canary's median falls among stable's percentiles is a matter of ranks: if both are alike, the chance that the k-th of its requests
is slower than the j-th of stable's is known exactly, whatever the latencies are like (two modes, drifting together). Which ranks a source
calls a percentile is not quite known, so the less favourable of the usual conventions counts. May import the standard library only.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist
from typing import NamedTuple

from aml_canary.domain.judge.betting import chance_of_sum, normal_tail, winnings

PERCENTS = (50, 90, 95, 99)
# How the canary's percentiles share the risk of a false alarm, where all of them are different requests.
SHARES = {50: 0.64, 90: 0.12, 95: 0.12, 99: 0.12}
# A difference that nobody feels is none, however sure it is.
TOLERATED_MS, TOLERATED, MOST_TIMES = 5.0, 1.05, math.log(3)
# How much is bet, in standard deviations.
BETS = (0.3, 0.8, 2.0)
# However far off it is, one minute is no more unlikely than this, by which of stable's percentiles the canary's is above: a deployment may
# have a bad minute of its own. (A minute of less than SINGLE requests is as unlikely as it is.)
LEAST, SINGLE = {50: 0.25, 90: 0.1, 95: 0.05, 99: 0.05}, 3
PLENTY = 300
# Stable's 90th percentile is this many times its median where latencies have such gaps that a median between two requests is a third thing.
WIDE = 5.0

_NORMAL = NormalDist()


class Latency(NamedTuple):
    """Requests of both in one minute, and their latencies in milliseconds by percent."""

    canary: int
    canary_ms: Mapping[int, float]
    stable: int
    stable_ms: Mapping[int, float]


@lru_cache(maxsize=65536)
def slower(canary: int, k: int, stable: int, j: int) -> float:
    """How likely the k-th fastest of `canary` requests is slower than the j-th of `stable`, if all are alike."""
    a, b = j, stable - j + 1
    mean = canary * a / (stable + 1)
    spread = math.sqrt(canary * a * b * (stable + 1 + canary) / (stable + 2)) / (stable + 1)
    if k - 0.5 - mean > 8 * spread + 4:
        return 1.0
    if mean - k > 8 * spread + 4:
        return 0.0
    if spread > 12:
        return normal_tail((mean - k + 0.5) / spread)
    at = k - 1  # at most this many of the canary's below stable's j-th
    log = math.lgamma(canary + 1) - math.lgamma(at + 1) - math.lgamma(canary - at + 1)
    log += math.lgamma(at + a) + math.lgamma(canary - at + b) - math.lgamma(canary + a + b)
    log -= math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    term = math.exp(log)
    total = term
    while at > 0 and (at > mean or term > 1e-13 * total):
        term *= at / (canary - at + 1) * (canary - at + b) / (at - 1 + a)
        total += term
        at -= 1
    return min(1.0, total)


def _between(position: float, wide: bool) -> tuple[int, float]:
    whole = int(position)
    part = position - whole
    return whole, float(part > 0) if wide else part


@lru_cache(maxsize=65536)
def likely(canary: int, percent: int, stable: int, of: int, wide: bool, most: bool = True) -> float:
    """How likely the canary's percentile is above stable's percentile `of`, if all are alike, by the convention where it is `most`, or least."""
    k, j = rank(canary, percent), rank(stable, of)
    near = slower(canary, k, stable, j)
    if canary > PLENTY and stable > PLENTY:
        return near  # the conventions hardly differ
    (low, part), (bottom, rest) = _between(1 + (canary - 1) * percent / 100, wide), _between(1 + (stable - 1) * of / 100, False)
    top = min(low + 1, canary)
    linear = 0.0
    for place, weight in ((low, 1 - part), (top, part)):
        for other, share in ((bottom, 1 - rest), (min(bottom + 1, stable), rest)):
            if weight * share > 0:
                linear += weight * share * slower(canary, place, stable, other)
    return max(near, linear) if most else min(near, linear)


def shares(canary: float) -> dict[int, float]:
    """How the percentiles share the risk where the canary usually has so many requests a minute: those that are the same request, once."""
    requests = max(1, round(canary))
    ranks = [rank(requests, q) for q in PERCENTS]
    alone = {q: SHARES[q] for at, q in enumerate(PERCENTS) if ranks[at] not in ranks[:at]}
    return {q: alone.get(q, 0.0) / sum(alone.values()) for q in PERCENTS}


def rank(requests: int, percent: int) -> int:
    """Which of so many requests, the fastest first, is the percentile: the nearest rank."""
    return max(1, -(-requests * percent // 100))


def felt(pairs: Sequence[tuple[float, float]]) -> bool:
    """Whether the canary's latencies are above stable's by so much that anybody feels it, of (canary, stable) milliseconds by minute.

    One minute counts no more than three times as slow.
    """
    logs = [max(-MOST_TIMES, min(MOST_TIMES, math.log(own / other))) for own, other in pairs if own > 0 and other > 0]
    if not logs:
        return False
    times = math.exp(sum(logs) / len(logs))
    usual = sum(other for _, other in pairs) / len(pairs)
    return times > TOLERATED and (times - 1) * usual > TOLERATED_MS


class Place(NamedTuple):
    """Where the canary's percentile is among stable's in one minute: its score, and how likely each score from 0 on is, if all are alike."""

    score: int
    chances: tuple[float, ...]


class Placed(NamedTuple):
    """A place, and its factors."""

    place: Place
    factors: tuple[float, ...]


@lru_cache(maxsize=8192)
def scores(canary: int, percent: int, stable: int, of: tuple[int, ...], wide: bool) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The score of being above none, one, ... of stable's percentiles `of`; and how likely each score from 0 on is, at most.

    A score is half a standard deviation: the normal quantile in the middle of what is as likely.
    """
    above = [1.0]
    for one in of:
        least = 0.0 if canary < SINGLE else LEAST[one]
        above.append(min(above[-1], max(least, likely(canary, percent, stable, one, wide))))
    above.append(0.0)
    middles = [1 - (one + other) / 2 for one, other in pairwise(above)]
    raw = [2 * _NORMAL.inv_cdf(min(0.999, max(0.001, middle))) for middle in middles]
    points = tuple(round(one - raw[0]) for one in raw)
    chances = [0.0] * (points[-1] + 1)
    for score, (higher, lower) in zip(points, pairwise(above), strict=True):
        chances[score] += higher - lower
    return points, tuple(chances)


def places(minutes: Sequence[Latency], wide: bool) -> list[Mapping[int, Placed]]:
    """Of each minute, the canary's percentiles that say something."""
    return [
        _placed(one.canary, tuple(one.canary_ms.items()), one.stable, tuple(one.stable_ms.items()), wide)
        for one in minutes
        if one.canary and one.stable
    ]


@lru_cache(maxsize=16384)
def _placed(
    canary: int, canary_ms: tuple[tuple[int, float], ...], stable: int, stable_ms: tuple[tuple[int, float], ...], wide: bool
) -> Mapping[int, Placed]:
    edges = sorted((percent, ms) for percent, ms in stable_ms if percent in LEAST)
    of = tuple(percent for percent, _ in edges)
    found: dict[int, Placed] = {}
    ranks = set()
    for percent, own in sorted(canary_ms) if of else ():
        # The same request says nothing more.
        if percent in LEAST and rank(canary, percent) not in ranks:
            ranks.add(rank(canary, percent))
            points, chances = scores(canary, percent, stable, of, wide)
            place = Place(points[sum(own > ms for _, ms in edges)], chances)
            found[percent] = Placed(place, factors(place))
    return found


@lru_cache(maxsize=65536)
def factors(place: Place) -> tuple[float, ...]:
    """For each of BETS, the logarithm of the factor of this place, which is 1 on average if both are alike."""
    mean = sum(score * chance for score, chance in enumerate(place.chances))
    spread = math.sqrt(sum((score - mean) ** 2 * chance for score, chance in enumerate(place.chances)))
    if spread < 1e-9:
        return (0.0,) * len(BETS)
    logs = []
    for bet in BETS:
        total = sum(chance * math.exp(bet * score / spread) for score, chance in enumerate(place.chances) if chance)
        logs.append(bet * place.score / spread - math.log(total))
    return tuple(logs)


def usual(minutes: Sequence[Latency]) -> float:
    """Requests of the canary in a minute in which it is asked."""
    asked = [one.canary for one in minutes if one.canary]
    return sum(asked) / len(asked) if asked else 0.0


def is_wide(minutes: Sequence[Latency]) -> bool:
    """Whether stable's latencies are so far apart that a percentile between two requests may be far from both."""
    ratios = sorted(
        minute.stable_ms[90] / minute.stable_ms[50] for minute in minutes if minute.stable_ms.get(50) and 90 in minute.stable_ms
    )
    return bool(ratios) and ratios[len(ratios) // 2] > WIDE


def evidence(minutes: Sequence[Latency]) -> dict[int, float]:
    """For the canary being slower, by percentile; a healthy one exceeds the mean, weighted by SHARES, with probability 1/mean, ever."""
    found = places(minutes, is_wide(minutes))
    return {percent: winnings([one[percent].factors for one in found if percent in one]) for percent in PERCENTS}


def chance(minutes: Sequence[Latency]) -> dict[int, float]:
    """The p-values of all these minutes together, by percentile, looked at once, at a time that was known beforehand."""
    by_minute = places(minutes, is_wide(minutes))
    found = {percent: [one[percent].place for one in by_minute if percent in one] for percent in PERCENTS}
    return {percent: chance_of_sum([one.chances for one in some], sum(one.score for one in some)) for percent, some in found.items()}
