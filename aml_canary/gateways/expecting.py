"""How long a rollout's verdicts will take, from what the endpoint was asked in the last hour.

Nobody waits for it: a plan is worth having without. May import `domain`, `errors` and `gateways.metrics`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from aml_canary.domain.expected import expectations, traffic_of
from aml_canary.domain.manifest import Judge
from aml_canary.domain.observed import Observed
from aml_canary.domain.steps import Bake, Step
from aml_canary.errors import AmlCanaryError
from aml_canary.gateways.metrics import newest_whole_minute, source

_MINUTES = 60


def expected(steps: Sequence[Step], live: Observed, rules: Judge) -> tuple[str, ...]:
    """A sentence for each bake among the steps. Never raises for want of metrics, and says so."""
    names = sorted(live.traffic)
    if not names or not any(isinstance(step, Bake) for step in steps):
        return ()
    try:
        last = newest_whole_minute(datetime.now(UTC))
        arms = source().minutes(live.name, names, last - _MINUTES + 1, last)
    except AmlCanaryError as error:
        return (f"How long a verdict takes is not known, because metrics cannot be read: {error}",)
    minutes = ([arms.get(name, {}).get(at) for name in names] for at in range(last - _MINUTES + 1, last + 1))
    return expectations(steps, traffic_of(minutes), rules)
