"""Is the canary no worse than tolerated? A pass needs evidence of its own: having found nothing is none. May import the standard library only."""

import math
from collections.abc import Sequence

from aml_canary.domain.judge.betting import MOST, bet, winnings
from aml_canary.domain.judge.coarse import TOLERATED_MS, Latency, likely, rank

# Shares of errors that are bet on, as parts of the share that would be too much.
PARTS = (0.02, 0.1, 0.3, 0.6)
# Parts of the money on the canary being quick enough in a minute; the boldest counts most, since it decides when there is much traffic.
BOLD = (0.5, 0.8, 0.99, 0.99, 0.99)
# Fewer requests than this do not show a 95th percentile.
TAIL_NEEDS = 40
# A canary that was slow while it warmed up may still pass.
LATE = 0.15


def bounds(errors: int, requests: int, z: float = 2.33) -> tuple[float, float]:
    """Wilson's interval of a share (0 to 1); z 2.33 leaves 1 % at each end."""
    if not requests:
        return 0.0, 1.0
    share, part = errors / requests, z * z / requests
    middle = (share + part / 2) / (1 + part)
    half = z / (1 + part) * math.sqrt(share * (1 - share) / requests + part / (4 * requests))
    return max(0.0, middle - half), min(1.0, middle + half)


def too_many(stable_errors: int, stable_requests: int, tolerated_percent: float) -> float:
    """The share of errors that a canary must be shown to stay below: the tolerated, above the least that stable's may be."""
    low = bounds(stable_errors, stable_requests)[0] if stable_requests else 0.0
    return min(0.99, low + tolerated_percent / 100)


def gain(errors: float, requests: float, limit: float, part: float) -> float:
    """Logarithm of how much likelier so many errors are with `part` of the limit than with the limit itself."""
    share = limit * part
    return errors * math.log(part) + (requests - errors) * math.log((1 - share) / (1 - limit))


def of_errors(errors: int, requests: int, limit: float, effect: float) -> float:
    """Evidence for the canary's share of errors being below `limit` (0 to 1); `effect` is the design effect."""
    logs = [gain(errors, requests, limit, part) / effect for part in PARTS]
    return min(MOST, sum(math.exp(min(700.0, log)) for log in logs) / len(logs))


def of_latency(minutes: Sequence[Latency], slowdown: float, wide: bool) -> float | None:
    """Evidence for the canary's latency being less than `slowdown` times stable's. None: no minute says anything about it."""
    found = []
    for percent, needs in ((50, 1), (95, TAIL_NEEDS)):
        logs = []
        for minute in minutes:
            known = percent in minute.canary_ms and percent in minute.stable_ms
            if known and minute.canary >= needs and minute.stable >= needs and rank(minute.canary, percent):
                at = minute.stable_ms[percent]
                quick = minute.canary_ms[percent] < max(at * slowdown, at + TOLERATED_MS)
                by_chance = 1 - likely(minute.canary, percent, minute.stable, percent, wide, most=False)
                logs.append(bet(quick, min(0.95, max(0.5, by_chance)), BOLD))
        if logs:
            found.append(winnings(logs, late=LATE))
    return min(found) if found else None
