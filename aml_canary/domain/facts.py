"""A rollout's facts as Azure tags, there and back.

Tags are the only place on an endpoint where a rollout may write about itself, and they are written in the same PUT as
the traffic they describe. Azure's limits: names up to 512 characters, values up to 256. May import `domain.observed` only.
"""

from collections.abc import Iterable, Mapping

from aml_canary.domain.observed import Facts, Weights

PREFIX = "aml-canary."
FINGERPRINT = PREFIX + "fingerprint"
INSTANCES = PREFIX + "instances"
LONGEST = 256


def weights_text(weights: Weights) -> str:
    """`blue=90 green=10`: short enough for a tag, readable in a log."""
    return " ".join(f"{name}={weight}" for name, weight in sorted(weights.items()))


def weights_from_text(text: str) -> dict[str, int]:
    """The inverse of `weights_text`; what does not parse is left out, because anybody may edit a tag."""
    pairs = (word.partition("=") for word in text.split())
    return {name: int(weight) for name, _, weight in pairs if name and weight.isdecimal() and weight.isascii()}


def too_long(names: Iterable[str]) -> bool:
    """Whether the weights of these deployments may not fit into a tag, whatever they are. Cut, they would be no way back."""
    return len(weights_text(dict.fromkeys(names, 99))) > LONGEST


def to_tags(facts: Facts) -> dict[str, str]:
    """All of a rollout's tags, empty ones included, so that a later rollout leaves nothing of an earlier one behind."""
    values = {
        "repository": facts.repository,
        "commit": facts.commit,
        "manifest": facts.manifest,
        "run": facts.run,
        "step": facts.step,
        "since": facts.since,
        "traffic": weights_text(facts.traffic),
        "stable": weights_text(facts.stable),
        "rollbacks": str(facts.rollbacks),
    }
    return {PREFIX + key: value[:LONGEST] for key, value in values.items()}


def from_tags(tags: Mapping[str, str]) -> Facts:
    """What the tags say; missing and damaged ones read as nothing known."""

    def of(key: str) -> str:
        return tags.get(PREFIX + key) or ""

    rollbacks = of("rollbacks")
    return Facts(
        repository=of("repository"),
        commit=of("commit"),
        manifest=of("manifest"),
        run=of("run"),
        step=of("step"),
        since=of("since"),
        traffic=weights_from_text(of("traffic")),
        stable=weights_from_text(of("stable")),
        rollbacks=int(rollbacks) if rollbacks.isdecimal() and rollbacks.isascii() else 0,
    )
