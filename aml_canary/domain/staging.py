"""Which file of a staged folder comes next: found by looking at what is live, never by remembering.

The way through all files is imagined from nothing, a step at a time, and the endpoint is where on that way it looks like.
May import `domain` and `errors` only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from aml_canary.domain.effects import after, made
from aml_canary.domain.observed import Observed, ObservedDeployment, absent, nonzero
from aml_canary.domain.planner import Wanted, plan
from aml_canary.domain.steps import Step
from aml_canary.errors import PlanRefused


@dataclass(frozen=True)
class _Point:
    """The endpoint somewhere on the way: during which stage, and whether that is then reached."""

    state: Observed
    stage: int
    reached: bool


def next_stage(stages: Sequence[Wanted], live: Observed) -> int | None:
    """The index of the stage to work on; None: the last one is reached.

    A deployment without traffic that failed, or that no stage knows, says nothing about where the endpoint is: whatever stage comes next
    makes it anew or deletes it. Raises PlanRefused where a live endpoint is nowhere on the way.
    """
    way = _way(stages, live.name)
    known = {(name, stage.fingerprints[name]) for stage in stages for name in stage.stage.deployments}
    for point in reversed(way):
        if _looks_like(point.state, live, known, exactly=True):
            last = point.stage == len(stages) - 1
            if point.reached and last and not plan(stages[-1], live, smoked=stages[-1].stage.deployments).steps:
                return None
            return point.stage + 1 if point.reached and not last else point.stage
    for point in reversed(way):
        if _looks_like(point.state, live, known, exactly=False):
            return point.stage
    if not live.traffic:
        return 0
    raise PlanRefused(
        f"Endpoint {live.name} is as none of the stages {', '.join(stage.stage.name for stage in stages)} says, so the next one is not known. "
        "Bring it to one of them by hand, or write the change in the target form."
    )


def _way(stages: Sequence[Wanted], name: str) -> list[_Point]:
    """Every state from nothing to the last stage, in order."""
    at = absent(name)
    way = [_Point(at, 0, reached=False)]
    for index, stage in enumerate(stages):
        for step in _steps_or_none(stage, at):
            at = after(step, at, stage)
            if at != way[-1].state:
                way.append(_Point(at, index, reached=False))
        at = _as_written(stage, at)
        way.append(_Point(at, index, reached=True))
    return way


def _steps_or_none(wanted: Wanted, live: Observed) -> tuple[Step, ...]:
    """No steps where none lead from one file to the next: somebody may have gone there by hand."""
    try:
        return plan(wanted, live).steps
    except PlanRefused:
        return ()


def _as_written(wanted: Wanted, before: Observed) -> Observed:
    """The endpoint exactly as a stage says."""
    endpoint = wanted.stage.endpoint
    traffic, mirror = dict(before.traffic), dict(before.mirror_traffic)
    if endpoint.traffic is not None:
        traffic, mirror = nonzero(endpoint.traffic), nonzero(endpoint.mirror_traffic)
    deployments = {name: made(name, wanted) for name in wanted.stage.deployments}
    return replace(before, exists=True, traffic=traffic, mirror_traffic=mirror, deployments=deployments)


def _looks_like(state: Observed, live: Observed, known: Collection[tuple[str, str]], *, exactly: bool) -> bool:
    """Whether the live endpoint could be in this state.

    Not exactly: instance counts apart, because an autoscaler may move them, and deployments without traffic may be missing.
    """
    if (state.exists, dict(state.traffic), dict(state.mirror_traffic)) != (live.exists, dict(live.traffic), dict(live.mirror_traffic)):
        return False
    names = {name for name, _ in known}

    def counts(there: ObservedDeployment) -> bool:
        ours = (there.name, there.fingerprint) in known or (there.fingerprint is None and there.name in names)
        return live.carries_traffic(there.name) or (there.healthy and ours)

    here = {name: there for name, there in live.deployments.items() if counts(there)}
    if not (here.keys() == state.deployments.keys() if exactly else here.keys() <= state.deployments.keys()):
        return False
    return all(_alike(state.deployments[name], there, exactly=exactly) for name, there in here.items())


def _alike(imagined: ObservedDeployment, there: ObservedDeployment, *, exactly: bool) -> bool:
    if there.fingerprint is None:
        return there.instance_type.lower() == imagined.instance_type.lower()
    counted = imagined.instance_count in (there.instance_count, there.applied_count)
    return there.fingerprint == imagined.fingerprint and (counted or not exactly)
