"""What is told of a rollout afterwards: in order, a line each."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.explained import Event, answer_told, explained, stage_told
from aml_canary.domain.steps import Bake, CreateDeployment, CreateEndpoint, DeleteDeployment, Rest, Scale, ShiftTraffic, SmokeInvoke, label

BEGUN = datetime(2026, 11, 25, 22, 59, 58, tzinfo=UTC)


def test_each_event_has_its_time_and_how_long_after_the_first_it_came():
    told = explained([Event(BEGUN + timedelta(seconds=3700), "full-green: done in 2 s"), Event(BEGUN, "create-green: done in 9 s")])
    assert told.splitlines() == [
        "2026-11-25 UTC",
        "22:59:58  + 0:00:00  create-green: done in 9 s",
        "00:01:38  + 1:01:40  full-green: done in 2 s",
    ]
    assert explained([]) == "Nothing has happened yet."


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1))
def test_whatever_order_they_are_found_in(offsets):
    lines = explained([Event(BEGUN + timedelta(seconds=n), str(n)) for n in offsets]).splitlines()[1:]
    assert [int(line.split()[-1]) for line in lines] == sorted(offsets)


@pytest.mark.parametrize(
    "step",
    [
        CreateEndpoint(),
        CreateDeployment("green"),
        Scale("green", 1, 2),
        SmokeInvoke("green"),
        ShiftTraffic("green", {"blue": 90, "green": 10}),
        ShiftTraffic("green", {"green": 100}),
        ShiftTraffic("", {"blue": 100}, {"green": 10}),
        ShiftTraffic("", {"blue": 100}),
        Bake("green", {"green": 100}),
        Rest(("blue",), 5),
        DeleteDeployment("blue", retire=True),
    ],
)
def test_every_step_is_told(step):
    assert stage_told(label(step), "Completed", "", 1, 2.4) == f"{label(step)}: done in 2 s"


def test_failures_are_told_with_their_reason_on_one_line_and_what_only_looked_is_not():
    assert stage_told("full-green", "Failed", "Azure said\nno", 3, 1) == "full-green: failed, at try 3: Azure said no"
    assert stage_told("full-green", "Completed", "", 2, 1) == "full-green: done in 1 s, at try 2"
    assert stage_told("plan", "Completed", "", 1, 1) == ""


def test_answers_are_told_with_who_and_why():
    assert answer_told("full-green", "approve", "Ada", None) == "Ada approved full-green"
    assert answer_told("full-green", "reject", "Ada", "too\nslow") == "Ada rejected full-green: too slow"
