"""A rollout that is started by hand with `start_from` begins there or not at all, and nothing that is owed is skipped."""

import pytest
from hypothesis import given

from aml_canary.domain.order import Left
from aml_canary.domain.planner import Plan
from aml_canary.domain.starting import refusal
from aml_canary.domain.steps import Bake, CreateDeployment, DeleteDeployment, ShiftTraffic, SmokeInvoke, label
from tests.unit.worlds import live, rollouts, wanted

AIM = wanted({"green": 100}, {"green": "v2"}, name="managed-5-full")
HERE = live({"blue": 100}, {"blue": "v1", "green": "v2"})
BOTH, GREEN = {"blue": 90, "green": 10}, {"green": 100}
SMOKE, FLIGHT, FULL = SmokeInvoke("green"), ShiftTraffic("green", BOTH), ShiftTraffic("green", GREEN)


def left(*steps) -> Left:
    return Left(Plan(steps), AIM, HERE)


@pytest.mark.parametrize("start_from", ["smoke-invoke-green", "flight-green-10", "managed-5-full"])
def test_the_next_step_the_one_after_its_smoke_requests_and_its_stage_are_where_it_begins(start_from):
    assert refusal(start_from, "churn", left(SMOKE, FLIGHT, FULL)) == ""


@pytest.mark.parametrize(
    ("steps", "start_from", "told"),
    [
        (
            (SMOKE, FLIGHT, FULL),
            "full-green",
            "smoke-invoke-green, flight-green-10 is still to be done before. Start from flight-green-10,",
        ),
        ((Bake("green", BOTH), FULL), "full-green", "full-green is not the next step of churn: bake-green-10 is still to be done before."),
        ((CreateDeployment("green"), SMOKE, FLIGHT), "smoke-invoke-green", "create-green is still to be done before."),
        ((SMOKE, FLIGHT), "fligth-green-10", "is no step that is left of churn: smoke-invoke-green, flight-green-10. Did you mean flight"),
        ((DeleteDeployment("blue", retire=True),), "managed-1-blue", "managed-1-blue is no step that is left of churn: delete-blue."),
        ((), "full-green", "No step of churn is left: it is as the manifest says."),
    ],
)
def test_anything_else_is_refused_and_it_is_said_what_comes_first(steps, start_from, told):
    assert told in refusal(start_from, "churn", left(*steps))


@given(rollouts())
def test_whatever_the_plan_the_way_out_that_a_refusal_names_is_not_refused(rollout):
    aim, world = rollout
    now = Left(Plan(world.steps(aim)), aim, world.live)
    for step in now.plan.steps:
        if told := refusal(label(step), "churn", now):
            named = told.partition("Start from ")[2].partition(",")[0]
            assert refusal(named, "churn", now) == ""
