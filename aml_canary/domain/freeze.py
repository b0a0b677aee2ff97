"""Freeze windows: when nothing is started and nothing promoted. Rollbacks are never frozen.

A window comes back every week (`Fri 16:00` to `Mon 08:00`) or is there once (`2026-12-20T18:00` to `2027-01-02T06:00`), on the clock of a
time zone. Nothing here knows what time it is. May import the standard library only.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(r"(?P<day>[A-Za-z]{3}) ([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_ONCE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)
# More windows in a row than this, and the last of them will do.
_LONGEST_CHAIN = 100


@dataclass(frozen=True)
class Window:
    """From `start` until just before `end`, both `Fri 16:00` or both `2026-12-20T18:00`, on the clock of the IANA time zone."""

    start: str
    end: str
    zone: str = "UTC"


def problem_with(window: Window) -> str:
    """What is wrong with a window, as a sentence; empty where nothing is."""
    try:
        ZoneInfo(window.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"{window.zone!r} is no time zone; such as Europe/Berlin."
    kinds = {_kind(window.start), _kind(window.end)}
    if kinds == {"weekly"}:
        return "The window is empty: it ends when it starts." if _minute_of_week(window.start) == _minute_of_week(window.end) else ""
    if kinds == {"once"}:
        return "" if _local(window.start) < _local(window.end) else "The window ends before it starts."
    return f"{window.start!r} to {window.end!r} is no window: write two of `Fri 16:00`, or two of `2026-12-20T18:00`."


def frozen_until(windows: Iterable[Window], now: datetime) -> datetime | None:
    """When the freeze that `now` lies in ends, UTC, windows that touch counted as one; None where nothing is frozen."""
    known = tuple(windows)
    here = now.astimezone(UTC)
    for _ in range(_LONGEST_CHAIN):
        ends = [end for window in known if (end := _end(window, here)) is not None]
        if not ends:
            break
        here = max(ends)
    return None if here == now.astimezone(UTC) else here


def _end(window: Window, now: datetime) -> datetime | None:
    zone = ZoneInfo(window.zone)
    if _kind(window.start) == "once":
        start, end = (_local(text).replace(tzinfo=zone).astimezone(UTC) for text in (window.start, window.end))
        return end if start <= now < end else None
    local = now.astimezone(zone)
    monday = local.date() - timedelta(days=local.weekday())
    start_minute, end_minute = _minute_of_week(window.start), _minute_of_week(window.end)
    length = (end_minute - start_minute) % (7 * 24 * 60)
    for week in (monday - timedelta(days=7), monday):
        # Wall-clock arithmetic: a window that a clock change falls into starts and ends when its clock says so.
        begins = datetime.combine(week, time()) + timedelta(minutes=start_minute)
        start, end = (at.replace(tzinfo=zone).astimezone(UTC) for at in (begins, begins + timedelta(minutes=length)))
        if start <= now < end:
            return end
    return None


def _kind(text: str) -> str:
    weekly = _WEEKLY.fullmatch(text)
    if weekly and weekly["day"].lower() in _DAYS:
        return "weekly"
    try:
        return "once" if _ONCE.fullmatch(text) and _local(text) else ""
    except ValueError:
        return ""


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _minute_of_week(text: str) -> int:
    day, _, clock = text.partition(" ")
    hour, _, minute = clock.partition(":")
    return (_DAYS.index(day.lower()) * 24 + int(hour)) * 60 + int(minute)
