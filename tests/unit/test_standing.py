"""How a rollout stands, for people: what it waits for, how long still, what is new since the last look."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.explained import Event
from aml_canary.domain.observed import absent
from aml_canary.domain.progress import bake_told
from aml_canary.domain.standing import (
    HEADINGS,
    Minutes,
    Picture,
    Standing,
    minute_read,
    news,
    standing_json,
    status_rows,
    waiting_told,
)
from tests.unit.worlds import live

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ASKED = Standing(
    "1a", "churn@1a2b3c4", "http://ui", "Suspended", "PAUSED", "", NOON, "flight-green-10", "answer", "flight-green-10", NOON + timedelta(7)
)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.text().map(str.strip))
def test_what_a_bake_says_of_its_minutes_is_read_again(judged, longest, verdict):
    assert minute_read(f"{bake_told(judged, 5, longest)}. {verdict}") == Minutes(judged, longest, verdict)


@pytest.mark.parametrize("line", ["", "Waiting for approval", "Minute of at most 5.", "A Minute 3 of at most 5. pass"])
def test_other_lines_say_nothing_of_minutes(line):
    assert minute_read(line) is None


def test_what_it_waits_for_says_since_when_how_long_still_and_who_may_end_it():
    now = NOON + timedelta(minutes=5)
    assert waiting_told(ASKED, now) == "an answer to flight-green-10 for 5 min, 6 d 23 h left"
    assert waiting_told(replace(ASKED, who=("ada", "bob"))) == "an answer to flight-green-10 by ada, bob, until 2026-12-03 12:00 UTC"
    assert waiting_told(replace(ASKED, waits="rest"), now) == "the end of a rest for 5 min, 6 d 23 h left"
    assert waiting_told(replace(ASKED, waits="endpoint", until=None), now) == "the endpoint for 5 min"
    assert waiting_told(replace(ASKED, waits=""), now) == ""


def test_the_table_has_a_row_for_each_endpoint_also_where_there_is_none():
    at_work = replace(ASKED, state="Running", waits="", gate="", stage="bake-green-10", minutes=Minutes(3, 60, "pass"), until=None)
    rows = status_rows([(live({"blue": 90, "green": 10}, {}), ASKED), (live({}, {}), at_work), (absent("gone"), None)], NOON)
    assert [len(row) for row in rows] == [len(HEADINGS)] * 3
    assert rows[0][1:4] == ("blue 90 %, green 10 %", "churn@1a2b3c4 (Suspended)", "flight-green-10")
    assert rows[1][1:] == ("none", "churn@1a2b3c4 (Running)", "bake-green-10, minute 3 of 60", "")
    assert rows[2] == ("gone", "there is no such endpoint", "none", "", "")


def test_json_has_moments_and_nothing_that_does_not_apply():
    said = standing_json(replace(ASKED, who=("ada",)))
    assert (said["since"], said["until"]) == ("2026-11-26T12:00:00+00:00", "2026-12-03T12:00:00+00:00")
    assert (said["waits_for"], said["gate"], said["who"], said["bake"]) == ("answer", "flight-green-10", ["ada"], None)
    other = standing_json(Standing("1a", "n", "", "Running", "RUNNING", minutes=Minutes(1, 5, "v")))
    assert (other["waits_for"], other["until"], other["bake"]) == (None, None, {"minutes": 1, "longest": 5, "verdict": "v"})


def told(before: Picture | None, after: Picture) -> list[str]:
    return [event.told for event in news(before, after, NOON)]


def at(second: int, line: str) -> Event:
    return Event(NOON + timedelta(seconds=second), line)


def test_the_first_look_tells_everything_and_the_next_only_what_is_new():
    first = Picture(ASKED, (at(2, "Suspended"), at(1, "asked"), at(0, "create-green: done")), {"blue": 100})
    waits = "waits for an answer to flight-green-10, until 2026-12-03 12:00 UTC"
    assert told(None, first) == ["create-green: done", "asked", "live traffic: blue 100 %", waits]
    assert told(first, first) == []
    running = replace(ASKED, state="Running", type="RUNNING", waits="", gate="", minutes=Minutes(1, 60, "inconclusive"))
    second = Picture(running, (*first.events[1:], at(3, "asked")), {"blue": 90, "green": 10})
    assert told(first, second) == ["asked", "live traffic: blue 90 %, green 10 %", "minute 1 of at most 60: inconclusive"]
    assert told(second, replace(second, traffic=None)) == [], "an Azure that is not reached for a moment is no change"


def test_the_end_is_the_last_that_is_told():
    ended = replace(ASKED, state="Promoted", type="COMPLETED", waits="", gate="")
    seen = Picture(ended, (at(1, "full-green: done"), at(2, "Promoted: churn is as the manifest says")), {"green": 100})
    assert told(None, seen) == ["full-green: done", "live traffic: green 100 %", "Promoted: churn is as the manifest says"]


events = st.lists(st.builds(at, st.integers(0, 9), st.sampled_from("abc")), max_size=8)


@given(events, events)
def test_nothing_is_told_twice_and_nothing_is_left_out(before, later):
    first, second = Picture(ASKED, tuple(before)), Picture(ASKED, (*before, *later))
    new = [line for line in told(first, second) if not line.startswith("waits for")]
    assert sorted(new) == sorted(event.told for event in later)
