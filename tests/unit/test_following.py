"""Following a branch: whatever is delivered, however often and in whatever order, each endpoint ends as the branch's head wants it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aml_canary.domain.following import OUTDATED, Past, Quarantined, decide, is_return, is_warm, newer_than, safer_traffic, taken_over
from aml_canary.domain.manifest import Manifest, Rollout
from aml_canary.domain.observed import Facts
from aml_canary.domain.order import Order, as_rollback
from aml_canary.domain.planner import plan
from aml_canary.domain.steps import CreateDeployment, Scale, ShiftTraffic, SmokeInvoke
from tests.unit.worlds import live, wanted

often = settings(max_examples=300, deadline=None)
LEFT = (CreateDeployment("green"),)


def past(run: str, order: str = "new", state: str = "Promoted") -> Past:
    return Past(run, f"churn@{run}", order, state, alive=state in ("Running", "Suspended", "Pending"))


def told(history: Sequence[Past], left: Sequence[object] = LEFT, quarantine: dict[str, Quarantined] | None = None):
    return decide("churn", "new", history, left, quarantine or {}, "c" * 40)


def test_an_endpoint_that_never_had_a_rollout_gets_one():
    assert (told([]).do, told([]).key) == ("start", "churn:new:after:nothing")


def test_an_endpoint_that_is_as_the_branch_wants_it_is_left_alone():
    assert told([past("1")], left=()).settled
    assert told([], left=()).do == "nothing"


@pytest.mark.parametrize("state", ["Running", "Suspended", "Pending"])
def test_an_order_that_is_at_work_is_not_started_again(state):
    verdict = told([past("1", state=state)])
    assert (verdict.do, verdict.settled) == ("nothing", False)
    assert f"flow run churn@1 is at it ({state})" in verdict.told


def test_another_order_at_work_is_followed_by_this_one_even_where_nothing_differs_yet():
    assert told([past("1", "old", "Suspended")], left=()).key == "churn:new:after:1"


def test_everybody_who_looks_at_the_same_moment_starts_the_same_run():
    assert told([past("1", "old")]).key == told([past("1", "old")]).key == "churn:new:after:1"


def test_a_branch_that_is_put_back_to_what_was_promoted_before_is_a_new_rollout():
    assert told([past("2", "old"), past("1")]).key == "churn:new:after:2"


@pytest.mark.parametrize("state", ["Failed", "Crashed", "Rejected", "Cancelled"])
def test_an_order_that_had_its_rollout_is_not_started_again_by_itself(state):
    verdict = told([past("1", state=state)])
    assert verdict.do == "nothing"
    assert f"ended as {state}. Retry that run, or push a commit." in verdict.told


def test_a_run_that_found_the_branch_moved_on_counts_for_nothing():
    assert told([past("2", "old", OUTDATED), past("1", state="Rejected")]).do == "nothing"


def test_an_order_that_gave_way_to_one_that_is_outdated_by_now_is_started_again():
    assert told([past("2", "old", OUTDATED), past("1", state="Superseded")]).key == "churn:new:after:2"


def test_one_that_has_not_begun_and_will_find_itself_outdated_takes_nobody_s_place():
    late = replace(past("2", "old", "Pending"), begun=False)
    assert "flow run churn@1 is at it" in told([late, past("1", state="Running")]).told
    assert told([replace(late, begun=True), past("1", state="Running")]).do == "start"
    assert "is at it (Pending)" in told([replace(late, order="new")]).told


def test_one_that_crashed_before_it_began_is_started_anew_and_hides_nothing_that_was_before_it():
    lost = replace(past("2", state="Crashed"), begun=False)
    assert told([lost]).key == "churn:new:after:2", "not the key that found the lost one"
    assert told([lost, past("1", "old", "Running")]).key == "churn:new:after:2"
    assert told([lost, past("1")]).do == "drifted"
    assert "Retry that run" in told([lost, past("1", state="Rejected")]).told
    cancelled = replace(lost, state="Cancelled")
    assert "Retry that run" in told([cancelled]).told, "that was somebody's wish"


def test_where_the_head_cannot_be_read_what_was_started_last_is_newest():
    history = [past("4", "new"), past("3", "other", OUTDATED), past("2", "old", "Running"), past("1", "new", "Running")]
    assert (found := newer_than(history, "1", "new")) is not None
    assert found.run == "2"
    assert newer_than(history, "2", "old") == history[0]
    assert newer_than(history, "4", "new") is newer_than(history, "unknown", "new") is None


def test_what_an_older_rollout_undid_when_it_was_retried_is_no_drift():
    history = [past("2"), past("1", "old")]
    assert decide("churn", "new", history, LEFT, {}, writer="1").key == "churn:new:after:2"
    assert decide("churn", "new", history, LEFT, {}, writer="2").do == "drifted"


def test_what_an_ended_rollout_wrote_last_is_no_drift_of_the_one_that_was_promoted_before():
    """Its order was live, another's took its place and was retried once the branch had moved on, and then it came again and was aborted."""
    history = [past("2", state="Outdated"), past("1", order="other", state="Outdated"), past("0")]
    assert decide("churn", "new", history, LEFT, {}, writer="2").do == "start"
    unchanged = [past("1", state="Unchanged"), past("0")]
    assert decide("churn", "new", unchanged, LEFT, {}, writer="0").do == "drifted"


def test_what_was_promoted_and_differs_now_has_drifted():
    assert told([past("1")]).do == "drifted"


def test_instance_counts_are_no_drift():
    assert told([past("1")], left=[Scale("green", 5, 3)]).settled


def test_an_order_in_quarantine_is_not_started_whatever_came_between():
    bad = {"new": Quarantined("a" * 40, "it was rejected: Ada rejected full-green.", "1")}
    for history in ([past("1", state="Rejected")], [past("2", "old"), past("1", state="Rejected")]):
        verdict = told(history, quarantine=bad)
        assert verdict.do == "nothing"
        assert "is in quarantine" in verdict.told
        assert "aml-canary unquarantine churn" in verdict.told
    assert told([past("1", "bad", "Rejected")], quarantine={"bad": bad["new"]}).do == "start", "another order is not meant"


def test_a_lifted_quarantine_lets_the_order_be_started_once():
    lifted = {"new": Quarantined("a" * 40, "it was rejected.", "1", lifted=True)}
    assert told([past("1", state="Rejected")], quarantine=lifted).key == "churn:new:lifted:1:after:1"
    assert told([past("2", state="Failed"), past("1", state="Rejected")], quarantine=lifted).do == "nothing"


def test_a_new_order_is_compared_with_what_is_live_once_an_unfinished_rollout_has_given_way():
    facts = Facts(run="1", stable={"blue": 100}, traffic={"blue": 90, "green": 10})
    here = replace(live({"blue": 90, "green": 10}, {"blue": "v1", "green": "v2"}), facts=facts)
    assert taken_over(here, [past("1", "old", "Failed")], stands=False).traffic == {"blue": 100}
    by_hand = replace(here, traffic={"red": 100})
    assert taken_over(by_hand, [past("1", "old", "Failed")], stands=False) == by_hand, "what somebody else set stays"
    assert taken_over(here, [past("1", "old", "Failed")], stands=True) == here, "it failed when somebody retried it later"
    assert taken_over(here, [past("2", "old", "Failed")], stands=False) == here


def test_going_back_is_told_from_going_on_and_from_going_again():
    assert is_return([past("3", "new"), past("2", "old"), past("1", "new")], "3", "new")
    assert not is_return([past("2", "new"), past("1", "old")], "2", "new"), "it was never promoted before"
    assert not is_return([past("2", "new"), past("1", "new")], "2", "new"), "nothing has replaced it"
    assert not is_return([past("3", "new"), past("2", "old"), past("1", "new", "Rejected")], "3", "new")


def order(traffic: dict[str, int], runs: dict[str, str], **rollout: object) -> Order:
    stage = wanted(traffic, runs)
    return Order("acme/models", "c", Manifest(path="x", stages=(stage.stage,), rollout=Rollout(**rollout)), (stage,), {}, "digest")


def test_going_back_to_what_is_warm_is_one_shift_and_nobody_is_asked_before():
    back = as_rollback(order({"blue": 100, "green": 0}, {"blue": "v1", "green": "v2"}))
    here = live({"green": 100}, {"blue": "v1", "green": "v2"})
    assert is_warm(back, here)
    assert plan(back.stages[0], here).steps == (SmokeInvoke("blue"), ShiftTraffic("blue", {"blue": 100}, {}))
    assert back.manifest.rollout.approvals.before == ("retire",)


def test_what_is_gone_unhealthy_or_something_else_is_not_warm():
    back = order({"blue": 100}, {"blue": "v1"})
    for here in (
        live({"green": 100}, {"green": "v2"}),
        live({"green": 100}, {"blue": "v1", "green": "v2"}, states={"blue": "Failed"}),
        live({"green": 100}, {"blue": "v9", "green": "v2"}),
        live({"green": 100}, {"blue": None, "green": "v2"}),
    ):
        assert not is_warm(back, here)


def test_drift_is_healed_only_to_what_was_promoted_and_is_healthy():
    promoted = Facts(traffic={"green": 100})
    aim = order({"green": 100}, {"green": "v2", "blue": "v1"}, drift="heal")
    moved = replace(live({"blue": 100}, {"blue": "v1", "green": "v2"}), facts=promoted)
    assert safer_traffic(aim, moved) == {"green": 100}
    assert safer_traffic(aim, replace(moved, traffic={"green": 100})) is None, "nothing has moved"
    assert safer_traffic(aim, replace(moved, facts=Facts(traffic={"blue": 100}))) is None, "the order wants something else"
    broken = live({"blue": 100}, {"blue": "v1", "green": "v2"}, states={"green": "Failed"})
    assert safer_traffic(aim, replace(broken, facts=promoted)) is None


# --- Any deliveries, in any order -------------------------------------------------------------------------------------


@dataclass
class Branch:
    """A branch, an endpoint and Prefect, as far as following goes: runs at a gate, one lock, and rollouts that end when approved."""

    head: str = "a"
    live: str = ""
    holder: str = ""
    runs: dict[str, Past] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    writers: list[str] = field(default_factory=list)

    @property
    def history(self) -> list[Past]:
        return [*reversed(self.runs.values())]

    def sync(self) -> None:
        verdict = decide("e", self.head, self.history, () if self.live == self.head else LEFT, {})
        if verdict.do == "start" and verdict.key not in self.keys:
            run = str(len(self.runs))
            self.keys[verdict.key] = run
            self.runs[run] = Past(run, run, self.head, "Pending", alive=True)

    def set(self, run: str, state: str) -> None:
        self.runs[run] = replace(self.runs[run], state=state, alive=state in ("Pending", "Suspended"))
        if not self.runs[run].alive and self.holder == run:
            self.holder = ""

    def start(self, run: str) -> None:
        """The run's process begins: it looks at the branch, takes the endpoint from another, and stops at its gate."""
        if self.runs[run].state != "Pending":
            return
        if self.runs[run].order != self.head:
            self.set(run, OUTDATED)
            return
        if self.holder:
            self.set(self.holder, "Superseded")
        self.holder = run
        self.set(run, "Suspended")

    def approve(self, run: str) -> None:
        if self.runs[run].state == "Suspended":
            assert self.holder == run, "two writers"
            self.live = self.runs[run].order
            self.set(run, "Promoted")


events = st.one_of(
    st.tuples(st.just("push"), st.sampled_from("abc")),
    st.tuples(st.just("deliver"), st.just(0)),
    st.tuples(st.sampled_from(("start", "approve")), st.integers(0, 9)),
)


@often
@example([("deliver", 0), ("push", "b"), ("start", 0), ("push", "a")])
@given(st.lists(events, max_size=40))
def test_whatever_was_delivered_the_endpoint_ends_as_the_head_wants_it(happened):
    branch = Branch()
    for what, which in happened:
        if what == "push":
            branch.head = which
        elif what == "deliver":
            branch.sync()
        elif which < len(branch.runs):
            getattr(branch, what)(str(which))
    for _ in range(3):
        branch.sync()
        for run in list(branch.runs):
            branch.start(run)
        for run in list(branch.runs):
            branch.approve(run)
    assert branch.live == branch.head
    assert not branch.holder
    runs = len(branch.runs)
    branch.sync()
    assert len(branch.runs) == runs, "and nothing more is started"
