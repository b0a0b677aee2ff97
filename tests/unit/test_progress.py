"""How long a wait still takes is said as far as it is known, and what is not over is never shown as done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.progress import Wait, bake_told, duration, percent, wait_told

seconds = st.floats(0, 1e5)


@given(seconds, seconds, st.none() | seconds)
def test_a_wait_that_lasts_is_between_nothing_and_almost_all(waited, limit, usual):
    assert 0 <= percent(Wait(waited, limit, usual)) <= 95


def test_a_wait_is_measured_by_the_last_one_where_there_was_one_and_by_its_limit_otherwise():
    assert percent(Wait(60, 3600, 120)) == 50
    assert percent(Wait(360, 3600)) == 10


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (Wait(90, 3600, 430), "for 1 min 30 s; about 5 min 40 s are left if it takes as long as the last time (7 min 10 s)."),
        (Wait(600, 3600, 430), "for 10 min, longer than the last time (7 min 10 s); it is given up in 50 min."),
        (Wait(30, 3600), "for 30 s; how long it takes is not known, it is given up in 59 min 30 s."),
    ],
)
def test_a_line_says_how_long_is_left_as_far_as_that_is_known(wait, told):
    assert wait_told("create-green", "Creating", wait) == f"create-green: Azure is at it (Creating) {told}"


def test_a_bake_says_from_when_on_a_pass_counts_and_when_it_ends():
    assert bake_told(3, 5, 60) == "Minute 3 of at most 60; a pass counts in 2 more, the bake ends in 57 at the latest"
    assert bake_told(5, 5, 60) == "Minute 5 of at most 60; the bake ends in 55 more at the latest"


def test_durations_are_short():
    assert [duration(s) for s in (0, 59.4, 60, 61, 3599, 3600, 7500, -1, 86399, 86400, 7 * 86400 - 1)] == [
        *("0 s", "59 s", "1 min", "1 min 1 s", "59 min 59 s", "1 h 0 min", "2 h 5 min", "0 s", "23 h 59 min", "1 d 0 h", "6 d 23 h"),
    ]
