"""What the judge looks at: what two deployments did, minute by minute.

Counted over whole minutes, so that what reaches the judge late, or twice, changes nothing. May import the standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Arm:
    """What one deployment answered in one whole minute.

    `answers` counts requests by HTTP status as callers saw it (200, 424, 503); what they did not wait for (408, 499, 504) is among them.
    A minute without a request is `Arm()`; a minute nobody has data of is None where an Arm is expected.
    `percentiles` are latencies in milliseconds by percent (50, 90, 95, 99), where that is all the source knows.
    `durations` are the latencies of single requests in milliseconds, where the source has them; then they count and `percentiles` do not.
    `quality` holds one value for each answer that the manifest's quality function looked at, higher is better.
    """

    answers: Mapping[int, int] = field(default_factory=dict)
    percentiles: Mapping[int, float] = field(default_factory=dict)
    durations: tuple[float, ...] = ()
    quality: tuple[float, ...] = ()

    @cached_property
    def requests(self) -> int:
        return sum(self.answers.values())

    @cached_property
    def errors(self) -> int:
        """Answers that are the deployment's fault: 5xx, Azure's 424 (the model failed), and timeouts (408, 499).

        Other 4xx are the caller's; 429 is counted because a canary that takes fewer requests at once is worse.
        Azure's documentation of online endpoint status codes is the source of the meanings.
        """
        return sum(count for status, count in self.answers.items() if status >= 500 or status in (408, 424, 429, 499))


@dataclass(frozen=True)
class Minute:
    """Both deployments in one minute. `at` is in whole minutes since the epoch; None for an arm: no data, which is not zero."""

    at: int
    stable: Arm | None
    canary: Arm | None


def spans(first: int, newest: int, longest: int, most: int) -> tuple[tuple[int, int], ...]:
    """Which minutes to judge of those from `first` to `newest`, as ranges with both ends included.

    The first `longest` always, because the judge's one look at the end is about exactly these, and would not be one look if they moved on;
    of what comes after them the newest `most`.
    """
    later = first + longest
    start = max(later, newest - most + 1)
    if newest < first:
        return ()
    return ((first, newest),) if newest < later or start == later else ((first, later - 1), (start, newest))
