"""The whole way from here to the end, as if each step succeeded: for showing it beforehand, and for proving the planner.

May import `domain` and `errors` only.
"""

from collections.abc import Iterator, Sequence

from aml_canary.domain.baking import NO_WAITS, Waits, with_waits
from aml_canary.domain.effects import after
from aml_canary.domain.observed import Observed
from aml_canary.domain.order import Left
from aml_canary.domain.planner import Wanted, plan
from aml_canary.domain.staging import next_stage
from aml_canary.domain.steps import SmokeInvoke, Step
from aml_canary.errors import PlanRefused

__all__ = ["after", "ahead", "walk", "whole_path"]


def whole_path(stages: Sequence[Wanted], live: Observed, waits: Waits = NO_WAITS) -> tuple[Step, ...]:
    """Every step from here to the last stage, as if each succeeded. Raises PlanRefused where the way is barred."""
    return tuple(step for step, _ in walk(stages, live, waits))


def walk(stages: Sequence[Wanted], live: Observed, waits: Waits = NO_WAITS) -> Iterator[tuple[Step, Observed]]:
    """Every step of the whole path, with the endpoint as it is after it. Raises PlanRefused where the way is barred."""
    smoked: set[str] = set()
    at: int | None = 0 if len(stages) == 1 else next_stage(stages, live)
    while at is not None:
        steps = with_waits(plan(stages[at], live, smoked).steps, live.traffic, waits)
        for step in steps:
            live = after(step, live, stages[at])
            yield step, live
        smoked |= {step.name for step in steps if isinstance(step, SmokeInvoke)}
        at = at + 1 if at + 1 < len(stages) else None


def ahead(stages: Sequence[Wanted], left: Left, waits: Waits = NO_WAITS) -> tuple[Step, ...]:
    """Every step that is left of a rollout in the middle of its way: of the stage it is in, and of the later ones as far as they are known."""
    live, steps = left.live, list(left.plan.steps)
    for step in steps:
        live = after(step, live, left.wanted)
    smoked = set(left.wanted.stage.deployments)
    for stage in stages[stages.index(left.wanted) + 1 :]:
        try:
            following = with_waits(plan(stage, live, smoked).steps, live.traffic, waits)
        except PlanRefused:
            break
        for step in following:
            live = after(step, live, stage)
        steps += following
        smoked |= set(stage.stage.deployments)
    return tuple(steps)
