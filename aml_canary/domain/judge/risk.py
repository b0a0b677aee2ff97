"""What the word `confidence` means in numbers. May import `domain.manifest` and the standard library only."""

from typing import NamedTuple

from aml_canary.domain.manifest import Judge


class Risk(NamedTuple):
    """`fail`: how likely a healthy canary is failed, over its whole bake; `passing`: how likely a metric passes that is worse than tolerated."""

    fail: float
    passing: float


class Parts(NamedTuple):
    """The parts of `fail` for what is looked at every minute, and for the one look at the longest minute; 1 in all, or less."""

    early: float
    last: float


# A canary that gets fewer than ENOUGH requests until its last look is seldom known to be bad before: nearly all is kept for then.
# With many, what matters is seen before, and something is left unspent, because how errors cluster is only estimated.
FEW, MANY = Parts(0.05, 0.95), Parts(0.15, 0.65)
ENOUGH = 400

RISKS = {"careful": Risk(0.001, 0.01), "normal": Risk(0.01, 0.05), "fast": Risk(0.05, 0.1)}


def risk(rules: Judge) -> Risk:
    """The risks that these rules take."""
    return RISKS[rules.confidence]


def parts(requests: float) -> Parts:
    """How the risk is shared out between the looks, if the canary gets so many requests until the last one.

    A canary that is near ENOUGH may be on both sides of it during one bake; then a tenth more than all of the risk might be taken.
    """
    return MANY if requests >= ENOUGH else FEW
