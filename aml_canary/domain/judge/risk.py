"""What the word `confidence` means in numbers. May import `domain.manifest` and the standard library only."""

from typing import NamedTuple

from aml_canary.domain.manifest import Judge


class Risk(NamedTuple):
    """`fail`: how likely a healthy canary is failed, over its whole bake; `passing`: how likely a metric passes that is worse than tolerated.

    `early` is the part of `fail` for what is looked at every minute; the rest is for the one look at the longest minute.
    """

    fail: float
    passing: float
    early: float = 0.15


RISKS = {"careful": Risk(0.001, 0.01), "normal": Risk(0.01, 0.05), "fast": Risk(0.05, 0.1)}


def risk(rules: Judge) -> Risk:
    """The risks that these rules take."""
    return RISKS[rules.confidence]
