"""Rollouts, sync, guard and aborts of one endpoint over a model of Prefect, stopped and started at each of their calls: what the lock's tests walk.

The lock, following and guard code is the real one. Stands on `prefect_model`.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import StateType
from prefect.exceptions import Abort

from aml_canary import gateways
from aml_canary.cli_answers import end_rollout
from aml_canary.domain.following import OUTDATED, decide, taken_over
from aml_canary.domain.observed import Facts, Observed
from aml_canary.domain.steps import CreateDeployment
from aml_canary.errors import EndpointBusy, Outdated, Superseded, Transient
from aml_canary.gateways import prefect_answers, prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from tasks import guarding, holding, lock
from tasks.holding import insist_on_being_the_one, insist_on_holding
from tests.contract.prefect_model import CURRENT, FINAL, PrefectModel, Process, Run, Suspended, turn

LEFT = (CreateDeployment("green"),)
STEPS_OF_ALL = 20_000


class World:
    """A branch, an endpoint, Prefect, a worker, and people."""

    def __init__(self, policy: str) -> None:
        self.prefect, self.policy, self.head = PrefectModel(), policy, "a"
        # What is live, what gets a tenth of the traffic beside it, who wrote that and when, and what to come back to.
        self.live, self.canary, self.writer, self.since, self.stable = "", "", "", "", ""
        self.processes: dict[str, Process] = {}
        self.approved: set[UUID] = set()
        self.writing: str = ""
        self.aborted: set[str] = set()
        # How often traffic was put back because of an abort.
        self.put_back = 0

    # --- Azure -------------------------------------------------------------------------------------------------------

    def write(self, by: str, live: str, canary: str, stable: str) -> None:
        """One PUT; others may go first at its start and at its end.

        An abort ends a run in the middle of one, and sets the endpoint free. Then the gateway writes nothing where another rollout came first.
        """
        who = name_of_this_process(self)
        assert not self.writing or self.writing in self.aborted, f"two writers: {self.writing} and {who}"
        self.writing, before = who, self.writer
        try:
            turn()
            if self.writer in (before, by):
                self.live, self.canary, self.writer, self.stable, self.since = live, canary, by, stable, str(self.prefect.number())
            turn()
        finally:
            self.writing = "" if self.writing == who else self.writing

    def observed(self) -> Observed:
        weights = {self.live: 90, self.canary: 10} if self.canary else {self.live: 100}
        traffic = weights if self.live else {}
        # Nobody but rollouts writes.
        facts = Facts(run=self.writer, stable={self.stable: 100} if self.stable else {}, traffic=traffic)
        return Observed("e", exists=bool(self.live), state="Succeeded", traffic=traffic, facts=facts)

    def glance(self, _endpoint: str) -> SimpleNamespace:
        turn()
        return SimpleNamespace(facts=Facts(run=self.writer, since=self.since))

    def observe(self, _endpoint: str) -> Observed:
        turn()
        return self.observed()

    def roll_back(self, _endpoint: str, holder: Holder) -> str:
        turn()
        if prefect_db.stands(self.writer, self.since):
            return ""
        if self.writer in holder.runs and self.stable and (self.live, self.canary) != (self.stable, ""):
            self.write(self.writer, self.stable, "", self.stable)
        return ""

    def guards_roll_back(self, _endpoint: str, holder: Holder) -> str:
        """The guard holds no lock; what it writes is where everybody who may write as well goes back to."""
        turn()
        if self.writer in holder.runs and self.stable and not prefect_db.stands(self.writer, self.since):
            # Where its run is being aborted, a process may still be at work.
            self.put_back += holder.run in self.aborted
            self.live, self.canary, self.since = self.stable, "", str(self.prefect.number())
        return ""

    def put_traffic_back(self, _endpoint: str, runs: frozenset[str], _since: str) -> Observed | None:
        """What `abort` writes, from a terminal. Like the guard it holds no lock, and goes where everybody goes back to."""
        turn()
        if self.writer not in runs or not self.stable or (self.live, self.canary) == (self.stable, ""):
            return None
        self.put_back += 1
        self.live, self.canary, self.since = self.stable, "", str(self.prefect.number())
        return self.observed()

    # --- What Prefect runs -------------------------------------------------------------------------------------------

    def sync(self) -> None:
        turn()
        head = self.head
        history = prefect_history.rollouts_of("e")
        turn()
        there = self.observed()
        live = taken_over(there, history, stands=prefect_db.stands(self.writer, self.since))
        left = () if live.traffic == {head: 100} else LEFT
        verdict = decide("e", head, history, left, {}, head, writer=self.writer, unfinished=live.traffic != there.traffic)
        if verdict.do == "drifted":
            # An abort that came as the rollout ended, after its last look, has put traffic back: it is somebody who changed it.
            aborted = next(past.run for past in history if past.promoted) in self.aborted
            assert aborted or prefect_history.rollouts_of("e") != history, "nobody but rollouts writes"
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
        except Abort:
            return
        try:
            while self.next_step(run, order, holder):
                pass
            insist_on_being_the_one(holder)
            if self.writer in holder.runs:
                prefect_db.let_stand(self.writer, self.since)
            lock.release_endpoint(holder)
            end(StateType.COMPLETED, "Promoted")
        except Superseded:
            self.roll_back("e", holder)
            lock.release_endpoint(holder)
            end(StateType.CANCELLED, "Superseded")
        except EndpointBusy:
            if lock.is_free("e"):
                self.roll_back("e", holder)
            end(StateType.FAILED, "Failed")
        except Abort:
            pass

    def next_step(self, run: Run, order: str, holder: Holder) -> bool:
        turn()
        seen, put_back = (self.live, self.canary), self.put_back
        live, canary = seen
        if seen == (order, ""):
            return False
        lock.give_way(holder)
        if not live or canary == order:
            self.ask(run)
            step = (order, "")
        else:
            assert not canary, f"{order} begins beside {canary}"
            step = (live, order)
        begun = self.writer in (holder.run, *holder.predecessors) and self.stable and not prefect_db.stands(self.writer, self.since)
        insist_on_holding(holder)
        # An abort puts back before it ends the run, and looks again afterwards.
        assert (self.live, self.canary) == seen or self.put_back > put_back, "somebody else wrote"
        self.write(holder.run, *step, self.stable if begun else live)
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
        names = sorted({str(run) for run in self.prefect.runs} & set(self.processes))
        if names:
            name = names[which % len(names)]
            self.processes.pop(name).kill()
            run = self.prefect.runs[UUID(name)]
            if run.state.type not in FINAL:
                self.prefect.put(run, StateType.CRASHED, "Crashed")

    def retry(self, which: int) -> None:
        run = self.of_person(which, {StateType.CRASHED, StateType.FAILED, StateType.CANCELLED})
        if run is not None and run.state.name in ("Crashed", "Failed", "Aborted"):
            self.prefect.put(run, StateType.SCHEDULED, "AwaitingRetry")

    def again(self, which: int) -> None:
        """Somebody retries what was promoted."""
        if (run := self.of_person(which, {StateType.COMPLETED})) and run.state.name == "Promoted":
            self.prefect.put(run, StateType.SCHEDULED, "AwaitingRetry")

    def abort(self, _: int = 0) -> None:
        """Somebody types `aml-canary abort`."""

        def typed() -> None:
            if held := prefect_db.held_by("e"):
                self.aborted.add(held.run)
                end_rollout(held, "why", "now")

        self.begin(f"abort {self.prefect.number()}", typed)

    def unlock(self, _: int = 0) -> None:
        """Somebody removes the locks of runs that are at an end, as anybody can in Prefect's UI."""
        for name, variable in list(self.prefect.variables.items()):
            run = self.prefect.runs[UUID(variable.value["run"])]
            if run.state.type in FINAL and str(run.id) not in self.processes:
                del self.prefect.variables[name]

    def settle(self) -> None:
        """Everything that goes on by itself has gone on; people answer, and retry what crashed or was aborted of what git wants."""
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
            acted = [run for run in self.prefect.runs.values() if run.state.name != OUTDATED]
            newest = [run for run in acted if run.parameters["order"] == self.head][-1:]
            for run in newest:
                # Who is retried while it is being aborted may lose the endpoint, or what it wrote last, to the abort.
                lost = str(run.id) in self.aborted and (self.live, self.canary) != (self.head, "")
                if run.state.name in ("Crashed", "Aborted") or (lost and run.state.name in ("Failed", "Promoted")):
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
    for name in ("supersede", "seen", "try_lock", "hand_over", "release_endpoint", "wait_for_end", "left_behind", "is_free")
}


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """The code under test speaks to this world."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (prefect_answers, prefect_db, prefect_history):
            patch.setattr(module, "prefect_client", world.prefect.client)
        for name, task in TASKS.items():
            patch.setattr(lock, name, task)
        patch.setattr(lock, "roll_back", world.roll_back)
        patch.setattr(lock, "azureml", SimpleNamespace(glance=world.glance, observe=world.observe))
        patch.setattr(gateways, "azureml", SimpleNamespace(glance=world.glance, put_traffic_back=world.put_traffic_back))
        patch.setattr(prefect_answers, "tag_outcome", lambda *_: None)
        patch.setattr(lock, "suspend_flow_run", lambda **_: world.suspend(world.prefect.runs[UUID(own())]))
        for module in (lock, holding, guarding):
            patch.setattr(module, "get_run_logger", lambda: logging.getLogger("quiet"))
        patch.setattr(guarding, "roll_back", world.guards_roll_back)
        patch.setattr(guarding, "release_endpoint", TASKS["release_endpoint"])
        patch.setattr(guarding, "tell_about", lambda *_: None)
        patch.setattr(guarding, "show_ending", lambda *_: None)
        patch.setattr(lock, "show_ending", lambda *_: None)
        patch.setattr(guarding, "holds_unanswered", lambda _: False)
        for module, name in ((lock, "audit_if_possible"), (guarding, "audit_stopped"), (guarding, "audit_end")):
            patch.setattr(module, name, lambda *_, **__: None)
        # Every process here is heard of, and every canary good: the lock is what this is about.
        patch.setattr(guarding, "silent", lambda _: False)
        patch.setattr(guarding, "judge_unwatched", lambda _: "")
        own = partial(name_of_this_process, world)
        yield
    for process in world.processes.values():
        process.kill()


def name_of_this_process(world: World) -> str:
    """Its run's id; empty for a thread that is no process of the model."""
    this = getattr(CURRENT, "process", None)
    return next((name for name, process in world.processes.items() if process is this), "")
