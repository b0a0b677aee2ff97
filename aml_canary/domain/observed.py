"""What is live on Azure at one moment, as a value: the other half of what the planner looks at.

Nothing here asks Azure (that is `gateways.azureml`). May import the standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Weights = Mapping[str, int]


@dataclass(frozen=True)
class ObservedDeployment:
    """One deployment as Azure reports it.

    `state` is Azure's provisioningState, `created_at` Azure's own word for when. `fingerprint` is what this project wrote on it when it
    created it, and None where somebody else did; then `instance_type` and `model` (`name:version`) are all there is to compare.
    `applied_count` is the instance count that this project wrote last; another one now is an autoscaler's, or somebody's.
    """

    name: str
    state: str
    instance_count: int
    instance_type: str
    fingerprint: str | None = None
    created_at: str | None = None
    model: str | None = None
    applied_count: int | None = None

    @property
    def identity(self) -> str:
        """Tells this deployment from an earlier or later one of the same name."""
        return f"{self.name} {self.fingerprint} {self.created_at}"

    @property
    def healthy(self) -> bool:
        return self.state == "Succeeded"


@dataclass(frozen=True)
class Facts:
    """What a rollout has written about itself on the endpoint, in the same request as the traffic it describes.

    `traffic` is what was written, so that a change by somebody else can be told. `stable` is the traffic to come back to; empty while
    nothing was ever shifted by a rollout. `rollbacks` counts the
    times traffic was put back, over the endpoint's life.
    """

    repository: str = ""
    commit: str = ""
    manifest: str = ""
    run: str = ""
    step: str = ""
    since: str = ""
    traffic: Weights = field(default_factory=dict)
    stable: Weights = field(default_factory=dict)
    rollbacks: int = 0


@dataclass(frozen=True)
class Observed:
    """One endpoint, whole. `traffic` and `mirror_traffic` hold no zero weights. Names are lower case."""

    name: str
    exists: bool = False
    state: str = ""
    auth_mode: str = ""
    traffic: Weights = field(default_factory=dict)
    mirror_traffic: Weights = field(default_factory=dict)
    deployments: Mapping[str, ObservedDeployment] = field(default_factory=dict)
    facts: Facts = Facts()
    scoring_uri: str = ""

    def carries_traffic(self, deployment: str) -> bool:
        """Whether any live or mirrored request reaches the deployment by weight."""
        return bool(self.traffic.get(deployment) or self.mirror_traffic.get(deployment))

    @property
    def on_stable(self) -> bool:
        """Whether live traffic is exactly where the rollout that wrote last comes back to."""
        return dict(self.traffic) == nonzero(self.facts.stable) and not self.mirror_traffic

    @property
    def as_written(self) -> bool:
        """Whether live traffic is what a rollout wrote last, by its own word; where it is not, somebody else set it."""
        return dict(self.traffic) == nonzero(self.facts.traffic)

    @property
    def astray(self) -> bool:
        """Whether live traffic has yet to come back to where it was before the rollout that wrote last.

        Not where somebody else set it since, and gave nothing to what that rollout brought: then it is theirs.
        """
        stable = nonzero(self.facts.stable)
        if not stable or self.on_stable:
            return False
        brought = [name for name, weight in self.facts.traffic.items() if weight > stable.get(name, 0)]
        return self.as_written or bool(self.mirror_traffic) or any(self.carries_traffic(name) for name in brought)

    @property
    def busy(self) -> bool:
        """Whether Azure is at work on the endpoint or one of its deployments."""
        states = [self.state, *(deployment.state for deployment in self.deployments.values())]
        return self.exists and any(state not in ("Succeeded", "Failed", "Canceled") for state in states)

    def without(self, *names: str) -> "Observed":
        """The same endpoint, had it not these deployments."""
        return replace(self, deployments={n: d for n, d in self.deployments.items() if n not in names})


def absent(name: str) -> Observed:
    """An endpoint that is not there."""
    return Observed(name=name)


def traffic_text(weights: Weights) -> str:
    """Weights for people: `blue 90 %, green 10 %`, or `none`."""
    return ", ".join(f"{name} {weight} %" for name, weight in sorted(weights.items())) or "none"


def nonzero(weights: Weights | None) -> dict[str, int]:
    """Weights as Azure keeps them: without zeros, sorted by name."""
    return {name: weight for name, weight in sorted((weights or {}).items()) if weight}
