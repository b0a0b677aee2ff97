"""Manifests and endpoints for the planner's tests: short to write by hand, and drawn at random.

What a deployment runs is a word here ("v1", "v2"), used as its fingerprint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hypothesis import reject
from hypothesis import strategies as st

from aml_canary.domain.manifest import Deployment, Endpoint, Stage
from aml_canary.domain.observed import Observed, ObservedDeployment, absent, nonzero
from aml_canary.domain.planner import Wanted, plan
from aml_canary.domain.simulate import after
from aml_canary.domain.steps import CreateDeployment, DeleteDeployment, SmokeInvoke, Step
from aml_canary.errors import PlanRefused

NAME = "churn"
TYPE = "Standard_F2s_v2"
NAMES = ("blue", "green", "red", "teal")
# More steps than any plan for four deployments has.
PLENTY = 60


def wanted(
    traffic: Mapping[str, int] | None,
    runs: Mapping[str, str],
    *,
    counts: Mapping[str, int] | None = None,
    mirror: Mapping[str, int] | None = None,
    steps: tuple[int, ...] = (10,),
    retire: bool = True,
    name: str = "whole",
) -> Wanted:
    """What git wants: `runs` says which deployments there are and what each runs."""
    deployments = {n: Deployment(name=n, instance_type=TYPE, instance_count=(counts or {}).get(n, 2)) for n in runs}
    endpoint = Endpoint(name=NAME, traffic=traffic, mirror_traffic=mirror or {})
    return Wanted(Stage(name=name, file=f"{name}.yml", endpoint=endpoint, deployments=deployments), dict(runs), steps, retire)


def live(
    traffic: Mapping[str, int],
    runs: Mapping[str, str | None],
    *,
    counts: Mapping[str, int] | None = None,
    states: Mapping[str, str] | None = None,
    mirror: Mapping[str, int] | None = None,
) -> Observed:
    """What is live."""
    deployments = {
        n: ObservedDeployment(n, (states or {}).get(n, "Succeeded"), (counts or {}).get(n, 2), TYPE, f, "old") for n, f in runs.items()
    }
    return Observed(NAME, True, "Succeeded", "key", dict(traffic), dict(mirror or {}), deployments)


@dataclass
class World:
    """An endpoint and who has answered smoke requests there: what a rollout sees, and what it forgets when it is killed."""

    live: Observed
    smoked: frozenset[str] = frozenset()

    def do(self, step: Step, aim: Wanted) -> "World":
        smoked = self.smoked
        if isinstance(step, SmokeInvoke):
            smoked |= {step.name}
        if isinstance(step, CreateDeployment | DeleteDeployment):
            smoked -= {step.name}
        return World(after(step, self.live, aim), smoked)

    def killed(self) -> "World":
        """The same endpoint, seen by a new run."""
        return World(self.live)

    def failing(self, step: Step) -> "World":
        """As `do`, had Azure failed to create the deployment."""
        assert isinstance(step, CreateDeployment)
        broken = ObservedDeployment(step.name, "Failed", 1, TYPE, "unfinished", "failed")
        return World(replace(self.live, deployments={**self.live.deployments, step.name: broken}), self.smoked - {step.name})

    def steps(self, aim: Wanted) -> tuple[Step, ...]:
        return plan(aim, self.live, self.smoked).steps


def walked(aim: Wanted, world: World) -> World:
    """The world when a rollout that is never disturbed has ended; it plans anew after each step, as the flow does."""
    for _ in range(PLENTY):
        steps = world.steps(aim)
        if not steps:
            return world
        world = world.do(steps[0], aim)
    raise AssertionError("the plan does not end")


def shape(world: World) -> object:
    """What two ends of one rollout must have in common."""
    here = world.live
    deployments = {n: (d.state, d.instance_count, d.fingerprint) for n, d in here.deployments.items()}
    return here.exists, dict(here.traffic), dict(here.mirror_traffic), deployments


def weights(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, int]]:
    """Whole numbers that total 100; zeros among them."""
    cuts = st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1).map(sorted)
    return cuts.map(lambda c: dict(zip(names, (b - a for a, b in zip([0, *c], [*c, 100], strict=True)), strict=True)))


@st.composite
def splits(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, int]:
    """Nothing at all, or weights of some of the names."""
    some = draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names))) if names else []
    return draw(weights(tuple(some))) if some else {}


@st.composite
def mirrors(draw: st.DrawFn, names: tuple[str, ...], traffic: Mapping[str, int] | None) -> dict[str, int]:
    """Mostly nothing; sometimes a share for one deployment without live weight."""
    idle = [name for name in names if traffic and not traffic.get(name)]
    return {draw(st.sampled_from(idle)): draw(st.integers(1, 50))} if idle and draw(st.integers(0, 3)) == 0 else {}


@st.composite
def manifests(draw: st.DrawFn) -> Wanted:
    """Any manifest."""
    names = tuple(draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1)))
    return _manifest(draw, {name: draw(st.sampled_from(["v1", "v2"])) for name in names}, draw(st.none() | splits(names)))


@st.composite
def next_manifests(draw: st.DrawFn, here: Observed) -> Wanted:
    """A manifest as it may follow on what is live: what serves runs on as it is, and one deployment gains."""
    runs = {n: d.fingerprint or "v1" for n, d in here.deployments.items() if here.carries_traffic(n) or draw(st.booleans())}
    others = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["v1", "v2"])))
    runs |= {name: word for name, word in others.items() if not here.carries_traffic(name)}
    if not runs or draw(st.integers(0, 7)) == 0:
        return draw(manifests())
    canary = draw(st.sampled_from(sorted(runs)))
    final = {name: draw(st.integers(0, weight)) for name, weight in sorted(here.traffic.items()) if name != canary}
    return _manifest(draw, runs, {**final, canary: 100 - sum(final.values())})


def _manifest(draw: st.DrawFn, runs: Mapping[str, str], traffic: Mapping[str, int] | None) -> Wanted:
    return wanted(
        traffic,
        runs,
        counts={name: draw(st.integers(1, 3)) for name in runs},
        mirror=draw(mirrors(tuple(runs), traffic)),
        steps=draw(st.sampled_from([(), (1,), (10,), (10, 50), (5, 25, 60, 100), (100,)])),
        retire=draw(st.booleans()),
    )


@st.composite
def endpoints(draw: st.DrawFn) -> Observed:
    """Any endpoint whose weights total 0 or 100."""
    if draw(st.integers(0, 7)) == 0:
        return absent(NAME)
    names = tuple(draw(st.lists(st.sampled_from(NAMES), unique=True)))
    traffic = nonzero(draw(splits(names)))
    return live(
        traffic,
        {name: draw(st.sampled_from(["v1", "v1", "v2", None])) for name in names},
        counts={name: draw(st.integers(1, 3)) for name in names},
        states={name: draw(st.sampled_from(["Succeeded", "Succeeded", "Succeeded", "Failed"])) for name in names},
        mirror=draw(mirrors(names, traffic)),
    )


@st.composite
def rollouts(draw: st.DrawFn) -> tuple[Wanted, World]:
    """A manifest and the world it meets, from which the planner knows a way."""
    here = draw(endpoints())
    aim = draw(next_manifests(here))
    healthy = sorted(name for name, d in here.deployments.items() if d.healthy)
    smoked = draw(st.lists(st.sampled_from(healthy), unique=True)) if healthy else []
    world = World(here, frozenset(smoked))
    try:
        world.steps(aim)
    except PlanRefused:
        reject()
    return aim, world
