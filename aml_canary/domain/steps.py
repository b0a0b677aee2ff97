"""The steps a rollout is made of, each a value with the name people see.

What a step does to Azure is in `tasks`; which steps follow one another is in `planner`. May import the standard library,
`domain.manifest` (for the word `Gate`) and `domain.observed` only.
"""

from dataclasses import dataclass, field
from typing import assert_never

from aml_canary.domain.manifest import Gate
from aml_canary.domain.observed import Weights, traffic_text


@dataclass(frozen=True)
class CreateEndpoint:
    """Create the endpoint, without traffic."""


@dataclass(frozen=True)
class CreateDeployment:
    """Create a deployment at weight 0."""

    name: str


@dataclass(frozen=True)
class Scale:
    """Change how many instances a deployment has; what it runs stays."""

    name: str
    before: int
    after: int


@dataclass(frozen=True)
class SmokeInvoke:
    """Send the smoke requests straight to a deployment and check the answers."""

    name: str


@dataclass(frozen=True)
class ShiftTraffic:
    """Set live and mirrored traffic, all weights at once. `canary` is the one deployment that gains; "" where none does."""

    canary: str
    weights: Weights
    mirror: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class Bake:
    """Judge the canary while live traffic stays as it is, until there is a verdict."""

    canary: str
    weights: Weights

    @property
    def share(self) -> int:
        """The canary's percentage of live traffic."""
        return self.weights.get(self.canary, 0)


@dataclass(frozen=True)
class Rest:
    """Keep deployments that lost their traffic for some minutes, so that the way back is one change of weights."""

    names: tuple[str, ...]
    minutes: int


@dataclass(frozen=True)
class DeleteDeployment:
    """Delete a deployment that carries no traffic.

    `retire`: it was part of the endpoint and git no longer names it. Otherwise it stands, without traffic, in the way of a new one.
    """

    name: str
    retire: bool


@dataclass(frozen=True)
class DeleteEndpoint:
    """Delete the endpoint and everything in it."""


Step = CreateEndpoint | CreateDeployment | Scale | SmokeInvoke | ShiftTraffic | Bake | Rest | DeleteDeployment | DeleteEndpoint


def label(step: Step) -> str:
    """The step's name in every log, task run and form, such as `flight-green-10`. Letters, digits and dashes only."""
    match step:
        case CreateEndpoint():
            return "create-endpoint"
        case CreateDeployment(name):
            return f"create-{name}"
        case Scale(name):
            return f"scale-{name}"
        case SmokeInvoke(name):
            return f"smoke-invoke-{name}"
        case ShiftTraffic(canary, weights, mirror):
            if not canary:
                return "mirror-" + "-".join(f"{n}-{w}" for n, w in mirror.items()) if mirror else "set-traffic"
            return f"full-{canary}" if weights.get(canary) == 100 else f"flight-{canary}-{weights.get(canary, 0)}"
        case Bake():
            return f"bake-{step.canary}-{step.share}"
        case Rest(names):
            return f"keep-{'-'.join(names)}"
        case DeleteDeployment(name):
            return f"delete-{name}"
        case DeleteEndpoint():
            return "delete-endpoint"
        case _:
            assert_never(step)


def gate_of(step: Step) -> Gate | None:
    """Which kind of approval stands before a step; None: it changes nothing that users of the endpoint could notice."""
    match step:
        case ShiftTraffic(canary, weights):
            return "full" if canary and weights.get(canary) == 100 else "traffic"
        case DeleteDeployment(_, retire):
            return "retire" if retire else None
        case DeleteEndpoint():
            return "retire"
        case CreateEndpoint() | CreateDeployment() | Scale() | SmokeInvoke() | Bake() | Rest():
            return None
        case _:
            assert_never(step)


def sentence(step: Step) -> str:
    """What the step does, for a person."""
    match step:
        case CreateEndpoint():
            return "Create the endpoint, without traffic."
        case CreateDeployment(name):
            return f"Create deployment {name}, with no live traffic."
        case Scale(name, before, after):
            return f"Scale {name} from {before} to {after} instances."
        case SmokeInvoke(name):
            return f"Send the smoke requests straight to {name} and check each answer."
        case ShiftTraffic(_, weights, mirror):
            mirrored = f", mirrored to {traffic_text(mirror)}" if mirror else ""
            return f"Set live traffic to {traffic_text(weights)}{mirrored}."
        case Bake():
            return f"Judge {step.canary} with {step.share} % of live traffic; go back at once if it is worse."
        case Rest(names, minutes):
            return f"Keep {', '.join(names)} without traffic for {minutes} minutes, ready to go back to."
        case DeleteDeployment(name, retire):
            why = "git no longer names it" if retire else "it has no traffic, and a new one takes its name"
            return f"Delete deployment {name}: {why}."
        case DeleteEndpoint():
            return "Delete the endpoint and every deployment in it."
        case _:
            assert_never(step)
