"""Freeze windows: when nothing is started, to the minute, on the clock of their own time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.freeze import Window, frozen_until, problem_with

often = settings(max_examples=200, deadline=None)
BERLIN = ZoneInfo("Europe/Berlin")
WEEKEND = Window("Fri 16:00", "Mon 08:00", "Europe/Berlin")
CHRISTMAS = Window("2026-12-20T18:00", "2027-01-02T06:00", "Europe/Berlin")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

moments = st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
clock = st.builds("{} {:02d}:{:02d}".format, st.sampled_from(DAYS), st.integers(0, 23), st.integers(0, 59))
zones = st.sampled_from(("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"))
weekly = st.builds(Window, clock, clock, zones).filter(lambda window: window.start != window.end)


def berlin(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "until"),
    {
        "Friday afternoon, a minute before": (berlin(2026, 11, 27, 15, 59), None),
        "Friday afternoon": (berlin(2026, 11, 27, 16, 0), berlin(2026, 11, 30, 8, 0)),
        "Sunday": (berlin(2026, 11, 29, 12, 0), berlin(2026, 11, 30, 8, 0)),
        "Monday, a minute before its end": (berlin(2026, 11, 30, 7, 59), berlin(2026, 11, 30, 8, 0)),
        "Monday morning": (berlin(2026, 11, 30, 8, 0), None),
    }.values(),
)
def test_a_weekly_window_is_open_from_its_start_until_just_before_its_end(now, until):
    assert frozen_until([WEEKEND], now) == until


def test_a_window_keeps_to_its_own_clock_when_the_clocks_change():
    saturday_before_winter_time = berlin(2026, 10, 24, 12, 0)
    assert frozen_until([WEEKEND], saturday_before_winter_time) == berlin(2026, 10, 26, 8, 0)


def test_windows_that_touch_are_one():
    friday = berlin(2026, 12, 18, 17, 0)
    assert frozen_until([WEEKEND], friday) == berlin(2026, 12, 21, 8, 0)
    assert frozen_until([WEEKEND, CHRISTMAS], friday) == berlin(2027, 1, 2, 6, 0) + timedelta(days=2, hours=2), "2 January is a Saturday"


@often
@given(st.lists(weekly, max_size=4), moments)
def test_a_freeze_lies_ahead_and_at_its_end_nothing_is_frozen(windows, now):
    until = frozen_until(windows, now)
    if until is not None and until - now < timedelta(days=80):
        assert until > now
        assert frozen_until(windows, until) is None


@often
@given(weekly, moments)
def test_a_weekly_window_freezes_again_a_week_later_on_its_own_clock(window, now):
    zone = ZoneInfo(window.zone)
    later = (now.astimezone(zone).replace(tzinfo=None) + timedelta(days=7)).replace(tzinfo=zone)
    changed = now.astimezone(zone).utcoffset() != later.utcoffset()
    if not changed:
        assert (frozen_until([window], now) is None) == (frozen_until([window], later.astimezone(UTC)) is None) or _near_a_clock_change(
            now, zone
        )


def _near_a_clock_change(now: datetime, zone: ZoneInfo) -> bool:
    offsets = {(now + timedelta(days=day)).astimezone(zone).utcoffset() for day in range(-8, 16)}
    return len(offsets) > 1


@pytest.mark.parametrize(
    "window",
    [
        Window("Fri 16:00", "Fri 16:00"),
        Window("Fri 25:00", "Mon 08:00"),
        Window("Fry 16:00", "Mon 08:00"),
        Window("Fri 16:00", "2026-12-20T18:00"),
        Window("2026-12-20T18:00", "2026-12-20T18:00"),
        Window("2026-02-30T18:00", "2026-12-20T18:00"),
        Window("Fri 16:00", "Mon 08:00", "Berlin"),
        Window("Fri 16:00", "Mon 08:00", "../etc/passwd"),
        Window("", ""),
    ],
)
def test_a_window_that_is_none_is_told(window):
    assert problem_with(window)


@often
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_text_makes_checking_a_window_fail(start, end, zone):
    window = Window(start, end, zone)
    if not problem_with(window):
        frozen_until([window], datetime(2026, 1, 1, tzinfo=UTC))
