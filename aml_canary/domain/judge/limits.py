"""Does the canary exceed what no canary may, however bad stable is? May import the standard library only."""

import math
from collections.abc import Sequence
from functools import lru_cache

from aml_canary.domain.judge.betting import bet, winnings

# Multiples of the limit that are bet on, and parts of the money on a minute that is too slow.
TIMES = (1.3, 2.0, 5.0, 20.0)
PARTS = (0.3, 0.6, 0.9)


def of_errors(minutes: Sequence[tuple[int, int]], limit: float, effect: float) -> float:
    """Evidence for a share of errors above `limit` (0 to 1), of (requests, errors) by minute; `effect` is the design effect."""
    limit = min(0.98, max(limit, 1e-4))
    shares = [min(0.99, limit * times) for times in TIMES]
    logs = []
    for requests, errors in minutes:
        right = requests - errors
        logs.append(tuple(errors * math.log(share / limit) + right * math.log((1 - share) / (1 - limit)) for share in shares))
    return winnings(logs, 1 / effect)


def of_latency(minutes: Sequence[tuple[int, float]], percent: int, limit: float) -> float:
    """Evidence for a percentile above `limit` milliseconds, of (requests, percentile in milliseconds) by minute."""
    return winnings([bet(ms > limit, exceeding(requests, percent), PARTS) for requests, ms in minutes if requests])


@lru_cache(maxsize=8192)
def exceeding(requests: int, percent: int) -> float:
    """How likely the percentile of so many requests is above the true one, by the least favourable convention; 0.25 or more."""
    share = percent / 100
    most = min(requests - 1, int(1 + (requests - 1) * share))  # so many requests may be below it
    if requests * share * (1 - share) > 200:
        return 0.55
    below = sum(math.exp(_log_choose(requests, k) + k * math.log(share) + (requests - k) * math.log(1 - share)) for k in range(most + 1))
    return min(0.95, max(0.25, below))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
