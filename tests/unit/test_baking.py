"""Where a rollout waits and looks: never in the way of the plan, always between a traffic step and what comes after it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.baking import Waits, Watched, bake_after, compared_with, waits_of, with_waits
from aml_canary.domain.judge.verdict import Finding, Verdict
from aml_canary.domain.manifest import Judge, Retire, Rollout
from aml_canary.domain.observed import Facts
from aml_canary.domain.planner import plan
from aml_canary.domain.simulate import whole_path
from aml_canary.domain.steps import Bake, DeleteDeployment, Rest, ShiftTraffic, gate_of, label, sentence
from aml_canary.domain.verdict_text import verdict_line, verdict_table
from tests.unit.test_planner_properties import often
from tests.unit.worlds import live, rollouts, wanted

HERE = live({"blue": 100}, {"blue": "v1"})
AIM = wanted({"green": 100}, {"green": "v2"}, steps=(10, 50))
BAKE = Bake("green", {"blue": 90, "green": 10})
FACTS = Facts(run="r", step="flight-green-10", since="2026-01-01T00:00:00+00:00", traffic={"blue": 90, "green": 10}, stable={"blue": 100})


def test_after_each_traffic_step_the_canary_is_judged_and_what_it_replaced_is_kept_before_it_is_deleted():
    path = whole_path((AIM,), HERE, Waits(bake=True, keep_for_minutes=10))
    assert [label(step) for step in path] == [
        "create-green",
        "smoke-invoke-green",
        *("flight-green-10", "bake-green-10"),
        *("flight-green-50", "bake-green-50"),
        *("full-green", "bake-green-100"),
        *("keep-blue", "delete-blue"),
    ]
    assert "Judge green with 10 % of live traffic" in sentence(path[3])
    assert sentence(path[8]) == "Keep blue without traffic for 10 minutes, ready to go back to."


def test_without_judge_and_rest_the_plan_is_the_planner_s():
    assert whole_path((AIM,), HERE, waits_of(Rollout(judge=Judge(enabled=False), retire=Retire(keep_for_minutes=0)))) == whole_path(
        (AIM,), HERE
    )


def test_the_first_release_has_nobody_to_be_compared_with():
    path = whole_path((wanted({"blue": 100}, {"blue": "v1"}),), live({}, {}), Waits(bake=True))
    assert not [step for step in path if isinstance(step, Bake)]


def test_a_bake_that_is_owed_comes_before_everything_else():
    here = live({"blue": 90, "green": 10}, {"blue": "v1", "green": "v2"})
    left = with_waits(plan(AIM, here).steps, here.traffic, Waits(bake=True, keep_for_minutes=1), Watched(owed=BAKE, rested=True))
    assert [label(step) for step in left] == [
        "bake-green-10",
        "flight-green-50",
        "bake-green-50",
        "full-green",
        "bake-green-100",
        "delete-blue",
    ]


@often
@given(rollouts(), st.booleans(), st.integers(0, 3))
def test_waits_change_nothing_but_the_time_between_steps(rollout, bake, minutes):
    aim, world = rollout
    steps = plan(aim, world.live, world.smoked).steps
    with_them = with_waits(steps, world.live.traffic, Waits(bake, minutes))
    assert tuple(step for step in with_them if not isinstance(step, Bake | Rest)) == steps
    assert all(gate_of(step) is None for step in with_them if isinstance(step, Bake | Rest))
    traffic = world.live.traffic
    for before, after in pairwise((*with_them, None)):
        if isinstance(before, ShiftTraffic):
            judged = bake and bool(before.canary) and bool(traffic)
            assert isinstance(after, Bake) == judged
            assert not judged or (after.canary, after.weights) == (before.canary, before.weights)
            traffic = before.weights
    retired = [n for n, step in enumerate(with_them) if isinstance(step, DeleteDeployment) and step.retire]
    rests = [n for n, step in enumerate(with_them) if isinstance(step, Rest)]
    assert rests == ([retired[0] - 1] if retired and minutes else [])


@often
@given(rollouts())
def test_a_rollout_that_plans_anew_after_each_step_and_owes_its_bakes_walks_the_printed_way(rollout):
    aim, world = rollout
    waits = Waits(bake=True, keep_for_minutes=5)
    watched, walked = Watched(), []
    for _ in range(60):
        left = with_waits(world.steps(aim), world.live.traffic, waits, watched)
        if not left:
            break
        step, before = left[0], world.live.traffic
        walked.append(label(step))
        if isinstance(step, Bake | Rest):
            watched = Watched(None, rested=isinstance(step, Rest) or watched.rested)
            continue
        world = world.do(step, aim)
        if isinstance(step, ShiftTraffic):
            watched = Watched(Bake(step.canary, step.weights) if step.canary and before else None)
    else:
        raise AssertionError("it does not end")
    shifts = [name for name in walked if name.startswith(("flight-", "full-"))]
    bakes = [name for name in walked if name.startswith("bake-")]
    assert len(bakes) in (len(shifts), len(shifts) - 1)


def test_which_bake_is_owed_is_read_from_the_facts_of_the_last_traffic_step():
    here = live({"blue": 90, "green": 10}, {"blue": "v1", "green": "v2"})
    assert bake_after(FACTS, here) == BAKE
    assert bake_after(FACTS, live({"blue": 80, "green": 20}, {"blue": "v1", "green": "v2"})) is None, "somebody changed it"
    assert bake_after(Facts(**{**vars(FACTS), "step": "rolled-back"}), here) is None
    assert bake_after(Facts(**{**vars(FACTS), "stable": {}}), here) is None, "nothing to compare with"
    assert bake_after(Facts(), here) is None


@pytest.mark.parametrize(
    ("weights", "stable", "other"),
    [
        ({"green": 10, "blue": 60, "red": 30}, {}, "blue"),
        ({"green": 100}, {"blue": 70, "red": 30}, "blue"),
        ({"green": 100}, {}, ""),
        ({"green": 100}, {"green": 50, "blue": 50}, "blue"),
    ],
)
def test_a_canary_is_compared_with_who_serves_most_beside_it_or_did_before(weights, stable, other):
    assert compared_with(Bake("green", weights), stable) == other


FINDING = Finding("errors", "fail", "0.6 %", "5.1 %", "8.2 times as many (3.1 to 22)", 12_500.0, 0.3)


def test_a_verdict_is_a_sentence_and_a_table():
    verdict = Verdict("fail", "the canary fails 8.2 times as often.", (FINDING,), 6000, 702, 6)
    assert verdict_line(BAKE, verdict) == "bake-green-10: fail, the canary fails 8.2 times as often."
    lines = verdict_table(BAKE, "blue", verdict).splitlines()
    assert lines[0].startswith("**fail** (worse than stable): the canary")
    assert lines[1] == "6 whole minutes, 702 requests answered by green, 6000 by blue."
    assert lines[3:] == [
        "| metric | blue | green | verdict |",
        "|-|-|-|-|",
        "| errors | 0.6 % | 5.1 % | fail |",
        "",
        "- errors: 8.2 times as many (3.1 to 22), wrong once in 12500",
    ]


@pytest.mark.parametrize(
    ("word", "evidence", "safety", "told"),
    [
        ("pass", 0.1, 25.0, "wrong once in 25"),
        ("fail", 1e9, 0.0, "wrong less than once in a million"),
        ("inconclusive", 50.0, 50.0, "not sure yet"),
        ("pass", 0.1, 1.0, "not sure yet"),
    ],
)
def test_how_sure_a_finding_is_said_of_what_it_says(word, evidence, safety, told):
    finding = Finding("errors", word, "0 %", "0 %", "no errors in either", evidence, safety)
    assert verdict_table(BAKE, "blue", Verdict(word, "why", (finding,))).splitlines()[-1].endswith(f", {told}")


@pytest.mark.parametrize(
    ("word", "more", "result"),
    [
        ("pass", "fail", "fail"),
        ("pass", "inconclusive", "inconclusive"),
        ("fail", "pass", "fail"),
        ("inconclusive", "pass", "inconclusive"),
    ],
)
def test_one_more_finding_makes_a_verdict_worse_or_leaves_it(word, more, result):
    both = Verdict(word, "why").also(Finding("agreement", more, "", "40 %", "they agree in 40 % of 20 answers", 0, 0))
    assert both.word == result
    assert (both.reason == "why") == (word == result)
    assert len(both.findings) == 1
