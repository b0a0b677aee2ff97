"""One rollout's order: the manifest at a commit, ready to be compared with what is live.

It is read once and pinned to its commit for the whole run. May import `domain` only.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aml_canary.domain.baking import NOTHING_WATCHED, Waits, Watched, waits_of, with_waits
from aml_canary.domain.fingerprint import fingerprint
from aml_canary.domain.manifest import Manifest
from aml_canary.domain.observed import Observed
from aml_canary.domain.planner import Plan, Wanted, plan, wanted_of
from aml_canary.domain.staging import next_stage
from aml_canary.domain.tree import Tree


@dataclass(frozen=True)
class Order:
    """A manifest at a commit. `repository` is its name in the settings, or its URL; `bodies` are the smoke requests' files.

    `digest` is the same for the same order, whatever the commit. `rollback`: this is the way back to what was promoted before (`as_rollback`).
    """

    repository: str
    commit: str
    manifest: Manifest
    stages: tuple[Wanted, ...]
    bodies: Mapping[str, bytes]

    digest: str
    rollback: bool = False

    @property
    def endpoint(self) -> str:
        return self.manifest.endpoint_name

    @property
    def waits(self) -> Waits:
        return waits_of(self.manifest.rollout)


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
    return Order(repository, commit, manifest, stages, bodies, _digest(manifest, stages, bodies))


def _digest(manifest: Manifest, stages: tuple[Wanted, ...], bodies: Mapping[str, bytes]) -> str:
    """Twelve hex digits for all that git says about the endpoint, the content of files included, their places apart."""
    said = {
        "stages": [stage.stage.model_dump(mode="json", exclude={"file"}) for stage in stages],
        "rollout": manifest.rollout.model_dump(mode="json"),
        "fingerprints": [dict(stage.fingerprints) for stage in stages],
        "bodies": {file: hashlib.sha256(body).hexdigest() for file, body in bodies.items()},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def as_rollback(order: Order) -> Order:
    """The order as the quickest safe way: smoke requests, then all traffic at once; nobody is asked before, and nothing judged while the bad
    one still has traffic. It was approved, and judged, when it was new."""
    approvals = order.manifest.rollout.approvals
    asked = approvals.model_copy(update={"before": tuple(gate for gate in approvals.before if gate == "retire")})
    unjudged = order.manifest.rollout.judge.model_copy(update={"enabled": False})
    rollout = order.manifest.rollout.model_copy(update={"steps": (), "approvals": asked, "judge": unjudged})
    manifest = order.manifest.model_copy(update={"rollout": rollout})
    return replace(order, manifest=manifest, stages=tuple(replace(stage, steps=()) for stage in order.stages), rollback=True)


def what_is_left(order: Order, live: Observed, smoked: Iterable[str] = (), watched: Watched = NOTHING_WATCHED) -> Left:
    """The plan from here, for the stage that comes next, with its waits. Raises PlanRefused."""
    index = 0 if len(order.stages) == 1 else next_stage(order.stages, live)
    bare = Plan(()) if index is None else plan(order.stages[index], live, smoked)
    steps = with_waits(bare.steps, live.traffic, order.waits, watched)
    return Left(Plan(steps, bare.remarks), order.stages[-1 if index is None else index], live)
