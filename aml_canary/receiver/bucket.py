"""How often somebody may knock: token buckets, as values. The time is given to them and never goes back. Standard library only."""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

# So many addresses are remembered; who was not heard of for longest is forgotten first.
ADDRESSES = 10_000


@dataclass(frozen=True)
class Rate:
    """So many at once, and after that so many a second."""

    burst: float
    per_second: float


@dataclass(frozen=True)
class Bucket:
    """What was left at a time."""

    tokens: float
    at: float


def take(bucket: Bucket, rate: Rate, now: float) -> tuple[Bucket, float]:
    """One token out of the bucket: what is left, and 0; or how many seconds to wait, and then nothing was taken."""
    filled = min(rate.burst, bucket.tokens + (now - bucket.at) * rate.per_second)
    if filled >= 1:
        return Bucket(filled - 1, now), 0.0
    return Bucket(filled, now), (1 - filled) / rate.per_second


class Buckets:
    """One bucket for each address, and one for all of them together."""

    def __init__(self, each: Rate, together: Rate) -> None:
        self._each, self._together = each, together
        self._of: OrderedDict[str, Bucket] = OrderedDict()
        self._all = Bucket(together.burst, 0.0)

    def wait(self, address: str, now: float) -> float:
        """0 where this address may knock at `now`, otherwise in how many seconds it may. Who may not takes nothing from the others."""
        who = neighbourhood(address)
        bucket, wait = take(self._of.pop(who, Bucket(self._each.burst, now)), self._each, now)
        self._of[who] = bucket
        if len(self._of) > ADDRESSES:
            self._of.popitem(last=False)
        if wait == 0:
            self._all, wait = take(self._all, self._together, now)
        return wait

    def __len__(self) -> int:
        return len(self._of)


def neighbourhood(address: str) -> str:
    """Whoever has one IPv6 address has 2**64 of them, and is one client all the same."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return str(known)
    if known.ipv4_mapped:
        return str(known.ipv4_mapped)
    return f"{IPv6Address(int(known) >> 64 << 64)}/64"
