"""What git says about a commit itself: its subject, its author and when it was made. May import `gateways.git`."""

from typing import NamedTuple

from aml_canary.gateways.git import Mirror


class Described(NamedTuple):
    """A commit's subject line, its author's name, and its committer date (ISO 8601). Whatever was written there, unchecked."""

    subject: str
    author: str
    date: str


def described(mirror: Mirror, commit: str) -> Described:
    """What the commit with this full id says about itself. Raises Transient or Permanent."""
    mirror.need(commit)
    answer = mirror.local("show", "--no-patch", "--no-show-signature", "--format=%s%x00%an%x00%cI", commit)
    if answer.status != 0:
        raise mirror.damaged(answer)
    subject, author, date = answer.out.decode(errors="replace").rstrip("\n").split("\0")
    return Described(subject, author, date)
