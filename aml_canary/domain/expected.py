"""How long verdicts will take at the present traffic, told before a rollout begins. May import `domain` only."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aml_canary.domain.judge.minutes import Arm
from aml_canary.domain.judge.outlook import minutes_to_verdict, quicker_step
from aml_canary.domain.manifest import Judge
from aml_canary.domain.steps import Bake, Step, label


@dataclass(frozen=True)
class Traffic:
    """What an endpoint is asked: requests a minute, and the share of errors among the answers (0 to 1)."""

    per_minute: float
    errors: float


def traffic_of(minutes: Iterable[Sequence[Arm | None]]) -> Traffic | None:
    """The traffic of an endpoint from all its deployments' arms, minute by minute; None where nobody has data.

    A minute counts where some deployment has data.
    """
    known = [[arm for arm in minute if arm is not None] for minute in minutes]
    known = [minute for minute in known if minute]
    requests = sum(arm.requests for minute in known for arm in minute)
    errors = sum(arm.errors for minute in known for arm in minute)
    return Traffic(requests / len(known), errors / requests if requests else 0.0) if known else None


def expectations(steps: Sequence[Step], traffic: Traffic | None, rules: Judge) -> tuple[str, ...]:
    """One sentence for each bake with stable beside it: when a healthy canary passes, and which step would be quicker."""
    bakes = [step for step in steps if isinstance(step, Bake) and step.share < 100]
    if not bakes:
        return ()
    if traffic is None:
        return ("How long a verdict takes is not known: there are no metrics of the last hour.",)
    if not traffic.per_minute:
        return ("No verdict is to be expected: nobody asked the endpoint anything in the last hour.",)
    return tuple(_expected(step, traffic, rules) for step in bakes)


def _expected(step: Bake, traffic: Traffic, rules: Judge) -> str:
    minutes = minutes_to_verdict(traffic.per_minute, traffic.errors, step.share / 100, rules)
    at = f"at {_rounded(traffic.per_minute)} requests a minute"
    if minutes is None:
        told = f"{label(step)}: no verdict is to be expected {at}"
    elif minutes > rules.longest_minutes:
        told = (
            f"{label(step)}: a verdict takes about {math.ceil(minutes)} minutes {at}, longer than longest_minutes ({rules.longest_minutes})"
        )
    else:
        return f"{label(step)}: a verdict takes about {math.ceil(minutes)} minutes {at}."
    quicker = quicker_step(traffic.per_minute, traffic.errors, step.share, rules)
    if quicker is None:
        return f"{told}, and no step would be quick enough."
    soon = minutes_to_verdict(traffic.per_minute, traffic.errors, quicker / 100, rules)
    return f"{told}; with {quicker} % it takes about {math.ceil(soon or 0)}."


def _rounded(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"
