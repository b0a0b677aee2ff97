"""How a rollout stands at one moment, for whoever looks: its stage, what it waits for, the verdict so far, when that ends.

Read from Prefect by `gateways.prefect_standing`; points in time are values here. May import `domain` and the standard library only.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aml_canary.domain.explained import Event
from aml_canary.domain.observed import Observed, traffic_text
from aml_canary.domain.progress import duration

Waits = Literal["", "answer", "freeze", "rest", "endpoint", "worker"]


@dataclass(frozen=True)
class Minutes:
    """How far a bake is: the whole minutes judged, at most so many, and the verdict so far."""

    judged: int
    longest: int
    verdict: str


@dataclass(frozen=True)
class Standing:
    """One rollout now. `state` and `type` are Prefect's name and type; `since` is when it came to that.

    `stage` is what it does, or the last thing it did. `waits` says for what it waits, `gate` at which gate, `until` till when, and `who`
    may answer, where the manifest says.
    """

    run: str
    name: str
    url: str
    state: str
    type: str
    message: str = ""
    since: datetime | None = None
    stage: str = ""
    waits: Waits = ""
    gate: str = ""
    until: datetime | None = None
    who: tuple[str, ...] = ()
    minutes: Minutes | None = None

    @property
    def ended(self) -> bool:
        """Whether it does nothing more by itself."""
        return self.type in ("COMPLETED", "CANCELLED", "FAILED", "CRASHED")


def minute_read(line: str) -> Minutes | None:
    """What a bake's log line says; None where it is another line."""
    found = re.match(r"Minute (\d+) of at most (\d+)\b[^.]*\. *(.*)", line, re.DOTALL)
    return None if found is None else Minutes(int(found[1]), int(found[2]), found[3])


def waiting_told(standing: Standing, now: datetime | None = None) -> str:
    """What the rollout waits for, and who may end that; empty where it waits for nothing.

    With `now` also since when and for how long still; without, until when.
    """
    who = f" by {', '.join(standing.who)}" if standing.who else ""
    words = {"answer": f"an answer to {standing.gate}{who}", "freeze": "the end of a freeze", "rest": "the end of a rest"}
    words |= {"endpoint": "the endpoint", "worker": "a worker"}
    told = words.get(standing.waits, "")
    if not told:
        return ""
    if now is None:
        return told + (f", until {standing.until:%Y-%m-%d %H:%M} UTC" if standing.until else "")
    since = f" for {duration((now - standing.since).total_seconds())}" if standing.since else ""
    return told + since + (f", {duration((standing.until - now).total_seconds())} left" if standing.until else "")


HEADINGS = ("endpoint", "live traffic", "rollout", "stage", "waits for")


def status_rows(found: Iterable[tuple[Observed, Standing | None]], now: datetime) -> list[tuple[str, ...]]:
    """One row for each endpoint, under `HEADINGS`."""
    return [
        (live.name, traffic_text(live.traffic) if live.exists else "there is no such endpoint", *_of(standing, now))
        for live, standing in found
    ]


def _of(standing: Standing | None, now: datetime) -> tuple[str, str, str]:
    if standing is None:
        return ("none", "", "")
    minutes = standing.minutes
    bake = f", minute {minutes.judged} of {minutes.longest}" if minutes else ""
    return (f"{standing.name} ({standing.state})", standing.stage + bake, waiting_told(standing, now))


def standing_json(standing: Standing) -> dict[str, Any]:
    """The standing as JSON values; moments in ISO 8601."""
    minutes = standing.minutes
    return {
        "run": standing.run,
        "name": standing.name,
        "url": standing.url,
        "state": standing.state,
        "message": standing.message,
        "since": _moment(standing.since),
        "stage": standing.stage,
        "waits_for": standing.waits or None,
        "gate": standing.gate or None,
        "until": _moment(standing.until),
        "who": list(standing.who),
        "bake": {"minutes": minutes.judged, "longest": minutes.longest, "verdict": minutes.verdict} if minutes else None,
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


@dataclass(frozen=True)
class Picture:
    """Everything that somebody who watches a rollout sees at one moment. `traffic` None: Azure could not be asked."""

    standing: Standing
    events: Sequence[Event] = ()
    traffic: Mapping[str, int] | None = None


def news(before: Picture | None, after: Picture, now: datetime) -> tuple[Event, ...]:
    """What is new since the picture before, in the order in which it happened; its end is the last."""
    known = Counter(event.told for event in before.events) if before else Counter[str]()
    found: list[Event] = []
    for event in sorted(telling(after), key=lambda event: event.at):
        if known[event.told]:
            known[event.told] -= 1
        else:
            found.append(event)
    was, standing = before.standing if before else None, after.standing
    told = []
    if after.traffic is not None and (before is None or after.traffic != before.traffic):
        told.append(f"live traffic: {traffic_text(after.traffic)}")
    if standing.minutes is not None and (was is None or standing.minutes != was.minutes):
        told.append(f"minute {standing.minutes.judged} of at most {standing.minutes.longest}: {standing.minutes.verdict}")
    if standing.waits and (was is None or (was.waits, was.gate) != (standing.waits, standing.gate)):
        told.append(f"waits for {waiting_told(standing)}")
    last = 1 if standing.ended and found else 0
    return (*found[: len(found) - last], *(Event(now, line) for line in told), *found[len(found) - last :])


def telling(seen: Picture) -> Iterable[Event]:
    """The events, without the state that a run is in while it goes on: what it does or waits for says more."""
    state = seen.standing.state
    return [event for event in seen.events if seen.standing.ended or event.told.partition(":")[0] != state]
