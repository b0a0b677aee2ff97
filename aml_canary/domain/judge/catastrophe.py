"""Is the canary plainly broken? Then nothing is waited for. May import the standard library only."""

from collections.abc import Sequence

from aml_canary.domain.judge.counts import Count, burst
from aml_canary.domain.judge.safety import bounds

ENOUGH, AT_ONCE, IN_A_ROW = 10, 30, 4


def broken(counts: Sequence[Count], effect: float, alpha: float) -> tuple[int, int] | None:
    """(errors, requests) of the canary in its newest minutes, where half of them or more are errors while stable is well; else None.

    Ten requests in two minutes or thirty in one; where traffic is low, four in three minutes that are all errors. An incident that stable
    has as well is none, nor one client that tries again and again. `effect` is the design effect, `alpha` the risk of a false alarm.
    """
    newest: list[Count] = []
    for count in reversed(counts):
        if not count.canary:
            continue
        newest.append(count)
        errors, requests = sum(one.canary_errors for one in newest), sum(one.canary for one in newest)
        bad = sum(one.canary_errors > 0 for one in newest)
        many = requests >= AT_ONCE or (requests >= ENOUGH and bad >= 2)
        row = errors == requests >= IN_A_ROW and bad >= 3
        if (many and 2 * errors >= requests) or row:
            stable_errors, stable_requests = sum(one.stable_errors for one in newest), sum(one.stable for one in newest)
            if stable_requests < ENOUGH:
                stable_errors, stable_requests = sum(one.stable_errors for one in counts), sum(one.stable for one in counts)
            well = stable_requests > 0 and bounds(stable_errors, stable_requests)[1] < errors / requests / 2
            if well and burst(newest, effect) <= alpha / 10:
                return errors, requests
        if many:
            return None
    return None
