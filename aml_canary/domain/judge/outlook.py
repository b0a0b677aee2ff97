"""How long until a verdict, before there is any data. May import `domain.manifest` and the standard library only."""

import math
from statistics import NormalDist

from aml_canary.domain.judge.risk import risk
from aml_canary.domain.judge.safety import BOLD, PARTS, gain, too_many
from aml_canary.domain.manifest import Judge

# How much latencies usually vary from request to request: the standard deviation of their natural logarithm.
SPREAD = 0.6
# Steps that a person would write.
STEPS = (1, 2, 5, 10, 15, 20, 25, 30, 40, 50)
FOREVER = 7 * 24 * 60.0


def minutes_to_verdict(requests_per_minute: float, error_share: float, share: float, rules: Judge) -> float | None:
    """About how many minutes until a healthy canary has passed, at this traffic of the endpoint, stable's and its own share of errors
    (0 to 1), and the canary's share of the traffic (0 to 1). None: not within a week, or never."""
    own = requests_per_minute * share
    if own <= 0:
        return None
    others = round(requests_per_minute * (1 - share) * rules.longest_minutes)
    limit = too_many(round(error_share * others), others, rules.tolerated_error_percent)
    needed = requests_to_pass(error_share, limit, 1.0, rules)
    slow = latency_minutes(own, rules)
    if needed is None or slow is None:
        return None
    minutes = max(float(rules.least_minutes), needed / own, slow)
    return minutes if minutes <= FOREVER else None


def requests_to_pass(error_share: float, limit: float, safety: float, rules: Judge) -> float | None:
    """How many more requests a healthy canary needs until its errors pass, with so much evidence already; None: never."""
    drift = max(gain(error_share, 1.0, limit, part) for part in PARTS)
    missing = math.log(len(PARTS) / risk(rules).passing) - math.log(max(safety, 1e-9) * (len(PARTS) if safety > 1 else 1))
    return None if drift <= 0 else max(0.0, missing / drift)


def latency_minutes(own: float, rules: Judge) -> float | None:
    """How many minutes a canary with `own` requests a minute, as quick as stable, needs until its latency passes."""
    if own < 1 / FOREVER:
        return None
    # A single latency varies by SPREAD, the median of several by less.
    spread = SPREAD * min(1.0, 1.25 / math.sqrt(max(1.0, own)))
    won = NormalDist().cdf(math.log(rules.tolerated_slowdown) / spread)
    drift = max(won * math.log1p(part) + (1 - won) * math.log1p(-part) for part in BOLD)
    if drift <= 0:
        return None
    missing = math.log(1 / risk(rules).passing) + (0 if won > 0.98 else math.log(len(BOLD)))
    return missing / drift / -math.expm1(-own)  # in some minutes it is not asked at all


def quicker_step(requests_per_minute: float, error_share: float, step: int, rules: Judge) -> int | None:
    """The smallest step (percent of live traffic) whose verdict comes within the longest minutes, where that of `step` does not.

    None: `step` is quick enough, or none is.
    """

    def quick(percent: int) -> bool:
        minutes = minutes_to_verdict(requests_per_minute, error_share, percent / 100, rules)
        return minutes is not None and minutes <= rules.longest_minutes

    if quick(step):
        return None
    return next((percent for percent in STEPS if percent > step and quick(percent)), None)
