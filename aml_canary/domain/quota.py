"""How many instances a rollout needs at once, and whether the subscription may have them.

Azure keeps 20 % more than is asked for, for its own upgrades: quota has to cover ceil(1.2 * instances) of each deployment.
May import `domain.observed` only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aml_canary.domain.observed import Observed


@dataclass(frozen=True)
class Family:
    """VM sizes that share one quota: cores in use, and how many there may be; less than none is as many as one likes."""

    name: str
    used: int
    limit: int


@dataclass(frozen=True)
class Quota:
    """What Azure says of the workspace's region. Keys are lower case: of `sizes` a VM size, with its family and cores; of `families` a family."""

    sizes: Mapping[str, tuple[str, int]]
    families: Mapping[str, Family]


@dataclass(frozen=True)
class Need:
    """Instances of one type: now, at the peak, and each with Azure's reserve."""

    instance_type: str
    now: int
    peak: int
    reserved_now: int
    reserved_peak: int


def with_reserve(instances: int) -> int:
    """Instances that quota has to cover for a deployment of so many."""
    return -(-6 * instances // 5)


def needs(live: Observed, way: Iterable[Observed]) -> tuple[Need, ...]:
    """What the way needs of each instance type, by name; each type's peak on its own."""
    spelled: dict[str, str] = {}
    at_most: dict[str, tuple[int, int]] = {}
    first: dict[str, tuple[int, int]] | None = None
    for state in (live, *way):
        here: dict[str, tuple[int, int]] = {}
        for there in state.deployments.values():
            key = there.instance_type.lower()
            spelled[key] = there.instance_type
            count, reserved = here.get(key, (0, 0))
            here[key] = count + there.instance_count, reserved + with_reserve(there.instance_count)
        first = here if first is None else first
        for key, (count, reserved) in here.items():
            most = at_most.get(key, (0, 0))
            at_most[key] = max(most[0], count), max(most[1], reserved)
    found = []
    for key in sorted(at_most):
        now, reserved_now = (first or {}).get(key, (0, 0))
        peak, reserved_peak = at_most[key]
        found.append(Need(spelled[key], now, peak, reserved_now, reserved_peak))
    return tuple(found)


def against(need: Need, quota: Quota) -> tuple[bool, str]:
    """Whether quota allows the peak, as far as is known, and a sentence."""
    family_name, cores = quota.sizes.get(need.instance_type.lower(), ("", 0))
    family = quota.families.get(family_name.lower())
    if family is None or not cores:
        return True, "Azure names no quota for this size"
    more = (need.reserved_peak - need.reserved_now) * cores
    told = f"{family.used} of {family.limit} cores of {family.name} are used, {more} more are needed"
    enough = not more or family.limit < 0 or family.used + more <= family.limit
    return (True, told) if enough else (False, f"not enough: {told}")
