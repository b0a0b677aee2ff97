"""Random counts and percentiles, drawn for what they are and not request by request, so that thousands of bakes take minutes.

May import the standard library only. Every function draws from the stream it is given, so a run is the same wherever it is repeated.
"""

import math
from collections.abc import Callable, Iterable
from random import Random

# Nearest rank, as most stores of metrics do it: the p-th percentile of n values is the one at place ceil(n * p / 100).
PERCENTS = (50, 90, 95, 99)
BELOW_ONE = 1 - 2**-53


def binomial(random: Random, trials: int, chance: float) -> int:
    """How many of `trials` (0 or more) come true, each with `chance` (0 to 1). Exact, by inversion."""
    if trials <= 0 or chance <= 0:
        return 0
    if chance >= 1:
        return trials
    if chance > 0.5:
        return trials - binomial(random, trials, 1 - chance)
    ratio = chance / (1 - chance)
    left = random.random()
    if trials * chance < 30:
        weight = (1 - chance) ** trials
        for count in range(trials):
            left -= weight
            if left < 0:
                return count
            weight *= (trials - count) / (count + 1) * ratio
        return trials
    # From the likeliest count outwards: the steps are as few as the spread, not as many as the count.
    mode = int((trials + 1) * chance)
    logs = math.lgamma(trials + 1) - math.lgamma(mode + 1) - math.lgamma(trials - mode + 1)
    peak = math.exp(logs + mode * math.log(chance) + (trials - mode) * math.log1p(-chance))
    left -= peak
    low, high, below, above = mode, mode, peak, peak
    while left >= 0 and (low > 0 or high < trials):
        if high < trials:
            above *= (trials - high) / (high + 1) * ratio
            high += 1
            left -= above
            if left < 0:
                return high
        if low > 0:
            below *= low / (trials - low + 1) / ratio
            low -= 1
            left -= below
            if left < 0:
                return low
        if above + below < 1e-18:
            break
    return mode  # what rounding left over


def poisson(random: Random, mean: float) -> int:
    """A count with this mean. Above 200 it is a rounded normal: how many requests there are in all is nothing a judge looks at."""
    if mean > 200:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, random.random()
    while product > limit:
        product *= random.random()
        count += 1
    return count


def geometric(random: Random, mean: float) -> int:
    """1 or more, with this mean (above 1)."""
    return 1 + int(math.log(1 - random.random()) / math.log1p(-1 / mean))


def percentiles(random: Random, size: int, quantile: Callable[[float], float]) -> dict[int, float]:
    """PERCENTS of `size` independent values whose quantile function is given; nothing for no values.

    Their places among `size` uniform numbers are drawn together: the gaps between order statistics are gamma distributed, up to a scale.
    """
    if size <= 0:
        return {}
    places = [min(size, math.ceil(size * percent / 100)) for percent in PERCENTS]
    sums, total, before = [], 0.0, 0
    for place in places:
        if place > before:
            total += random.gammavariate(place - before, 1.0)
            before = place
        sums.append(total)
    total += random.gammavariate(size - before + 1, 1.0)
    return {percent: quantile(min(part / total, BELOW_ONE)) for percent, part in zip(PERCENTS, sums, strict=True)}


def values(random: Random, size: int, quantile: Callable[[float], float]) -> tuple[float, ...]:
    """`size` independent values, one by one."""
    return tuple(quantile(share) for share in uniforms(random, size))


def uniforms(random: Random, size: int) -> Iterable[float]:
    """Numbers above 0 and below 1."""
    return (random.random() or 0.5 for _ in range(size))
