"""What an endpoint looks like after a step. It imitates Azure's effects, not Azure's failures.

May import `domain` only.
"""

from dataclasses import replace
from typing import assert_never

from aml_canary.domain.observed import Observed, ObservedDeployment, absent, nonzero
from aml_canary.domain.planner import Wanted
from aml_canary.domain.steps import (
    Bake,
    CreateDeployment,
    CreateEndpoint,
    DeleteDeployment,
    DeleteEndpoint,
    Rest,
    Scale,
    ShiftTraffic,
    SmokeInvoke,
    Step,
)


def after(step: Step, live: Observed, wanted: Wanted) -> Observed:
    """The endpoint once `step` has succeeded."""
    match step:
        case CreateEndpoint():
            return replace(live, exists=True, state="Succeeded", auth_mode=wanted.stage.endpoint.auth_mode)
        case CreateDeployment(name):
            return replace(live, deployments={**live.deployments, name: made(name, wanted)})
        case Scale(name, _, count):
            scaled = replace(live.deployments[name], instance_count=count, applied_count=count)
            return replace(live, deployments={**live.deployments, name: scaled})
        case SmokeInvoke() | Bake() | Rest():
            return live
        case ShiftTraffic(_, weights, mirror):
            return replace(live, traffic=nonzero(weights), mirror_traffic=nonzero(mirror))
        case DeleteDeployment(name):
            return live.without(name)
        case DeleteEndpoint():
            return absent(live.name)
        case _:
            assert_never(step)


def made(name: str, wanted: Wanted) -> ObservedDeployment:
    """The deployment as it is right after it was created."""
    deployment = wanted.stage.deployments[name]
    count = deployment.instance_count
    return ObservedDeployment(
        name, "Succeeded", count, deployment.instance_type, wanted.fingerprints[name], created_at="new", applied_count=count
    )
