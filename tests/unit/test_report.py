"""The sentences and tables that people read, word for word where a decision hangs on them."""

from dataclasses import replace

import pytest

from aml_canary.domain.manifest import Approvals
from aml_canary.domain.observed import Facts, absent
from aml_canary.domain.planner import Plan, plan
from aml_canary.domain.report import (
    SmokeAnswer,
    gate_form,
    live_table,
    outcome,
    plan_report,
    plan_table,
    shift_text,
    smoke_table,
    traffic_text,
)
from aml_canary.domain.steps import DeleteDeployment, ShiftTraffic, SmokeInvoke
from tests.unit.worlds import NAME, live, wanted

HERE = live({"blue": 100}, {"blue": "v1", "green": "v2"}, counts={"green": 3}, mirror={"green": 5})
SHIFT = ShiftTraffic("green", {"blue": 90, "green": 10})
RIGHT = SmokeAnswer("two-rows", 200, 12.4, "[1, 2]")


def test_traffic_is_told_in_percent_by_name():
    assert traffic_text({"green": 10, "blue": 90}) == "blue 90 %, green 10 %"
    assert traffic_text({}) == "none"
    assert shift_text(SHIFT) == "flight-green-10 (blue=90 green=10)"


def test_the_plan_says_where_a_person_is_asked():
    steps = (SmokeInvoke("green"), SHIFT, DeleteDeployment("blue", retire=True))
    rows = plan_table(steps, Approvals(before=("retire",))).splitlines()
    assert rows[0] == "| | step | what happens | approval first |"
    assert [row.endswith("| yes |") for row in rows[2:]] == [False, False, True]
    assert rows[2].startswith("| 1 | `smoke-invoke-green` | Send the smoke requests straight to green")


def test_an_empty_plan_says_so():
    assert plan_table((), Approvals()) == "Nothing to do: the endpoint is as the manifest says."


def test_the_live_table_has_a_row_for_each_deployment_with_or_without_traffic():
    assert live_table(HERE).splitlines()[2:] == [
        "| blue | 100 % | 0 % | 2 x Standard_F2s_v2 | Succeeded |",
        "| green | 0 % | 5 % | 3 x Standard_F2s_v2 | Succeeded |",
    ]
    assert live_table(replace(HERE, mirror_traffic={})).splitlines()[2] == "| blue | 100 % | 2 x Standard_F2s_v2 | Succeeded |"
    assert live_table(absent(NAME)) == "Endpoint churn does not exist yet."


def test_smoke_answers_cannot_break_out_of_their_table():
    answer = SmokeAnswer("two-rows", 200, 3.0, "a | b `c`\nd" + "x" * 200, "bad | worse")
    row = smoke_table([answer]).splitlines()[2]
    assert row.startswith(r"| two-rows | 200 | 3 ms | `a \| b 'c' d")
    assert row.endswith(r"| bad \| worse |")
    assert smoke_table([]) == "No smoke request was sent in this run."


def test_a_request_without_an_answer_says_so():
    assert "| no answer |" in smoke_table([replace(RIGHT, status=0, problem="refused")])


def form(step, here, stale=(), commit="abcdef0123456789"):
    return gate_form(step, Plan((step,)), here, Approvals(), [RIGHT], commit, stale)


def test_the_form_asks_first_and_says_what_either_answer_leads_to():
    lines = form(SHIFT, HERE).splitlines()
    assert lines[0] == "## churn: flight-green-10?"
    assert lines[2].startswith("**Approve:** Set live traffic to blue 90 %, green 10 %.")
    assert lines[3].startswith("**Reject:** live traffic stays at blue 100 % and the rollout ends.")
    assert lines[4] == "Commit `abcdef012345`."
    assert "| two-rows | 200 | 12 ms | `[1, 2]` | right |" in lines


def test_a_form_that_is_shown_again_says_why():
    text = form(SHIFT, HERE, stale=["Live traffic was a, now it is b.", "Deployment green is new."])
    assert "### Asked again, because\n- Live traffic was a, now it is b.\n- Deployment green is new." in text
    assert "Asked again" not in form(SHIFT, HERE)


def begun(**facts) -> object:
    here = live({"blue": 50, "green": 50}, {"blue": "v1", "green": "v2"})
    return replace(here, facts=Facts(run="run", stable={"blue": 100}, **facts))


def test_rejecting_in_the_middle_of_a_rollout_leads_back_to_where_it_began():
    assert "**Reject:** live traffic goes back to blue 100 % and the rollout ends." in form(SHIFT, begun(commit="abc"), commit="abc")
    kept = form(DeleteDeployment("blue", retire=True), begun(commit="abc"), commit="abc")
    assert "**Reject:** blue is kept and live traffic goes back to blue 100 %." in kept


def test_what_an_earlier_rollout_wrote_about_its_way_back_is_not_this_ones():
    assert "**Reject:** live traffic stays at blue 50 %, green 50 % and the rollout ends." in form(SHIFT, begun(commit="old"), commit="new")
    kept = form(DeleteDeployment("red", retire=True), begun(commit="old"), commit="new")
    assert "**Reject:** red is kept and live traffic stays at blue 50 %, green 50 %." in kept


def test_the_plan_report_has_the_plan_its_remarks_and_what_is_live():
    aim = wanted({"blue": 100}, {"blue": "v1"}, retire=False)
    report = plan_report(NAME, plan(aim, replace(HERE, mirror_traffic={})), HERE, Approvals())
    assert report.startswith("# Plan for churn\n\nNothing to do")
    assert "- green: not in the manifest, kept" in report
    assert "## Live now" in report


@pytest.mark.parametrize(("done", "told"), [([], "Nothing to do: churn is as"), (["full-green"], "Planned and done: full-green.")])
def test_an_outcome_is_one_line(done, told):
    text = outcome(HERE, done)
    assert told in text
    assert "blue 100 %" in text
    assert "\n" not in text
