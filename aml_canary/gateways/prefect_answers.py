"""Answering a rollout that waits, and ending one, through Prefect's API: for those who hold it.

What an answer means is not decided here (`tasks.gate`); Prefect itself checks it against the form. May import `errors`, its Prefect
neighbours and Prefect's client.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterName,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

from aml_canary.errors import Permanent
from aml_canary.gateways.prefect_db import all_kept, held_by, kept, prefect_client, tag_outcome


@dataclass(frozen=True)
class Waiting:
    """A run that waits for an answer: its id and name, the gate, such as `flight-green-10`, and the key of this one question there."""

    run: str
    name: str
    gate: str
    key: str


@dataclass(frozen=True)
class Question(Waiting):
    """A rollout that waits for an answer, with what it rolls out."""

    repository: str
    commit: str
    manifest: str


def questions() -> tuple[Question, ...]:
    """Every rollout that waits for an answer, the first one first."""
    with prefect_client() as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["canary"])),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))),
            sort=FlowRunSort.START_TIME_ASC,
            limit=200,
        )
    return tuple(_question(run) for run in found if run.state is not None and run.state.state_details.run_input_keyset)


def _question(run: FlowRun) -> Question:
    order = (str(run.parameters.get(name, "")) for name in ("repository", "commit", "manifest"))
    return Question(str(run.id), run.name, gate_of(run), _key(run), *order)


def _key(run: FlowRun) -> str:
    return str(run.state.state_details.pause_key) if run.state is not None else ""


def waiting(name: str) -> Waiting:
    """The run of this id or name that waits for an answer. Raises Permanent where there is none, or it waits for nothing."""
    run = find_run(name)
    state = run.state
    keys = state.state_details.run_input_keyset if state is not None and state.type == StateType.PAUSED else None
    if state is None or not keys:
        raise Permanent(f"{run.name} ({run.id}) waits for no answer: it is {state.name if state else 'not started'}.")
    return Waiting(str(run.id), run.name, gate_of(run), _key(run))


def gate_of(run: FlowRun) -> str:
    """The gate that a suspended run waits at."""
    return _key(run).rsplit("-", 2)[0]


def question(asked: Waiting) -> str:
    """The markdown above the form; empty where Prefect does not have it yet."""
    with prefect_client() as client:
        keys = getattr(client.read_flow_run(UUID(asked.run)).state, "state_details", None)
    shown = (getattr(keys, "run_input_keyset", None) or {}).get("description", "")
    return str(kept(asked.run, shown) or "") if shown else ""


def wants_proof(asked: Waiting) -> bool:
    """Whether the question that the run waits with takes no approval from here, because nothing here shows whose it is."""
    notes = all_kept(asked.run, "asked-")
    return bool(notes) and bool(notes[-1].get("require_verified"))


def answer(asked: Waiting, decision: str, approver: str, comment: str | None) -> None:
    """Answer this question as the Resume button does. Raises Permanent where the run does not ask it any more, or Prefect does not take it."""
    # Prefect takes an answer for whatever is asked when it comes, and somebody may have answered while this one was thought over.
    now = waiting(asked.run)
    if now.key != asked.key:
        raise Permanent(
            f"This answer was not given: {asked.gate} of {asked.name} was answered meanwhile, or is asked anew. "
            f"Now it asks about {now.gate}: look at that, and answer again."
        )
    form: dict[str, Any] = {"decision": decision, "approver": approver, "comment": comment}
    with prefect_client() as client:
        reply = client.resume_flow_run(UUID(asked.run), run_input=form)
    if reply.status.value != "ACCEPT":
        why = getattr(reply.details, "reason", None) or reply.status.value
        raise Permanent(f"Prefect did not take the answer to {asked.gate} of {asked.name}: {why}")


def abort_run(run: str, why: str) -> None:
    """End a run as Aborted, whatever it is doing; a process that carries it out stops before its next step."""
    with prefect_client() as client:
        try:
            client.set_flow_run_state(UUID(run), Cancelled(name="Aborted", message=why), force=True)
        except ObjectNotFound:
            return
    tag_outcome(run, "Aborted")


def find_run(name: str) -> FlowRun:
    """A flow run by id; else the newest of that name that is suspended, else the newest of that name; else the one that holds the endpoint
    of that name. Raises Permanent."""
    with prefect_client() as client:
        try:
            return client.read_flow_run(UUID(name))
        except ObjectNotFound:
            raise Permanent(f"Prefect has no flow run {name}.") from None
        except ValueError:
            named = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
            found = client.read_flow_runs(flow_run_filter=named, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=50)
    suspended = [run for run in found if run.state is not None and run.state.type == StateType.PAUSED]
    if not found:
        holder = held_by(name)
        if holder is None or holder.run == name:
            raise Permanent(
                f"Prefect has no flow run {name}, and no rollout holds an endpoint of that name. Give a run's id, or its name, such as churn@1a2b3c4."
            )
        return find_run(holder.run)
    return (suspended or found)[0]
