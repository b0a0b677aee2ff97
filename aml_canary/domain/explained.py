"""What a rollout did, and why, in order: a line for each stage, question, answer and verdict, and its end.

May import `domain` and the standard library only; points in time are values here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

# How the names of stages begin; other tasks only look.
STAGES = ("create-", "scale-", "smoke-invoke-", "flight-", "full-", "mirror-", "set-traffic", "bake-", "keep-", "delete-", "roll-back-")


@dataclass(frozen=True)
class Event:
    """Something that happened at a moment."""

    at: datetime
    told: str


def stage_told(name: str, state: str, message: str, tries: int, seconds: float) -> str:
    """One line for a stage's task run; empty where it only looked. `state` is Prefect's name for how it stands."""
    if not name.startswith(STAGES):
        return ""
    again = f", at try {tries}" if tries > 1 else ""
    if state == "Completed":
        return f"{name}: done in {seconds:.0f} s{again}"
    return f"{name}: {state.lower()}{again}{f': {_line(message)}' if message else ''}"


def answer_told(gate: str, decision: str, approver: str, comment: str | None) -> str:
    """One line for an answer."""
    word = "approved" if decision == "approve" else "rejected"
    return f"{approver} {word} {gate}{f': {_line(comment)}' if comment else ''}"


def explained(events: Iterable[Event]) -> str:
    """The events in order, each with its time of day (UTC) and how long after the first it came."""
    ordered = sorted(events, key=lambda event: event.at)
    if not ordered:
        return "Nothing has happened yet."
    begun = ordered[0].at
    day = f"{begun:%Y-%m-%d} UTC"
    return "\n".join([day, *(f"{event.at:%H:%M:%S}  +{_since(event.at, begun):>8}  {event.told}" for event in ordered)])


def _since(now: datetime, begun: datetime) -> str:
    hours, rest = divmod(int((now - begun).total_seconds()), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _line(text: str) -> str:
    return " ".join(text.split())
