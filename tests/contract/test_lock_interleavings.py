"""Whatever comes between any two calls to Prefect: no endpoint sees two writers, and it ends as the head of the branch wants it.

The real lock, the real following and the real guard, over `prefect_model`. Pushes are told of late, twice or not at all, processes die
between any two calls, and people press Approve and Retry when they like, abort, or remove the lock of one that is dead. Azure is one value
with the facts that a rollback needs.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect.client.schemas.objects import StateType
from prefect.exceptions import Abort

from aml_canary.cli_answers import end_rollout
from aml_canary.errors import EndpointBusy, Outdated, Superseded
from aml_canary.gateways import prefect_answers, prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from tasks import lock
from tests.contract.lock_world import World, at_work, holders

# What happens how often: mostly that one of the processes goes on for a few calls.
EVENTS = {
    "step": 60,
    "work": 12,
    "approve": 8,
    "push": 4,
    "deliver": 6,
    "watch": 3,
    "crash": 3,
    "retry": 4,
    "again": 1,
    "unlock": 2,
    "abort": 1,
}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(("supersede", "queue")), st.integers(0, 2**32), st.integers(50, 400))
def test_no_interleaving_gives_two_writers_and_the_head_of_the_branch_is_what_is_live_in_the_end(
    policy: str, seed: int, length: int
) -> None:
    choice, world = random.Random(seed), World(policy)
    with at_work(world):
        for what in choice.choices(tuple(EVENTS), tuple(EVENTS.values()), k=length):
            if what == "push":
                world.push(choice.choice("abc"))
            elif what == "step":
                world.step(choice.randrange(8), choice.choice((1, 1, 2, 3, 5, 8, 30)))
            else:
                getattr(world, what)(choice.randrange(8))
        world.settle()
        told = [(run.name, run.parameters["order"], run.state.name) for run in world.prefect.runs.values()]
        assert (world.live, world.canary) == (world.head, ""), told
        held = {UUID(holder.run) for holder in holders(world.prefect)}
        assert all(world.prefect.runs[run].state.name == "Crashed" for run in held), "who crashed keeps its endpoint, for Retry"
        assert not [run for run in told if run[2] in ("Running", "Suspended", "Scheduled")], told
        runs = len(world.prefect.runs)
        world.deliver()
        world.finish_processes()
        assert len(world.prefect.runs) == runs, "and nothing more is started"


# --- The moments that matter, one by one ------------------------------------------------------------------------------


@pytest.fixture
def world() -> Iterator[World]:
    made = World("supersede")
    with at_work(made):
        yield made


def running(world: World, order: str, kind: StateType = StateType.RUNNING) -> Holder:
    """A run of this order at work, as it would hold the endpoint."""
    world.prefect.create(f"key of {order}", {"order": order}, ["endpoint:e", f"order:{order}"])
    run = world.prefect.runs[world.prefect.keys[f"key of {order}"]]
    world.prefect.put(run, kind, kind.value)
    return Holder("e", str(run.id), order, "m", token=f"token of {order}")


def test_an_order_that_is_outdated_asks_nobody_to_give_way(world: World) -> None:
    newer, older = prefect_db.take_lock(running(world, "b")), running(world, "a")
    with pytest.raises(Outdated, match="moved on"):
        lock.take_endpoint(older, "supersede", lambda: "moved on")
    assert prefect_history.asked_to_give_way(newer.run) == ""
    assert prefect_db.held_by("e") == newer


def test_an_order_that_became_outdated_while_it_took_the_endpoint_gives_it_up_again(world: World) -> None:
    said = iter(("", "a newer one has come and gone"))
    with pytest.raises(Outdated, match="come and gone"):
        lock.take_endpoint(running(world, "a"), "supersede", lambda: next(said))
    assert prefect_db.held_by("e") is None


def test_a_rollout_that_has_begun_goes_on_though_the_branch_moves(world: World) -> None:
    """A newer order asks it to give way, if that is what the manifest wants; it does not find itself outdated in the middle."""
    mine = lock.take_endpoint(running(world, "a"), "queue")
    again = lock.take_endpoint(replace(mine, token="after a resume"), "queue", lambda: "moved on")
    assert prefect_db.held_by("e") == again


def test_before_each_step_it_is_known_whether_the_endpoint_is_still_this_process_own(world: World) -> None:
    mine = prefect_db.take_lock(running(world, "a"))
    lock.give_way(mine)
    prefect_history.ask_to_give_way(mine.run, "b")
    with pytest.raises(Superseded, match="b takes its place"):
        lock.give_way(mine)
    again = prefect_db.take_lock(replace(mine, token="another process"))
    with pytest.raises(Abort):
        lock.give_way(mine)
    prefect_db.release_lock(again)
    with pytest.raises(EndpointBusy, match="nobody has it"):
        lock.give_way(mine)
    other = prefect_db.take_lock(running(world, "c"))
    with pytest.raises(EndpointBusy, match=other.run):
        lock.give_way(mine)


def test_of_two_who_take_over_from_a_dead_holder_the_second_looks_again_and_asks_the_first(world: World) -> None:
    dead = prefect_db.take_lock(running(world, "a", StateType.CRASHED))
    first, second = running(world, "b"), running(world, "c")
    quicker = iter((lambda: prefect_db.hand_over(dead, first),))

    def outdated() -> str:
        # Between the second's look and its hand-over.
        next(quicker, lambda: None)()
        return ""

    world.begin(second.run, lambda: lock.take_endpoint(second, "supersede", outdated) and None)
    process = world.processes[second.run]
    while not process.over:
        process.step()
    assert prefect_db.held_by("e") == replace(first, term=first.token)
    assert prefect_history.asked_to_give_way(first.run) == "c"
    assert world.prefect.runs[UUID(second.run)].state.type == StateType.PAUSED


@pytest.mark.parametrize("holder", ["free", "dead", "alive"])
def test_who_waits_for_an_endpoint_that_nobody_alive_holds_is_woken(world: World, holder: str) -> None:
    waiting = running(world, "b", StateType.PAUSED)
    prefect_db.mark_waiting(waiting.run, "e", waiting=True)
    if holder != "free":
        prefect_db.take_lock(running(world, "a", StateType.CRASHED if holder == "dead" else StateType.RUNNING))
    assert len(prefect_db.wake_forgotten()) == (holder != "alive")
    assert (prefect_db.run_state(waiting.run).type == "PAUSED") == (holder == "alive")


def test_an_endpoint_given_up_while_its_waiter_is_marked_is_taken_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held, wanted = prefect_db.take_lock(running(world, "a")), running(world, "b")
    mark = prefect_db.mark_waiting

    def marked(run: str, endpoint: str, *, waiting: bool) -> None:
        prefect_db.release_lock(held)
        mark(run, endpoint, waiting=waiting)

    monkeypatch.setattr(prefect_db, "mark_waiting", marked)
    assert lock.take_endpoint(wanted, "queue").run == wanted.run
    assert "waiting" not in world.prefect.runs[UUID(wanted.run)].tags


def test_traffic_left_behind_by_a_run_whose_lock_is_gone_is_put_back_first(world: World) -> None:
    former = running(world, "a", StateType.FAILED)
    world.live, world.canary, world.writer, world.stable = "x", "a", former.run, "x"
    lock.take_endpoint(running(world, "b"), "supersede")
    assert (world.live, world.canary) == ("x", "")


def test_who_gave_the_endpoint_up_with_its_traffic_back_has_left_nothing_behind(world: World) -> None:
    former = running(world, "a", StateType.CANCELLED)
    world.live, world.writer, world.stable = "x", former.run, "x"
    held = lock.take_endpoint(running(world, "b"), "supersede")
    assert lock.left_behind(held) == ()
    world.canary = "a"
    assert lock.left_behind(held) == (former.run,)


def test_what_is_written_at_whatever_moment_by_a_run_that_was_retried_without_its_lock_is_put_back() -> None:
    """Its traffic was back; so nothing is left behind only where it is seen to be so after that run's end."""
    for moment in range(40):
        world = World("supersede")
        with at_work(world):
            former, late = running(world, "a"), running(world, "b")
            world.live, world.writer, world.stable = "x", former.run, "x"
            world.begin(late.run, partial(lock.take_endpoint, late, "supersede"))
            process = world.processes[late.run]
            for _ in range(moment):
                process.step()
            world.canary = "a"
            world.prefect.put(world.prefect.runs[UUID(former.run)], StateType.FAILED, "Failed")
            while not process.over:
                process.step()
            assert (world.live, world.canary) == ("x", ""), moment


def test_a_canary_left_behind_by_a_run_that_found_itself_outdated_when_retried_is_put_back_first(world: World) -> None:
    former = running(world, "a")
    world.prefect.put(world.prefect.runs[UUID(former.run)], StateType.COMPLETED, "Outdated")
    world.live, world.canary, world.writer, world.stable = "x", "a", former.run, "x"
    lock.take_endpoint(running(world, "b"), "supersede")
    assert (world.live, world.canary) == ("x", "")


@pytest.mark.parametrize("done", [True, False])
def test_who_took_a_dead_rollout_s_place_and_is_outdated_puts_back_what_that_one_began_but_not_what_it_had_done(
    world: World, done: bool
) -> None:
    dead = prefect_db.take_lock(running(world, "a", StateType.CRASHED))
    world.live, world.canary, world.writer, world.stable, world.since = "x", "a", dead.run, "x", "7"
    if done:
        prefect_db.let_stand(dead.run, "7")
    again = replace(dead, run=running(world, "b").run, token="another")
    said = iter(("", "moved on"))
    with pytest.raises(Outdated):
        lock.take_endpoint(again, "supersede", lambda: next(said))
    assert (world.live, world.canary) == ("x", "a" if done else "")
    assert prefect_db.held_by("e") is None


@pytest.mark.parametrize("kind", [StateType.SCHEDULED, StateType.RUNNING, StateType.CRASHED, StateType.COMPLETED])
def test_what_was_promoted_stays_whatever_becomes_of_its_run_when_somebody_retries_it(world: World, kind: StateType) -> None:
    promoted = running(world, "a", kind)
    world.live, world.writer, world.stable, world.since = "a", promoted.run, "x", "7"
    prefect_db.let_stand(promoted.run, "7")
    lock.take_endpoint(running(world, "b"), "supersede")
    assert world.live == "a"


def test_what_was_promoted_is_not_put_back_by_who_comes_before_its_run_has_said_so(world: World) -> None:
    promoted, late = running(world, "a"), running(world, "b")
    world.live, world.writer, world.stable, world.since = "a", promoted.run, "x", "7"
    world.begin(late.run, lambda: lock.take_endpoint(late, "supersede") and None)
    process = world.processes[late.run]
    waits = 0
    while not process.over:
        process.step()
        waits += 1
        if waits == 40:
            prefect_db.let_stand(promoted.run, "7")
            world.prefect.put(world.prefect.runs[UUID(promoted.run)], StateType.COMPLETED, "Promoted")
    assert waits > 40, "it waits for the end of who wrote last"
    assert world.live == "a"
    assert prefect_db.held_by("e") == replace(late, term=late.token)


def test_a_process_of_a_run_that_was_aborted_before_it_took_the_endpoint_goes_on_with_nothing(world: World) -> None:
    """`abort` has freed the endpoint by then. The guard frees it again, with what was taken over from another rollout put back."""
    aborted, dead = running(world, "a"), prefect_db.take_lock(running(world, "b", StateType.CRASHED))
    world.live, world.canary, world.writer, world.stable = "x", "b", dead.run, "x"
    prefect_answers.abort_run(aborted.run, "why")
    with pytest.raises(Abort, match="was ended"):
        lock.take_endpoint(aborted, "queue")
    held = prefect_db.held_by("e")
    assert held is not None
    assert (held.run, held.displaced) == (aborted.run, (dead.run,))
    world.guard()
    assert (world.live, world.canary, prefect_db.held_by("e")) == ("x", "", None)


def test_who_was_ended_while_it_took_its_own_endpoint_anew_keeps_it_for_whoever_puts_its_traffic_back(world: World) -> None:
    mine = prefect_db.take_lock(running(world, "a"))
    world.live, world.canary, world.writer, world.stable = "x", "a", mine.run, "x"
    world.prefect.put(world.prefect.runs[UUID(mine.run)], StateType.CANCELLED, "Cancelled")
    with pytest.raises(Abort, match="was ended"):
        lock.take_endpoint(replace(mine, token="another process"), "queue")
    world.guard()
    assert (world.live, world.canary, prefect_db.held_by("e")) == ("x", "", None)


def test_a_lock_is_given_up_by_the_process_that_holds_it_and_by_no_earlier_one(world: World) -> None:
    first = prefect_db.take_lock(running(world, "a"))
    second = prefect_db.take_lock(replace(first, token="another process"))
    prefect_db.release_lock(first)
    assert prefect_db.held_by("e") == second
    prefect_db.release_lock(second)
    assert prefect_db.held_by("e") is None


def test_a_holder_that_was_answered_while_it_was_asked_to_give_way_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = prefect_db.take_lock(running(world, "a", StateType.PAUSED))
    run = world.prefect.runs[UUID(other.run)]
    cancel = world.prefect.set_flow_run_state

    def answered_first(which: UUID, state: Any) -> None:
        world.prefect.put(run, StateType.RUNNING, "Running")
        cancel(which, state)

    monkeypatch.setattr(world.prefect, "set_flow_run_state", answered_first)
    assert lock.supersede(other, running(world, "b")) is False


def test_what_is_done_in_the_middle_of_an_abort_is_undone_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that began takes the lock anew and shifts traffic, after `abort` has put traffic back and before it ends the run."""
    held = prefect_db.take_lock(running(world, "a"))
    world.live, world.canary, world.writer, world.stable = "x", "a", held.run, "x"
    end = prefect_answers.abort_run

    def shifted_first(run: str, why: str) -> None:
        assert world.canary == "", "it was put back first"
        prefect_db.take_lock(replace(held, token="another process"))
        world.canary = "a"
        end(run, why)

    monkeypatch.setattr(prefect_answers, "abort_run", shifted_first)
    assert end_rollout(held, "callers see errors", "now") is not None
    assert (world.live, world.canary) == ("x", "")
    assert prefect_db.held_by("e") is None
    assert world.prefect.runs[UUID(held.run)].state.name == "Aborted"
