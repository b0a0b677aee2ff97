"""How far a long wait has got, in words and in percent. May import the standard library only."""

from dataclasses import dataclass

# What is not over is never shown as done.
_MOST = 95.0


@dataclass(frozen=True)
class Wait:
    """A wait for Azure: seconds so far, after how many it is given up, and how many the last one of its kind took; None: not known."""

    seconds: float
    limit: float
    usual: float | None = None


def percent(wait: Wait) -> float:
    """How much of the wait is over, 0 to 95: of what it took the last time, or else of what it may take."""
    return min(_MOST, 100 * wait.seconds / max(1.0, wait.usual or wait.limit))


def wait_told(what: str, state: str, wait: Wait) -> str:
    """What Azure is at, for how long, and how long is left as far as anybody knows."""
    so_far = f"{what}: Azure is at it ({state}) for {duration(wait.seconds)}"
    given_up = f"it is given up in {duration(wait.limit - wait.seconds)}"
    if wait.usual is None:
        return f"{so_far}; how long it takes is not known, {given_up}."
    if wait.usual <= wait.seconds:
        return f"{so_far}, longer than the last time ({duration(wait.usual)}); {given_up}."
    return f"{so_far}; about {duration(wait.usual - wait.seconds)} are left if it takes as long as the last time ({duration(wait.usual)})."


def bake_told(minutes: int, least: int, longest: int) -> str:
    """`Minute 3 of at most 60; ...`: how long a bake still takes, in whole minutes."""
    if minutes < least:
        return f"Minute {minutes} of at most {longest}; a pass counts in {least - minutes} more, the bake ends in {longest - minutes} at the latest"
    return f"Minute {minutes} of at most {longest}; the bake ends in {longest - minutes} more at the latest"


def duration(seconds: float) -> str:
    """`40 s`, `7 min 10 s`, `2 h 5 min`, `6 d 23 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
