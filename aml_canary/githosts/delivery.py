"""What a git host's webhook delivery can turn out to be, in words that no host owns.

Not a server and not a client: nothing under `githosts` performs I/O. May import `errors` and the standard library.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aml_canary.errors import Permanent


class NotSigned(Permanent):
    """The delivery carries no signature that could be checked."""


class Forged(Permanent):
    """The signature is not by any of the secrets, or the body is not the one that was signed."""


class Unreadable(Permanent):
    """The delivery is genuine, and its content is not what the host documents."""


@dataclass(frozen=True)
class Push:
    """A branch of a repository now points to another commit.

    `repository` is the host's name for it (`acme/models`), `commit` and `before` are full commit ids, `before` of a new branch
    is all zeros. `forced`: `before` is not in the history of `commit`. `pusher` is a name to show, no proof of anything.
    """

    repository: str
    branch: str
    commit: str
    before: str
    forced: bool
    pusher: str


@dataclass(frozen=True)
class Ignored:
    """A genuine delivery that asks for nothing; `reason` is a sentence for whoever wonders why nothing happened."""

    reason: str


class GitHost(Protocol):
    """What a module in this package offers. `headers` are looked up by lower-case names."""

    DELIVERY_HEADER: str

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> None:
        """Returns where one of the secrets signed exactly these bytes; raises NotSigned or Forged otherwise."""
        ...

    def parse_push(self, headers: Mapping[str, str], body: bytes) -> Push | Ignored:
        """What a verified delivery says; raises Unreadable."""
        ...
