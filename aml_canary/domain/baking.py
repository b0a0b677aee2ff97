"""Where a rollout waits and looks: a bake after each change of live traffic, a rest before what it replaced is deleted.

The planner says what changes; this says where, in between, nothing changes and somebody watches. It holds no progress either: whether a
bake is still owed is read from the endpoint's facts. May import `domain` only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from aml_canary.domain.manifest import Rollout
from aml_canary.domain.observed import Facts, Observed, Weights, nonzero
from aml_canary.domain.steps import Bake, DeleteDeployment, Rest, ShiftTraffic, Step


@dataclass(frozen=True)
class Waits:
    """How a rollout waits: whether it bakes, and for how many minutes what it replaced is kept."""

    bake: bool = False
    keep_for_minutes: int = 0


@dataclass(frozen=True)
class Watched:
    """What of the waiting is over: `owed` is the bake of the last traffic step where that is not over yet; `rested` whether the rest is."""

    owed: Bake | None = None
    rested: bool = False


NO_WAITS = Waits()
NOTHING_WATCHED = Watched()


def waits_of(rollout: Rollout) -> Waits:
    """How the manifest wants its rollout to wait."""
    return Waits(rollout.judge.enabled, rollout.retire.keep_for_minutes)


def with_waits(steps: Iterable[Step], traffic: Weights, waits: Waits, watched: Watched = NOTHING_WATCHED) -> tuple[Step, ...]:
    """The steps of a plan, with the waiting between them. `traffic` is live now.

    The first release is not judged: there is nobody to compare it with.
    """
    found: list[Step] = [watched.owed] if watched.owed is not None else []
    retired: list[Step] = []
    for step in steps:
        if isinstance(step, DeleteDeployment) and step.retire:
            retired.append(step)
            continue
        found.append(step)
        if isinstance(step, ShiftTraffic):
            if waits.bake and step.canary and traffic:
                found.append(Bake(step.canary, step.weights))
            traffic = step.weights
    if retired and waits.keep_for_minutes and not watched.rested:
        found.append(Rest(tuple(step.name for step in retired if isinstance(step, DeleteDeployment)), waits.keep_for_minutes))
    return (*found, *retired)


def bake_after(facts: Facts, live: Observed) -> Bake | None:
    """The bake of the traffic step that the facts tell of; None where they tell of none, or somebody changed traffic since.

    `facts.stable` is where the rollout came from, so the canary is who has more than there.
    """
    stable, now = nonzero(facts.stable), nonzero(facts.traffic)
    if not stable or now == stable or now != nonzero(live.traffic) or not facts.step.startswith(("flight-", "full-")):
        return None
    gained = [name for name, weight in now.items() if weight > stable.get(name, 0)]
    return Bake(gained[0], now) if len(gained) == 1 else None


def compared_with(bake: Bake, stable: Weights) -> str:
    """The deployment the canary is compared with: who has the most live traffic beside it, or had before, where it has all."""
    others = {name: weight for name, weight in bake.weights.items() if name != bake.canary and weight}
    others = others or {name: weight for name, weight in stable.items() if name != bake.canary}
    return max(sorted(others), key=lambda name: others[name], default="")
