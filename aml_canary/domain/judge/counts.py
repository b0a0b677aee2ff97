"""Does the canary answer more of its requests with errors than stable does? Exact, by counts, minute by minute.

In one minute, given how many errors there were in all, how many of them are the canary's depends only on the odds ratio (Fisher's
noncentral hypergeometric): whatever both have in common, a bad hour or broken clients, cancels. May import the standard library only.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from aml_canary.domain.judge.betting import MOST, chance_of_sum, normal_tail, tempered, winnings

# Odds ratios that are bet on. A canary with TOLERATED times stable's errors is as good as stable, however sure that is: nobody would see it.
ODDS = (1.5, 2.0, 4.0, 10.0, 40.0)
TOLERATED = 1.1
# What is believed of clustering before anything is seen: how much more errors vary than single ones would, and what that belief weighs,
# in errors that came alone and in minutes where they did not: many errors in one minute tell no more of clusters than one number can.
USUAL, WEIGHT, MINUTES = 3.0, 0.5, 8
# However far apart two minutes are, they are no more than this: an incident began or ended.
MOST_APART = 20.0
# Where the canary has fewer errors to expect in a minute than this, only whether there were any is looked at.
FEW, POOL = 0.2, 60
# What an error of the first minute is worth in the last look; whole, and so small that sums may be gone through.
FIRST = 8


class Count(NamedTuple):
    """Requests and errors of both in one minute."""

    canary: int
    canary_errors: int
    stable: int
    stable_errors: int


@lru_cache(maxsize=8192)
def chances(canary: int, stable: int, errors: int, odds: float) -> tuple[float, ...]:
    """How likely 0, 1, 2, ... of `errors` are the canary's, if its odds of an error are `odds` times stable's."""
    low, high = max(0, errors - stable), min(errors, canary)
    logs, log = [], 0.0
    for k in range(low, high + 1):
        logs.append(log)
        if k < high:
            log += math.log((errors - k) * (canary - k) * odds / ((k + 1) * (stable - errors + k + 1)))
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    total = sum(weights)
    return (*([0.0] * low), *(weight / total for weight in weights))


@lru_cache(maxsize=8192)
def factors(count: Count) -> tuple[float, ...]:
    """For each of ODDS, the logarithm of how much likelier the minute is with it than if both are alike."""
    errors = count.canary_errors + count.stable_errors
    if not (errors and count.canary and count.stable):
        return (0.0,) * len(ODDS)
    null = chances(count.canary, count.stable, errors, 1.0)
    logs = [(k, math.log(chance)) for k, chance in enumerate(null) if chance > 0]
    found = []
    for odds in ODDS:
        tilt = math.log(odds)
        top = max(log + tilt * k for k, log in logs)
        found.append(tilt * count.canary_errors - top - math.log(sum(math.exp(log + tilt * k - top) for k, log in logs)))
    return tuple(found)


def capped(count: Count) -> Count:
    """The minute without errors of the canary that are too many at once: one client that tries and tries again is not many errors.

    Left are 2 and three standard deviations more than its part of all errors. Where it fails indeed, it does so in the next minute as well.
    """
    errors = count.canary_errors + count.stable_errors
    if not errors:
        return count
    usual = errors * count.canary / (count.canary + count.stable)
    return count._replace(canary_errors=min(count.canary_errors, int(usual + 2 + 3 * math.sqrt(usual))))


def single(count: Count) -> Count:
    """The minute with no more than one error of the canary: whatever came of it, one client had one. All of stable's count."""
    return count._replace(canary_errors=min(count.canary_errors, 1))


def few(counts: Sequence[Count]) -> bool:
    """Whether the canary has so few errors to expect in a minute that it is enough to know whether it had any."""
    asked = [one for one in counts if one.canary and one.stable]
    usual = [(one.canary_errors + one.stable_errors) * one.canary / (one.canary + one.stable) for one in asked]
    return sum(usual) < FEW * len(asked)


def pooled(counts: Sequence[Count]) -> list[Count]:
    """Neighbouring minutes together until they have POOL requests, without which most minutes say nothing of the canary's share."""
    blocks: list[Count] = []
    for count in counts:
        if blocks and blocks[-1].canary + blocks[-1].stable < POOL:
            blocks[-1] = Count(*(one + other for one, other in zip(blocks[-1], count, strict=True)))
        else:
            blocks.append(count)
    return blocks


def evidence(counts: Sequence[Count], effect: float) -> float:
    """For the canary being worse; a healthy one exceeds it with probability 1/evidence, ever. `effect` is the design effect (1 or more)."""
    tempered_ = winnings([factors(capped(count)) for count in counts], 1 / effect)
    return (tempered_ + winnings([factors(single(count)) for count in counts])) / 2 if few(counts) else tempered_


def chance(counts: Sequence[Count], effect: float) -> float:
    """The p-value of all these minutes together, looked at once, at a time that was known beforehand."""
    if few(counts):
        return rising(pooled([single(count) for count in counts]))
    return _chance([capped(count) for count in counts], effect)


def rising(counts: Sequence[Count]) -> float:
    """The p-value of few errors, where those of the last minute count twice as much as those of the first.

    A fault that begins late or grows is in the later minutes. And errors that are not all worth the same seldom come to the same sum, so
    that the exact test, which has to be on the safe side of every step between its sums, loses little by it.
    """
    last = max(1, len(counts) - 1)
    sums, seen = {0: 1.0}, 0
    for at, count in enumerate(counts):
        if not (count.canary and count.stable):
            continue
        worth = FIRST + round(FIRST * at / last)
        seen += worth * count.canary_errors
        longer: dict[int, float] = {}
        for k, part in enumerate(chances(count.canary, count.stable, count.canary_errors + count.stable_errors, 1.0)):
            for before, chance in sums.items():
                if chance * part > 1e-18:
                    longer[before + worth * k] = longer.get(before + worth * k, 0.0) + chance * part
        sums = longer
    return max(sum(chance for one, chance in sums.items() if one > seen) + sums.get(seen, 0.0) / 2, 1 / MOST)


def burst(counts: Sequence[Count], effect: float) -> float:
    """The p-value of a few minutes with many errors."""
    return _chance([capped(count) for count in counts], effect)


def least(counts: Sequence[Count], effect: float) -> float:
    """The p-value of the last look if all of these errors, of both, had been the canary's: it cannot be less, whoever they are of."""
    if few(counts):
        counts, effect = pooled([single(count) for count in counts]), 1.0
    all_ = math.prod(chances(one.canary, one.stable, one.canary_errors + one.stable_errors, 1.0)[-1] for one in asked(counts))
    return max(tempered(all_ / 2, effect), 1 / MOST)


def asked(counts: Sequence[Count]) -> list[Count]:
    """The minutes that say something about whose the errors are."""
    return [count for count in counts if count.canary and count.stable and count.canary_errors + count.stable_errors]


def _chance(counts: Sequence[Count], effect: float) -> float:
    known = asked(counts)
    parts = [chances(count.canary, count.stable, count.canary_errors + count.stable_errors, 1.0) for count in known]
    seen = sum(count.canary_errors for count in known)
    means = [sum(k * part for k, part in enumerate(one)) for one in parts]
    spread = sum(sum((k - mean) ** 2 * part for k, part in enumerate(one)) for one, mean in zip(parts, means, strict=True))
    # Half of the chance of exactly this (mid-p): of few errors, the whole of it makes the test far stricter than it says.
    if spread > 100:
        return max(tempered(normal_tail((seen - sum(means)) / math.sqrt(spread)), effect), 1 / MOST)
    p = (chance_of_sum(parts, seen) + chance_of_sum(parts, seen + 1)) / 2
    return max(tempered(p, effect), 1 / MOST)


def design_effect(arms: Sequence[Sequence[tuple[int, int]]], *, cautious: bool = True) -> float:
    """How much more errors vary from minute to minute than single ones would: clients that retry make clusters. 1 or more.

    `arms` are (requests, errors) by minute, one series for each deployment or step. Only neighbouring minutes are compared, so that a slow
    change is no clustering. `cautious` starts from the belief that there is some, until errors were seen that came alone.
    """
    return design_effects(arms)[not cautious]


def design_effects(arms: Sequence[Sequence[tuple[int, int]]]) -> tuple[float, float]:
    """The cautious design effect, and the plain one."""
    seen = expected = company = 0.0
    for series in arms:
        for (n, x), (m, y) in pairwise([one for one in series if one[0]]):
            if x + y:
                share = (x + y) / (n + m)
                plain = share * (1 - share) * (1 / n + 1 / m)
                ratio = (x / n - y / m) ** 2 / plain if plain else 1.0
                seen += min(ratio, MOST_APART) * (x + y)
                expected += x + y
                company += x * (x - 1) + y * (y - 1)
    if not expected:
        return USUAL, 1.0
    belief = WEIGHT + MINUTES * company / expected
    return max(1.0, (seen + USUAL * belief) / (expected + belief)), max(1.0, seen / expected)
