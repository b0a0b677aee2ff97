"""What passes between us and a git host, in words that no host owns: deliveries that came, statuses and comments that go.

Not a server and not a client: nothing under `githosts` performs I/O. May import `errors` and the standard library.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from aml_canary.errors import Permanent


class NotSigned(Permanent):
    """The delivery carries nothing that could be checked."""


class Forged(Permanent):
    """The signature is not by any of the secrets, or the body is not the one that was signed, or it is too old."""


class Unreadable(Permanent):
    """The delivery is genuine, and its content is not what the host documents."""


@dataclass(frozen=True)
class Push:
    """A branch of a repository now points to another commit.

    `repository` is the host's name for it (`acme/models`), `commit` and `before` are full commit ids, `before` of a new branch
    is all zeros. `forced`: `before` is not in the history of `commit`; None where the host does not say. `pusher` is a name to
    show, no proof of anything.
    """

    repository: str
    branch: str
    commit: str
    before: str
    forced: bool | None
    pusher: str


@dataclass(frozen=True)
class PullRequest:
    """A pull request (GitLab: merge request) was opened or reopened, or has other commits now.

    `commit` is its head; Bitbucket Cloud shortens it. Fetching `ref` from `repository`, which is the one it is to be merged
    into, brings that commit. `target` is the branch it is to be merged into. `author` is a name to show, no proof of anything.
    """

    repository: str
    number: int
    commit: str
    ref: str
    target: str
    author: str


@dataclass(frozen=True)
class Comment:
    """Somebody has just written a comment that begins with COMMAND, on a commit or on a pull request; edited ones never come as this.

    `login` is who wrote it, on the host's word. `text` is its first line. `at` is when, in whole seconds since the epoch by the host's clock.
    `commit` is a full id, or empty where it is on pull request `number`; 0 where it is not. `commits` are those of the pull request that the
    host told: its head, and what it was merged as.
    """

    repository: str
    login: str
    text: str
    at: int
    id: str
    url: str
    commit: str = ""
    number: int = 0
    commits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ignored:
    """Something genuine that asks for nothing; `reason` is a sentence for whoever wonders why nothing happened."""

    reason: str


Event = Push | PullRequest | Comment | Ignored
# A comment that begins with this word speaks to us.
COMMAND = "/canary"


class State(Enum):
    """How a commit is doing. FAILURE: it was judged bad or rejected. ERROR: we broke. Not every host tells the two apart."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True)
class Status:
    """What a commit shall show: one line per `context`, the last said is shown. `url` is where it leads."""

    repository: str
    commit: str
    state: State
    description: str
    url: str
    context: str


@dataclass(frozen=True)
class HttpRequest:
    """A request to a host's REST API. `json` is the body, None where there is none. `headers` hold the token, so they are not shown."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    json: object = None


@dataclass(frozen=True)
class FoundComment:
    """The id of the comment on this page that has the marker, in the host's own shape; `more`: there is a next page."""

    id: str | None
    more: bool


class GitHost(Protocol):
    """What a module in this package offers. `headers` are looked up by lower-case names.

    `api` is the base of the host's REST API, version included, without a slash at its end.
    """

    API: str
    """The base of the public API; empty where the host is on somebody's own machines only."""
    DELIVERY_HEADER: str
    """The header that names a delivery in the host's own log."""

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float) -> None:
        """Returns where one of the secrets vouches for this delivery; raises NotSigned or Forged otherwise.

        Several secrets are there while one is being replaced; an empty one vouches for nothing. `now` is in seconds since the epoch.
        """
        ...

    def parse(self, headers: Mapping[str, str], body: bytes) -> tuple[Event, ...]:
        """What a verified delivery says, never nothing: one event for each branch or pull request in it. Raises Unreadable."""
        ...

    def status_request(self, api: str, token: str, status: Status) -> HttpRequest:
        """Has the commit show this status."""
        ...

    def comments_request(self, api: str, token: str, repository: str, number: int, page: int) -> HttpRequest:
        """Asks for one page, the first is 1, of a pull request's comments."""
        ...

    def find_comment(self, body: bytes, marker: str) -> FoundComment:
        """The first comment in the answer to `comments_request` of which one line is `marker`. Raises Unreadable."""
        ...

    def comment_request(self, api: str, token: str, repository: str, number: int, text: str, existing: str | None) -> HttpRequest:
        """Writes a comment to a pull request, in place of `existing` (an id from `find_comment`) where there is one."""
        ...


class Commented(Protocol):
    """What a module here offers for a host whose comments answer gates."""

    def reply_request(self, api: str, token: str, comment: Comment, text: str) -> HttpRequest:
        """Writes a comment where this one stands."""
        ...

    def commits_request(self, api: str, token: str, repository: str, number: int) -> HttpRequest:
        """Asks for a pull request."""
        ...

    def commits_of(self, body: bytes) -> tuple[str, ...]:
        """The head of the pull request in the answer, and what it was merged as, if it was. Raises Unreadable."""
        ...
