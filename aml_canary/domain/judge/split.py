"""Does the canary get the share of live traffic that was asked for? If not, something is broken that is not the canary.

May import the standard library only.
"""

import math
from collections.abc import Sequence

from aml_canary.domain.judge.betting import winnings
from aml_canary.domain.judge.counts import design_effect

# The platform shares out a little differently, and that is fine: by so much of the share, or so many points, whichever is more.
PART, POINTS = 0.2, 0.02
MORE, LESS = (1.15, 1.5, 3.0), (0.85, 0.5, 0.1)


def evidence(minutes: Sequence[tuple[int, int]], share: float) -> float:
    """For another share than `share` (0 to 1) of the requests being the canary's, of (all requests, the canary's) by minute."""
    high, low = share + max(PART * share, POINTS), share - max(PART * share, POINTS)
    sides = [(high, min(0.995, high * more)) for more in MORE if high < 0.99] + [(low, low * less) for less in LESS if low > 0]
    if not sides:
        return 1.0
    each = [(math.log(odd / edge), math.log((1 - odd) / (1 - edge))) for edge, odd in sides]
    logs = [[own * one + (requests - own) * other for one, other in each] for requests, own in minutes]
    return winnings(logs, 1 / design_effect([minutes]))
