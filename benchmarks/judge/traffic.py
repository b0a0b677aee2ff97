"""The minutes of one simulated canary, as a source of metrics would tell them to a judge. May import aml_canary.domain.judge.minutes.

`percentiles` per minute is what Azure Monitor has, and what every judge gets; `durations` of single requests is what only some sources have.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from statistics import NormalDist

from aml_canary.domain.judge.minutes import Arm, Minute
from benchmarks.judge.draws import binomial, geometric, percentiles, poisson, values
from benchmarks.judge.families import MINUTES, Family

SEED = "judge-1"
FIRST = 29_000_000  # minutes since the epoch; any will do
MEDIAN_MS = 100.0
SIGMA = 0.6
SLOW_MODE = 3.0
WARMING_UP = (3.0, 1.6, 1.2)

_inverse = NormalDist().inv_cdf
Quantile = Callable[[float], float]


@dataclass(frozen=True)
class Bake:
    """One canary's minutes, and how many answers of each minute were bad because of the canary's fault."""

    minutes: tuple[Minute, ...]
    harm: tuple[float, ...]


@dataclass(frozen=True)
class Cell:
    """A family at a rate (requests per minute, both arms) and a share (the canary's, in percent)."""

    family: Family
    rate: int
    share: int

    def __str__(self) -> str:
        return f"{self.family.name}, {self.rate} a minute, {self.share} %"


def bake(cell: Cell, number: int, *, single: bool = False) -> Bake:
    """Run `number` of a cell, always the same. With `single`, arms hold each request's duration and no percentiles."""
    family = cell.family
    random = Random(f"{SEED}:{family.name}:{cell.rate}:{cell.share}:{number}:{single}")
    odds = family.split * cell.share / (100 - cell.share)
    share = odds / (1 + odds)
    phase, incident, gap = random.random(), random.randint(8, 20), random.randint(5, 15)
    minutes, harm = [], []
    for minute in range(MINUTES):
        volume, errors, scale = float(cell.rate), family.errors, MEDIAN_MS
        if family.diurnal:
            wave = math.sin(2 * math.pi * (minute / MINUTES + phase))
            volume, errors, scale = volume * (1 + 0.5 * wave), errors * (1 + 0.6 * wave), scale * (1 + 0.25 * wave)
        if family.incident and incident <= minute < incident + 6:
            errors, scale = 0.2, scale * 2
        total = poisson(random, volume)
        asked = binomial(random, total, share)
        stable = _arm(random, family, total - asked, errors, _latency(scale, family.bimodal), single)
        own = canary_errors(family, minute, errors)
        slow = _canary_latency(family, minute, scale)
        canary = _arm(random, family, asked, own, slow, single)
        if family.gaps and gap <= minute < gap + 5:
            minutes.append(Minute(FIRST + minute, None, None))
        else:
            lost = family.gaps and random.random() < 0.1
            minutes.append(Minute(FIRST + minute, stable, None if lost else canary))
        harm.append(_harm(family, canary) if minute >= family.onset else 0.0)
    return Bake(tuple(minutes), tuple(harm))


def canary_errors(family: Family, minute: int, errors: float) -> float:
    """The canary's share of errors in this minute, where stable's is `errors`."""
    if family.worse is None or minute < family.onset:
        return errors
    return errors + (family.worse - errors) * (minute + 1) / MINUTES if family.leak else family.worse


def _harm(family: Family, canary: Arm) -> float:
    """Answers of one minute that the fault made bad: errors, or (in expectation) answers that were slow."""
    if family.worse is not None:
        return float(canary.errors)
    if family.worse_modes is not None:
        return canary.requests * (family.worse_modes - family.bimodal)
    return canary.requests * family.affected if family.slower > 1 else 0.0


def _arm(random: Random, family: Family, requests: int, errors: float, latency: Quantile, single: bool) -> Arm:
    if family.clusters > 1:
        first = binomial(random, requests, errors / family.clusters)
        wrong = sum(geometric(random, family.clusters) for _ in range(first))
        requests += wrong - first  # retries are requests
    else:
        wrong = binomial(random, requests, errors)
    answers = {status: count for status, count in ((200, requests - wrong), (500, wrong)) if count}
    if single:
        return Arm(answers, durations=values(random, requests, latency))
    return Arm(answers, percentiles(random, requests, latency))


def _latency(scale: float, modes: float = 0.0) -> Quantile:
    """Milliseconds by share of requests; `scale` is the median of the fast mode."""
    if not modes:
        return lambda share: scale * math.exp(SIGMA * _inverse(share))
    table = _mixture(modes)
    return lambda share: scale * _look_up(table, share)


def _canary_latency(family: Family, minute: int, scale: float) -> Quantile:
    if family.cold and minute < len(WARMING_UP):
        return _latency(scale * WARMING_UP[minute])
    if family.tail:
        edge, usual = 1 - family.affected, _latency(scale)
        return lambda share: usual(share) * (family.slower if share > edge else 1.0)
    return _latency(scale * family.slower, family.bimodal if family.worse_modes is None else family.worse_modes)


@lru_cache
def _mixture(modes: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Shares of requests, and up to which multiple of the fast mode's median they take: a table, since it has no formula."""
    multiples = tuple(math.exp(step / 100 - 4) for step in range(901))
    of = NormalDist(0, SIGMA).cdf
    shares = tuple((1 - modes) * of(math.log(m)) + modes * of(math.log(m / SLOW_MODE)) for m in multiples)
    return shares, multiples


def _look_up(table: tuple[Sequence[float], Sequence[float]], share: float) -> float:
    shares, multiples = table
    low, high = 0, len(shares) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if shares[middle] <= share else (low, middle)
    width = shares[high] - shares[low]
    part = min(1.0, max(0.0, (share - shares[low]) / width)) if width > 0 else 0.0
    return multiples[low] + part * (multiples[high] - multiples[low])
