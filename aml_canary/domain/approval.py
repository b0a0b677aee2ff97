"""What a person is shown at a gate, and when an answer to it still counts.

An answer is good for exactly what was shown: commit, next step, live traffic, what each deployment runs, rollbacks so far. Instance
counts are left out, because an autoscaler may move them. May import `domain` only.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

from aml_canary.domain.facts import weights_text
from aml_canary.domain.observed import Observed
from aml_canary.domain.steps import Step, label, sentence


@dataclass(frozen=True)
class Shown:
    """The part of the world an approval speaks about."""

    commit: str
    step: str
    traffic: str
    runs: dict[str, str]
    rollbacks: int

    @property
    def digest(self) -> str:
        """Eight hex digits; different whenever anything shown is different."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]


def shown(commit: str, step: Step, live: Observed) -> Shown:
    """What the gate before `step` shows of the world as it is now."""
    runs = {name: f"{d.identity} {d.state}" for name, d in sorted(live.deployments.items())}
    mirror = f", mirror {weights_text(live.mirror_traffic)}" if live.mirror_traffic else ""
    return Shown(commit, f"{label(step)}: {sentence(step)}", weights_text(live.traffic) + mirror, runs, live.facts.rollbacks)


def changes(before: Shown, now: Shown) -> tuple[str, ...]:
    """Why an answer to `before` does not count for `now`, one sentence a reason; empty where it does."""
    reasons = []
    if before.commit != now.commit:
        reasons.append(f"The commit was {before.commit[:12]}, now it is {now.commit[:12]}.")
    if before.traffic != now.traffic:
        reasons.append(f"Live traffic was {before.traffic or 'none'}, now it is {now.traffic or 'none'}.")
    for name in sorted(before.runs.keys() | now.runs.keys()):
        was, is_ = before.runs.get(name), now.runs.get(name)
        if was is None:
            reasons.append(f"Deployment {name} is new.")
        elif is_ is None:
            reasons.append(f"Deployment {name} is gone.")
        elif was != is_:
            reasons.append(f"Deployment {name} is not the same: it was made or changed again, or its state changed.")
    if before.rollbacks != now.rollbacks:
        reasons.append("Traffic was rolled back in between.")
    if before.step != now.step:
        reasons.append(f"The next step was {before.step} Now it is {now.step}")
    return tuple(reasons)
