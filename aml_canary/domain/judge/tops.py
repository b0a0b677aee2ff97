"""Are the slowest requests of a bake all the canary's? For the one look at the longest minute, where the 99th percentile is the slowest request.

If both are alike, each of the slowest requests is the canary's with the probability of its share of the requests, whatever latencies are
like. That finds a few requests that hang, where a minute's own percentiles have no place above stable's slowest to tell how far it is.
May import the standard library only.
"""

from collections.abc import Sequence
from typing import NamedTuple

from aml_canary.domain.judge.coarse import TOLERATED, TOLERATED_MS, Latency

# Of more requests the 99th percentile is not the slowest.
MOST = 100


class Tops(NamedTuple):
    """The slowest request of each, in milliseconds; in how many minutes the canary had one slower than all of stable's; the p-value of that."""

    canary: float
    stable: float
    minutes: int
    chance: float


def tops(minutes: Sequence[Latency]) -> Tops | None:
    """None: the slowest are not known, or there are none."""
    if any(max(one.canary, one.stable) > MOST for one in minutes):
        return None
    own = [one.canary_ms[99] for one in minutes if one.canary and 99 in one.canary_ms]
    others = [one.stable_ms[99] for one in minutes if one.stable and 99 in one.stable_ms]
    if not own or not others:
        return None
    edge = max(max(others) * TOLERATED, max(others) + TOLERATED_MS)
    share = sum(one.canary for one in minutes) / sum(one.canary + one.stable for one in minutes)
    above = sum(ms > edge for ms in own)
    # Half of the chance of exactly so many (mid-p), as with errors.
    return Tops(max(own), max(others), above, share**above * (1 + share) / 2 if above else 1.0)
