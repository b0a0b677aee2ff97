"""One rollout's order: the manifest at a commit, ready to be compared with what is live.

It is read once and pinned to its commit for the whole run. May import `domain` only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aml_canary.domain.fingerprint import fingerprint
from aml_canary.domain.manifest import Manifest
from aml_canary.domain.observed import Observed
from aml_canary.domain.planner import Plan, Wanted, plan, wanted_of
from aml_canary.domain.staging import next_stage
from aml_canary.domain.tree import Tree


@dataclass(frozen=True)
class Order:
    """A manifest at a commit. `repository` is its name in the settings, or its URL; `bodies` are the smoke requests' files."""

    repository: str
    commit: str
    manifest: Manifest
    stages: tuple[Wanted, ...]
    bodies: Mapping[str, bytes]

    @property
    def endpoint(self) -> str:
        return self.manifest.endpoint_name


@dataclass(frozen=True)
class Left:
    """What is left to do: the plan of the stage the endpoint is in, that stage, and the endpoint it was planned from."""

    plan: Plan
    wanted: Wanted
    live: Observed


def order_of(manifest: Manifest, tree: Tree, repository: str, commit: str) -> Order:
    """The order for a manifest that was read from this tree."""
    staged = len(manifest.stages) > 1
    stages = tuple(
        wanted_of(stage, manifest.rollout, {name: fingerprint(d, tree) for name, d in stage.deployments.items()}, staged=staged)
        for stage in manifest.stages
    )
    bodies = {request.file: tree.read(request.file) or b"" for request in manifest.rollout.smoke.requests}
    return Order(repository, commit, manifest, stages, bodies)


def what_is_left(order: Order, live: Observed, smoked: Iterable[str] = ()) -> Left:
    """The plan from here, for the stage that comes next. Raises PlanRefused."""
    index = 0 if len(order.stages) == 1 else next_stage(order.stages, live)
    if index is None:
        return Left(Plan(()), order.stages[-1], live)
    wanted = order.stages[index]
    return Left(plan(wanted, live, smoked), wanted, live)
