"""The sentences and tables that people read, word for word where a decision hangs on them."""

from dataclasses import replace

import pytest

from aml_canary.domain.judge.verdict import Verdict
from aml_canary.domain.manifest import Approvals
from aml_canary.domain.observed import Facts, absent
from aml_canary.domain.planner import Plan, plan
from aml_canary.domain.report import (
    Ended,
    Question,
    SmokeAnswer,
    final_report,
    gate_form,
    live_table,
    outcome,
    plan_report,
    plan_table,
    shift_text,
    smoke_table,
    traffic_text,
)
from aml_canary.domain.steps import Bake, DeleteDeployment, ShiftTraffic, SmokeInvoke
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


def test_in_a_form_the_plan_is_a_list_because_a_table_would_be_too_wide():
    lines = form(SHIFT, HERE).splitlines()
    assert lines[-1] == "1. `flight-green-10`: Set live traffic to blue 90 %, green 10 %. **Asks first.**"
    assert gate_form(Question(SHIFT, Plan(()), HERE, Approvals())).endswith("Nothing to do: the endpoint is as the manifest says.")


def test_the_live_table_has_a_row_for_each_deployment_with_or_without_traffic():
    assert live_table(HERE).splitlines()[2:] == [
        "| blue | 100 % | 0 % | 2 x Standard_F2s_v2 | Succeeded |",
        "| green | 0 % | 5 % | 3 x Standard_F2s_v2 | Succeeded |",
    ]
    assert live_table(replace(HERE, mirror_traffic={})).splitlines()[2] == "| blue | 100 % | 2 x Standard_F2s_v2 | Succeeded |"
    assert live_table(HERE, narrow=True).splitlines()[2] == "| blue | 100 % | 0 % | 2 x Standard_F2s_v2 |"
    failed = live({"blue": 100}, {"blue": "v1", "green": "v2"}, states={"green": "Failed"})
    assert live_table(failed, narrow=True).splitlines()[3] == "| green | 0 % | 2 x Standard_F2s_v2 | Failed |"
    assert live_table(absent(NAME)) == "Endpoint churn does not exist yet."


def test_smoke_answers_cannot_break_out_of_their_table():
    answer = SmokeAnswer("two-rows", 200, 3.0, "a | b `c`\nd" + "x" * 200, "bad | worse")
    row = smoke_table([answer]).splitlines()[2]
    assert row.startswith(r"| two-rows | 200 | 3 ms | `a \| b 'c' d")
    assert row.endswith(r"| bad \| worse |")
    assert smoke_table([]) == "No smoke request was sent in this run."


def test_a_request_without_an_answer_says_so():
    assert "| no answer |" in smoke_table([replace(RIGHT, status=0, problem="refused")])


def form(step, here, stale=(), commit="abcdef0123456789", **shown):
    return gate_form(Question(step, Plan((step,)), here, Approvals(), commit, smoke=(RIGHT,), stale=tuple(stale), **shown))


def test_the_form_asks_first_and_says_what_either_answer_leads_to():
    lines = form(SHIFT, HERE).splitlines()
    assert lines[0] == "## churn: flight-green-10?"
    assert lines[2].startswith("**Approve:** Set live traffic to blue 90 %, green 10 %.")
    assert lines[3].startswith("**Reject:** live traffic stays at blue 100 % and the rollout ends.")
    assert lines[4].startswith("May approve: anybody.")
    assert lines[5] == ""
    assert "| two-rows | 200 | 12 ms | `[1, 2]` | right |" in lines


def test_the_form_is_short_first_and_has_everything_in_the_order_in_which_it_is_asked_for():
    verdict = Verdict("pass", "canary is as good", minutes=7, canary_requests=10, stable_requests=90)
    text = form(
        ShiftTraffic("green", {"green": 100}),
        replace(HERE, facts=Facts(stable={"blue": 100})),
        stale=["Traffic moved."],
        judged=(Bake("green", {"blue": 90, "green": 10}), verdict),
        timeline="![Traffic](data:x)",
        changed="Commit `abc`.",
    )
    parts = ["## churn: full-green?", "**Approve:**", "**Reject:**", "May approve: anybody.", "### Asked again", "![Traffic](data:x)"]
    parts += ["### blue against green, bake-green-10", "**pass** (good)", "### Smoke requests", "### What changed in git", "Commit `abc`."]
    parts += ["### Live now", "### What is left of the plan"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "\n\n\n" not in text


def test_a_form_has_no_heading_without_anything_below_it():
    text = gate_form(Question(DeleteDeployment("red", retire=True), Plan(()), HERE, Approvals()))
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "## churn: delete-red?",
        "### Live now",
        "### What is left of the plan",
    ]


def test_the_final_report_says_how_it_ended_in_its_first_lines_and_then_why():
    ended = Ended("churn", "Rejected", "Ada rejected full-green: too slow.\nLive traffic was put back.", "`abc`", "![Traffic](data:x)")
    lines = final_report(ended).splitlines()
    assert lines[:5] == ["# churn: Rejected", "", "Ada rejected full-green: too slow. Live traffic was put back.", "", "![Traffic](data:x)"]
    assert "Nobody was asked." in lines
    assert "Nothing was judged." in lines
    full = final_report(replace(ended, answers=("Ada approved flight-green-10",), verdicts=("bake-green-10: pass, fine",), smoke=(RIGHT,)))
    for line in ("- Ada approved flight-green-10", "- bake-green-10: pass, fine", "| two-rows | 200 | 12 ms | `[1, 2]` | right |"):
        assert line in full.splitlines()


def test_what_somebody_typed_is_no_markup_in_the_report():
    typed = "Ada rejected full-green: ![x](http://evil) <b>no</b>\n# heading"
    report = final_report(Ended("churn", "Rejected", typed, "`abc`", answers=(typed,)))
    escaped = r"Ada rejected full-green: \!\[x\](http://evil) \<b\>no\</b\> \# heading"
    assert report.count(escaped) == 2


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
