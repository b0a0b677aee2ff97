"""The Mann-Whitney test with a confidence interval, as Kayenta computes it. May import the standard library.

Written anew from the published source: spinnaker/kayenta, kayenta-mannwhitney, `MannWhitney.scala` and `BrentSolver.java` (commit a69573b),
which follow R's wilcox.test (normal approximation, continuity correction) and zeroin (tolerance 1e-4). Its figures depend on both: where
values are tied the function of mu jumps, and where the root finder stops is what Kayenta takes for the estimate.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from math import sqrt
from statistics import NormalDist

TOLERANCE = 1e-4
EPSILON = 2.220446049250313e-16
MOST_STEPS = 1000


class Tied(Exception):
    """All values are the same, so there is no interval."""


class Comparison:
    """Two samples, neither empty, and how far `canary` lies above `stable`, in units of the test's normal deviate."""

    def __init__(self, canary: Sequence[float], stable: Sequence[float]) -> None:
        self.canary, self.stable = list(canary), list(stable)
        self.least, self.most = min(canary) - max(stable), max(canary) - min(stable)
        self._differences = sorted(c - s for c in canary for s in stable)
        self._own_ties = _tie_term(Counter(canary)) + _tie_term(Counter(stable))

    def deviate(self, shift: float) -> float:
        """The deviate of the hypothesis that `canary` is `stable` moved up by `shift`. Raises Tied."""
        pairs, size = len(self._differences), len(self.canary) + len(self.stable)
        above = pairs - bisect_right(self._differences, shift)
        equal = pairs - above - bisect_left(self._differences, shift)
        # Ties within a sample are always the same; ties between them come and go, and are counted afresh.
        ties = self._ties_at(shift) if equal else self._own_ties
        centred = above + equal / 2 - pairs / 2
        correction = 0.5 if centred > 0 else -0.5 if centred < 0 else 0.0
        variance = pairs / 12 * (size + 1 - ties / (size * (size - 1)))
        if variance <= 0:
            raise Tied
        return (centred - correction) / sqrt(variance)

    def _ties_at(self, shift: float) -> float:
        moved = [value - shift for value in self.canary]
        return _tie_term(Counter([*moved, *self.stable]))

    def interval(self, level: float) -> tuple[float, float]:
        """The confidence interval of the shift. Raises Tied."""
        quantile = NormalDist().inv_cdf((1 - level) / 2)
        return self._where(-quantile), self._where(quantile)

    def estimate(self) -> float:
        """The shift at which the deviate is nought (Hodges and Lehmann's). Raises Tied."""
        return zero(self.deviate, self.least, self.most, self.deviate(self.least), self.deviate(self.most))

    def _where(self, quantile: float) -> float:
        lower, upper = self.deviate(self.least) - quantile, self.deviate(self.most) - quantile
        if lower <= 0:
            return self.least
        if upper >= 0:
            return self.most
        return zero(lambda shift: self.deviate(shift) - quantile, self.least, self.most, lower, upper)


def _tie_term(counted: Counter[float]) -> float:
    return float(sum(n**3 - n for n in counted.values() if n > 1))


def zero(function: Callable[[float], float], low: float, high: float, at_low: float, at_high: float) -> float:
    """Where `function` is nought between `low` and `high`, by Brent's method with R's rules for when to stop.

    `best` is the newest point, `old` the one before, `far` the one on the other side of nought.
    """
    old, best, far = low, high, low
    f_old, f_best, f_far = at_low, at_high, at_low
    if f_old == 0:
        return old
    if f_best == 0:
        return best
    for _ in range(MOST_STEPS + 1):
        last = best - old
        if abs(f_far) < abs(f_best):
            old, best, far = best, far, best
            f_old, f_best, f_far = f_best, f_far, f_best
        enough = 2 * EPSILON * abs(best) + TOLERANCE / 2
        step = (far - best) / 2
        if abs(step) <= enough or f_best == 0:
            return best
        if abs(last) >= enough and abs(f_old) > abs(f_best):
            step = _interpolated(old, best, far, f_old, f_best, f_far, last, enough) or step
        if abs(step) < enough:
            step = enough if step > 0 else -enough
        old, f_old = best, f_best
        best += step
        f_best = function(best)
        if (f_best > 0) == (f_far > 0) and f_best != 0 and f_far != 0:
            far, f_far = old, f_old
    return best


def _interpolated(
    old: float, best: float, far: float, f_old: float, f_best: float, f_far: float, last: float, enough: float
) -> float | None:
    """A step by the secant through two points, or the inverse parabola through three; None where halving is safer."""
    gap, ratio = far - best, f_best / f_old
    if old == far:
        over, under = gap * ratio, 1 - ratio
    else:
        q, r = f_old / f_far, f_best / f_far
        over = ratio * (gap * q * (q - r) - (best - old) * (r - 1))
        under = (q - 1) * (r - 1) * (ratio - 1)
    if over > 0:
        under = -under
    else:
        over = -over
    if over < 0.75 * gap * under - abs(enough * under) / 2 and over < abs(last * under / 2):
        return over / under
    return None
