"""What Kayenta's NetflixACAJudge would say. May import aml_canary.domain.judge.minutes and the standard library.

Written anew from the published source: spinnaker/kayenta, kayenta-judge, `NetflixACAJudge.scala`, `MannWhitneyClassifier.scala`,
`WeightedSumScorer.scala`, `EffectSizes.scala` (commit a69573b). Its fixed settings: tolerance 0.25, confidence 98 %; its defaults: mean ratio
1.0 as least effect, not a number removed, outliers kept. Ours: three metrics of one group (share of errors, p50 and p95 of each minute),
direction "increase", pass 95 and marginal 75, as its documents' examples have it; so one metric that is High fails the canary.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random

from aml_canary.domain.judge.minutes import Arm, Minute
from benchmarks.judge.mannwhitney import Comparison, Tied

TOLERANCE = 0.25
CONFIDENCE = 0.98
MARGINAL = 75.0


def classify(canary: Sequence[float], stable: Sequence[float], *, level: float = CONFIDENCE, tolerance: float = TOLERANCE) -> str:
    """Pass, High, Nodata or Error for one metric's values, in direction "increase" and without what is not a number."""
    if not canary or not stable:
        return "Nodata"
    if sorted(canary) == sorted(stable) or len({*canary, *stable}) == 1:
        return "Pass"
    if len(set(canary)) == 1 and len(set(stable)) == 1:
        canary, stable = _noisy(canary), _noisy(stable)
    try:
        comparison = Comparison(canary, stable)
        low, _ = comparison.interval(level)
        bound = tolerance * abs(comparison.estimate())
    except Tied:
        return "Error"
    ratio = _mean_ratio(canary, stable)
    return "High" if low > bound and (ratio is None or ratio >= 1.0) else "Pass"


def _noisy(values: Sequence[float]) -> list[float]:
    """Two constants are told apart by adding a little noise to them."""
    random = Random("noise")
    return [random.gauss(value, abs(value) * 1e-5) for value in values]


def _mean_ratio(canary: Sequence[float], stable: Sequence[float]) -> float | None:
    mine, theirs = sum(canary) / len(canary), sum(stable) / len(stable)
    return mine / theirs if mine and theirs else None


def score(labels: Sequence[str]) -> float:
    """0 to 100 for one group of metrics."""
    counted = Counter(labels)
    if counted["Nodata"] / len(labels) >= 0.5:
        return 0.0
    told = counted["Pass"] + counted["High"]
    return 100 * counted["Pass"] / told if told else 100.0


def fails(minutes: Sequence[Minute]) -> bool:
    """Does the analysis of these minutes fail the canary?"""
    canary, stable = [m.canary for m in minutes], [m.stable for m in minutes]
    labels = [classify(error_shares(canary), error_shares(stable))]
    labels += [classify(percentile(canary, p), percentile(stable, p)) for p in (50, 95)]
    return score(labels) < MARGINAL


def error_shares(arms: Sequence[Arm | None]) -> list[float]:
    return [arm.errors / arm.requests for arm in arms if arm is not None and arm.requests]


def percentile(arms: Sequence[Arm | None], percent: int) -> list[float]:
    return [arm.percentiles[percent] for arm in arms if arm is not None and arm.percentiles]


def failed_at_the_end(minutes: Sequence[Minute]) -> int | None:
    """The minute (from 1) it fails in, judging once, when the bake is over; None: it passes."""
    return len(minutes) if fails(minutes) else None


def failed_every_five(minutes: Sequence[Minute]) -> int | None:
    """The same, judging all minutes so far every five minutes."""
    return next((end for end in range(5, len(minutes) + 1, 5) if fails(minutes[:end])), None)
