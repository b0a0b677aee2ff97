"""Are the canary's answers worse, beyond their status? May import the standard library and `domain.judge`."""

import math
from collections.abc import Sequence
from statistics import fmean, pvariance

from aml_canary.domain.judge import limits
from aml_canary.domain.judge.betting import MOST
from aml_canary.domain.judge.ranks import Values
from aml_canary.domain.judge.safety import of_errors
from aml_canary.domain.judge.verdict import Finding, Word

# A quality that is lower by this part of stable's own standard deviation is tolerated.
TOLERATED = 0.5


def safety(minutes: Sequence[tuple[Values, Values]]) -> float:
    """Evidence for the canary's mean being no lower than stable's by more than is tolerated, of (canary, stable) by minute."""
    canary = [value for one, _ in minutes for value in one]
    stable = [value for _, one in minutes for value in one]
    if len(canary) < 2 or len(stable) < 2:
        return 1.0
    spread = max(pvariance(stable), 1e-12)
    tolerated = TOLERATED * math.sqrt(spread)
    error = spread / len(stable) + max(pvariance(canary), spread) / len(canary)
    difference = fmean(canary) - fmean(stable) + tolerated
    return min(MOST, math.exp(min(700.0, (difference * tolerated - tolerated**2 / 2) / error)))


def agreement(agreed: int, asked: int, least_percent: float, alpha: float) -> Finding:
    """What `agreed` equal answers of canary and stable to `asked` same requests say, where `least_percent` of them must be equal."""
    wrong = asked - agreed
    limit = 1 - least_percent / 100
    against = limits.of_errors([(asked, wrong)], limit, 1.0)
    # Only what is a good deal better than the least can be shown to be above it.
    well = of_errors(wrong, asked, limit, 1.0) if limit > 0 else (MOST if asked and not wrong else 1.0)
    word: Word = (
        "fail" if against >= 1 / alpha else "pass" if asked and agreed / asked >= least_percent / 100 and against < 10 else "inconclusive"
    )
    seen = f"{100 * agreed / asked:.3g} %" if asked else "none"
    return Finding("agreement", word, f"{least_percent:g} % at least", seen, f"{agreed} of {asked} answers equal", against, well)
