"""Whatever comes between any two calls to Prefect: no endpoint sees two writers, and it ends as the head of the branch wants it.

The real lock, the real following and the real guard, over `prefect_model`. Pushes are told of late, twice or not at all, processes die
between any two calls, and people press Approve and Retry when they like. Azure is one value with the facts that a rollback needs.
"""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect.client.schemas.objects import StateType
from prefect.exceptions import Abort

from aml_canary.domain.following import decide
from aml_canary.domain.observed import Facts
from aml_canary.domain.steps import CreateDeployment
from aml_canary.errors import EndpointBusy, Outdated, Superseded, Transient
from aml_canary.gateways import prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from tasks import guarding, lock
from tests.contract.prefect_model import FINAL, PrefectModel, Process, Run, Suspended, turn

LEFT = (CreateDeployment("green"),)
STEPS_OF_ALL = 20_000


class World:
    """A branch, an endpoint, Prefect, a worker, and people."""

    def __init__(self, policy: str) -> None:
        self.prefect, self.policy, self.head = PrefectModel(), policy, "a"
        # What is live, what gets a tenth of the traffic beside it, who wrote that, and what to come back to.
        self.live, self.canary, self.writer, self.stable = "", "", "", ""
        self.processes: dict[str, Process] = {}
        self.approved: set[UUID] = set()
        self.writing: str = ""
        self.guards = 0

    # --- Azure -------------------------------------------------------------------------------------------------------

    def write(self, by: str, live: str, canary: str, stable: str) -> None:
        """One PUT; others may go first at its start and at its end."""
        assert not self.writing, f"two writers: {self.writing} and {by}"
        self.writing = by
        try:
            turn()
            self.live, self.canary, self.writer, self.stable = live, canary, by, stable
            turn()
        finally:
            self.writing = ""

    def glance(self, _endpoint: str) -> SimpleNamespace:
        turn()
        return SimpleNamespace(facts=Facts(run=self.writer))

    def roll_back(self, _endpoint: str, holder: Holder) -> str:
        turn()
        if self.writer in holder.runs and self.stable and (self.live, self.canary) != (self.stable, ""):
            self.write(self.writer, self.stable, "", self.stable)
        return ""

    def guards_roll_back(self, _endpoint: str, holder: Holder) -> str:
        """The guard holds no lock; what it writes is where everybody who may write as well goes back to."""
        turn()
        if self.writer in holder.runs and self.stable:
            self.live, self.canary = self.stable, ""
        return ""

    # --- What Prefect runs -------------------------------------------------------------------------------------------

    def sync(self) -> None:
        turn()
        head = self.head
        history = prefect_history.rollouts_of("e")
        turn()
        wrote = next((past for past in history if past.run == self.writer), None)
        unfinished = wrote is not None and not wrote.promoted
        live = (self.stable, "") if unfinished and self.stable else (self.live, self.canary)
        verdict = decide(
            "e",
            head,
            history,
            () if live == (head, "") else LEFT,
            {},
            head,
            writer=self.writer,
            unfinished=live != (self.live, self.canary),
        )
        if verdict.do == "drifted":
            assert prefect_history.rollouts_of("e") != history, "nobody but rollouts writes"
        if verdict.do == "start":
            self.prefect.create(verdict.key, {"order": head}, ["endpoint:e", f"order:{head}"])

    def overtaken(self, order: str) -> str:
        turn()
        return "" if self.head == order else f"the head is {self.head}"

    def rollout(self, run: Run) -> None:
        if not self.prefect.propose(run, StateType.RUNNING, "Running", of={StateType.SCHEDULED}):
            return
        end = partial(self.prefect.propose, run, of={StateType.RUNNING})
        order = run.parameters["order"]
        wanted = Holder("e", str(run.id), order, "m", token=f"t{self.prefect.number()}")
        try:
            holder = lock.take_endpoint(wanted, self.policy, partial(self.overtaken, order))
        except Outdated:
            end(StateType.COMPLETED, "Outdated")
            return
        except EndpointBusy:
            end(StateType.FAILED, "Failed")
            return
        try:
            while self.next_step(run, order, holder):
                pass
            lock.release_endpoint(holder)
            end(StateType.COMPLETED, "Promoted")
        except Superseded:
            self.roll_back("e", holder)
            lock.release_endpoint(holder)
            end(StateType.CANCELLED, "Superseded")
        except EndpointBusy:
            end(StateType.FAILED, "Failed")
        except Abort:
            pass

    def next_step(self, run: Run, order: str, holder: Holder) -> bool:
        turn()
        seen = (self.live, self.canary)
        if seen == (order, ""):
            return False
        lock.give_way(holder)
        if not self.live or self.canary == order:
            self.ask(run)
            step = (order, "")
        else:
            assert not self.canary, f"{order} begins beside {self.canary}"
            step = (self.live, order)
        assert (self.live, self.canary) == seen, "somebody else wrote"
        begun = self.writer in holder.runs and self.stable
        self.write(holder.run, *step, self.stable if begun else self.live)
        return True

    def ask(self, run: Run) -> None:
        turn()
        if run.id not in self.approved:
            self.suspend(run)

    def suspend(self, run: Run) -> None:
        self.prefect.propose(run, StateType.PAUSED, "Suspended", of={StateType.RUNNING})
        raise Suspended

    def guard(self) -> None:
        for holder in holders(self.prefect):
            fine, told = guarding.look_after(holder)
            assert fine, told
        prefect_db.wake_forgotten()

    # --- What happens ------------------------------------------------------------------------------------------------

    def push(self, order: str) -> None:
        self.head = order

    def deliver(self, _: int = 0) -> None:
        self.begin(f"sync {self.prefect.number()}", self.sync)

    def watch(self, _: int = 0) -> None:
        # A schedule's runs come one after the other.
        if "guard" not in self.processes:
            self.begin("guard", self.guard)

    def work(self, _: int = 0) -> None:
        """The worker starts a process for everything that is due."""
        for run in self.prefect.runs.values():
            if run.state.type == StateType.SCHEDULED and str(run.id) not in self.processes:
                self.begin(str(run.id), partial(self.rollout, run))

    def begin(self, name: str, work: Callable[[], None]) -> None:
        self.processes[name] = Process(work)

    def step(self, which: int, times: int = 1) -> None:
        for _ in range(times):
            if self.processes:
                name = sorted(self.processes)[which % len(self.processes)]
                process = self.processes[name]
                process.step()
                if process.over:
                    del self.processes[name]

    def of_person(self, which: int, states: set[StateType]) -> Run | None:
        runs = [run for run in self.prefect.runs.values() if run.state.type in states and "waiting" not in run.tags]
        return runs[which % len(runs)] if runs else None

    def approve(self, which: int) -> None:
        if run := self.of_person(which, {StateType.PAUSED}):
            self.approved.add(run.id)
            self.prefect.put(run, StateType.SCHEDULED, "Resuming")

    def crash(self, which: int) -> None:
        """kill -9 of a process between two calls; it may be in the middle of a write."""
        names = [name for name in sorted(self.processes) if name != "guard" and not name.startswith("sync")]
        if names:
            name = names[which % len(names)]
            self.processes.pop(name).kill()
            run = self.prefect.runs[UUID(name)]
            if run.state.type not in FINAL:
                self.prefect.put(run, StateType.CRASHED, "Crashed")

    def retry(self, which: int) -> None:
        if run := self.of_person(which, {StateType.CRASHED, StateType.FAILED}):
            self.prefect.put(run, StateType.SCHEDULED, "AwaitingRetry")

    def settle(self) -> None:
        """Everything that goes on by itself has gone on; people answer, and retry what crashed of what git wants."""
        for _ in range(12):
            self.finish_processes()
            self.deliver()
            self.finish_processes()
            self.work()
            self.finish_processes()
            self.watch()
            self.finish_processes()
            for which in range(len(self.prefect.runs)):
                self.approve(which)
            newest = [run for run in self.prefect.runs.values() if run.parameters["order"] == self.head][-1:]
            for run in newest:
                if run.state.type == StateType.CRASHED:
                    self.prefect.put(run, StateType.SCHEDULED, "AwaitingRetry")
        self.finish_processes()

    def finish_processes(self) -> None:
        for number in range(STEPS_OF_ALL):
            if not self.processes:
                return
            self.step(number)
        raise AssertionError(f"{sorted(self.processes)} go on for ever")


def holders(prefect: PrefectModel) -> list[Holder]:
    turn()
    return [holder for variable in list(prefect.variables.values()) if (holder := prefect_db._holder(variable)) is not None]  # type: ignore[arg-type]


def patient(task: Any) -> Callable[..., Any]:
    """The task as a plain function; what is Transient is tried again for as long as it takes."""

    def call(*arguments: Any) -> Any:
        while True:
            try:
                return task.fn(*arguments)
            except Transient:
                turn()

    return call


TASKS = {
    name: patient(getattr(lock, name))
    for name in ("supersede", "seen", "try_lock", "hand_over", "release_endpoint", "wait_for_end", "left_behind")
}


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """The code under test speaks to this world."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (prefect_db, prefect_history):
            patch.setattr(module, "prefect_client", world.prefect.client)
        for name, task in TASKS.items():
            patch.setattr(lock, name, task)
        patch.setattr(lock, "roll_back", world.roll_back)
        patch.setattr(lock, "azureml", SimpleNamespace(glance=world.glance))
        patch.setattr(lock, "suspend_flow_run", lambda **_: world.suspend(world.prefect.runs[UUID(own())]))
        patch.setattr(lock, "get_run_logger", lambda: logging.getLogger("quiet"))
        patch.setattr(guarding, "get_run_logger", lambda: logging.getLogger("quiet"))
        patch.setattr(guarding, "roll_back", world.guards_roll_back)
        patch.setattr(guarding, "release_endpoint", TASKS["release_endpoint"])
        patch.setattr(guarding, "tell_about", lambda *_: None)
        # Every process here is heard of, and every canary good: the lock is what this is about.
        patch.setattr(guarding, "silent", lambda _: False)
        patch.setattr(guarding, "judge_unwatched", lambda _: "")
        own = partial(name_of_this_process, world)
        yield
    for process in world.processes.values():
        process.kill()


def name_of_this_process(world: World) -> str:
    from tests.contract.prefect_model import CURRENT

    return next(name for name, process in world.processes.items() if process is CURRENT.process)


# What happens how often: mostly that one of the processes goes on for a few calls.
EVENTS = {"step": 60, "work": 12, "approve": 8, "push": 4, "deliver": 6, "watch": 3, "crash": 3, "retry": 4}


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
