"""Prefect, as far as following and the lock lean on it, in memory: variables, runs and their states; and processes that take turns.

Each call of Prefect's client is one atomic step, as it is one transaction on the server, and whose step comes next is the test's choice. So
every interleaving of the real code's calls can be had, and had again. Not a Prefect server: what that really does is in `tests/contract`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

FINAL = {StateType.COMPLETED, StateType.CANCELLED, StateType.FAILED, StateType.CRASHED}
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone: nothing of ours runs any more."""


class Suspended(BaseException):
    """The run is suspended, and its process ends."""


class Process:
    """A thread that does one step whenever it is told to."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work, self.failure, self.over, self.killed = work, None, False, False
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        CURRENT.process = self
        self._go.acquire()
        try:
            if not self.killed:
                self.work()
        except (Killed, Suspended):
            pass
        except BaseException as failure:
            self.failure = failure
        self.over = True
        self._done.release()

    def step(self) -> None:
        """Let it go on until it is about to do its next step, or is over. Raises what it failed with."""
        self._go.release()
        self._done.acquire()
        if self.failure is not None:
            raise self.failure

    def kill(self) -> None:
        """kill -9, between two steps."""
        self.killed = True
        if not self.over:
            self.step()

    def pause(self) -> None:
        """Called in the thread, before each of its steps."""
        self._done.release()
        self._go.acquire()
        if self.killed:
            raise Killed


CURRENT = threading.local()


def turn() -> None:
    """Somebody else may go first; in a thread that is no process of the model, nobody else is there."""
    process = getattr(CURRENT, "process", None)
    if process is not None:
        process.pause()


@dataclass
class Run:
    """A flow run."""

    id: UUID
    parameters: dict[str, Any]
    created: datetime
    name: str = "run"
    tags: list[str] = field(default_factory=list)
    states: list[State[Any]] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    start_time: datetime | None = None

    @property
    def state(self) -> State[Any]:
        return self.states[-1]

    @property
    def run_count(self) -> int:
        return 1


class PrefectModel:
    """The server, and its client: `with model.client() as client` is `prefect_client()`."""

    def __init__(self) -> None:
        self.runs: dict[UUID, Run] = {}
        self.keys: dict[str, UUID] = {}
        self.variables: dict[str, SimpleNamespace] = {}
        self._count = 0

    @contextmanager
    def client(self) -> Iterator["PrefectModel"]:
        yield self

    def number(self) -> int:
        self._count += 1
        return self._count

    def create(self, key: str, parameters: dict[str, Any], tags: list[str]) -> None:
        turn()
        if key not in self.keys:
            number = self.number()
            run = Run(UUID(int=number), parameters, EPOCH + timedelta(seconds=number), name=f"run-{number}", tags=tags)
            self.runs[run.id] = run
            self.keys[key] = run.id
            self.put(run, StateType.SCHEDULED, "Scheduled")

    def put(self, run: Run, kind: StateType, name: str) -> None:
        run.states.append(State(type=kind, name=name, timestamp=EPOCH + timedelta(seconds=self.number())))

    def propose(self, run: Run, kind: StateType, name: str, *, of: set[StateType]) -> bool:
        """What the engine does with its own run: taken only from these states."""
        turn()
        if run.state.type not in of:
            return False
        if kind == StateType.RUNNING:
            run.start_time = run.start_time or EPOCH
        self.put(run, kind, name)
        return True

    # --- What the code under test calls ------------------------------------------------------------------------------

    def create_variable(self, wanted: Any) -> None:
        turn()
        if wanted.name in self.variables:
            raise ObjectAlreadyExists(http_exc=refused(409))
        self.variables[wanted.name] = SimpleNamespace(id=UUID(int=self.number()), name=wanted.name, value=wanted.value)

    def read_variable_by_name(self, name: str) -> Any:
        turn()
        found = self.variables.get(name)
        return found and SimpleNamespace(**vars(found))

    def request(self, method: str, path: str, path_params: dict[str, UUID], json: Any = None) -> None:
        turn()
        assert path == "/variables/{id}"
        found = next((variable for variable in self.variables.values() if variable.id == path_params["id"]), None)
        if found is None:
            raise refused(404)
        if method == "DELETE":
            del self.variables[found.name]
        else:
            assert method == "PATCH"
            found.value = json["value"]

    def read_flow_run(self, run: UUID) -> Any:
        turn()
        if run not in self.runs:
            raise ObjectNotFound(http_exc=refused(404))
        found = self.runs[run]
        return SimpleNamespace(tags=list(found.tags), state=found.state)

    def update_flow_run(self, run: UUID, tags: list[str]) -> None:
        turn()
        self.runs[run].tags = tags

    def set_flow_run_state(self, run: UUID, state: State[Any], force: bool = False) -> None:
        turn()
        if force or self.runs[run].state.type not in FINAL:
            self.put(self.runs[run], state.type, str(state.name))

    def read_flow_run_states(self, run: UUID) -> list[State[Any]]:
        turn()
        return list(self.runs[run].states)

    def resume_flow_run(self, run: UUID) -> None:
        turn()
        if self.runs[run].state.type == StateType.PAUSED:
            self.put(self.runs[run], StateType.SCHEDULED, "Resuming")

    def read_flow_runs(self, flow_run_filter: Any, **_: Any) -> list[Any]:
        turn()
        tags = set(flow_run_filter.tags.all_)
        states = flow_run_filter.state.type.any_ if flow_run_filter.state else list(StateType)
        return [
            SimpleNamespace(**{**vars(run), "tags": list(run.tags), "state": run.state})
            for run in self.runs.values()
            if tags <= set(run.tags) and run.state.type in states
        ]

    def create_flow_run_input(self, flow_run_id: UUID, key: str, value: str) -> None:
        turn()
        if key in self.runs[flow_run_id].inputs:
            raise refused(409)
        self.runs[flow_run_id].inputs[key] = value

    def read_flow_run_input(self, flow_run_id: UUID, key: str) -> str:
        turn()
        if key not in self.runs[flow_run_id].inputs:
            raise refused(404)
        return self.runs[flow_run_id].inputs[key]


def refused(status: int) -> PrefectHTTPStatusError:
    request = httpx.Request("GET", "http://prefect.test")
    return PrefectHTTPStatusError("refused", request=request, response=httpx.Response(status, request=request))
