"""Evidence that may be looked at every minute: bets against a claim, whose winnings no true claim lets grow.

Each minute has one factor for each of several bets; where the claim is true, a factor is 1 on average, whatever was before, so the winnings
exceed 1/a at any time with probability at most a (Ville). The mean of several bets, and of bets that start at different minutes, is such a
bet itself: that is how a fault that begins late is not masked by the healthy minutes before it. May import the standard library only.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

# Above this, evidence is not told apart any more.
MOST = 1e12
# A sum of so many possible parts, with such a variance, is taken as normal.
MANY, WIDE = 1000, 100.0
_NORMAL = NormalDist()


def winnings(minutes: Sequence[Sequence[float]], power: float = 1.0, *, late: float = 0.5) -> float:
    """What the mean of all bets has made of 1.

    `minutes` holds, for each minute, the natural logarithm of the factor of each bet (as many in every minute). `power` (0 to 1) tempers them.
    The part `late` (0 to 1) of the money is kept for bets that begin at later minutes, less and less; the rest is bet from the first on.
    """
    if not minutes:
        return 1.0
    made = [0.0] * len(minutes[0])
    for number, logs in enumerate(minutes):
        stake = late / (number * (number + 1)) if number else 1 - late
        for bet, log in enumerate(logs):
            grown = made[bet] + stake
            if log:
                grown *= math.exp(log * power if log * power < 700 else 700)
            made[bet] = grown if grown < 1e100 else 1e100
    return min(sum(made) / len(made) + late / len(minutes), MOST)


@lru_cache(maxsize=8192)
def bet(won: bool, chance: float, parts: tuple[float, ...]) -> tuple[float, ...]:
    """Logarithms of the factors of bets that each put a part (0 to below 1) of the money on something whose chance is at most `chance`."""
    return tuple(math.log1p(part * (1 / chance - 1)) if won else math.log1p(-part) for part in parts)


def chance_of_sum(parts: Sequence[tuple[float, ...]], least: int) -> float:
    """How likely independent whole numbers add up to `least` or more; `parts` holds, for each, the probabilities of 0, 1, 2, ..."""
    return _chance_of_sum(tuple(parts), least)


@lru_cache(maxsize=256)
def _chance_of_sum(parts: tuple[tuple[float, ...], ...], least: int) -> float:
    if least <= 0:
        return 1.0
    if sum(map(len, parts)) > MANY:
        means = [sum(k * chance for k, chance in enumerate(part)) for part in parts]
        spread = sum(sum((k - mean) ** 2 * chance for k, chance in enumerate(part)) for part, mean in zip(parts, means, strict=True))
        if spread > WIDE:
            return normal_tail((least - 0.5 - sum(means)) / math.sqrt(spread))
    sums = [1.0]
    for part in parts:
        longer = [0.0] * (len(sums) + len(part) - 1)
        for place, one in enumerate(part):
            if one > 1e-15:
                for at, other in enumerate(sums, place):
                    longer[at] += one * other
        while len(longer) > 1 and longer[-1] < 1e-18:
            longer.pop()
        sums = longer
    return min(1.0, sum(sums[least:]))


def tempered(chance: float, effect: float) -> float:
    """The p-value `chance`, where the data vary `effect` (1 or more) times as much as it was computed for."""
    if chance >= 0.5:
        return chance
    return _NORMAL.cdf(_NORMAL.inv_cdf(max(chance, 1e-300)) / math.sqrt(effect))


def normal_tail(z: float) -> float:
    """How likely a standard normal is above `z`."""
    return 0.5 * math.erfc(z / math.sqrt(2))
