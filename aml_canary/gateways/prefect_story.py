"""What Prefect kept of a rollout, as events: its stages, what was asked and answered, its verdicts, its end.

May import `domain`, its Prefect neighbours and Prefect's client.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterName,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, FlowRunInput, StateType, TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from aml_canary.domain.explained import Event, answer_told, stage_told
from aml_canary.gateways.prefect_answers import find_run
from aml_canary.gateways.prefect_db import prefect_client

_AT_MOST: Final = 200


def story_of(name: str) -> tuple[Event, ...]:
    """Everything that the run of this id or name did so far. Raises Permanent where there is no such run."""
    run = find_run(name)
    with prefect_client() as client:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        tasks = _all_tasks(client, of_run)
        notes = _kept(client, run.id)
    return (*_stages(tasks), *_notes(notes), *_end(run))


def answers_of(run: str) -> tuple[Event, ...]:
    """Every answer that was given to a question of the run with this id, in order."""
    with prefect_client() as client:
        notes = _kept(client, UUID(run))
    return tuple(sorted(_answers(notes), key=lambda event: event.at))


def took_last_time(endpoint: str, kind: str, *, longer_than: float) -> float | None:
    """How many seconds the last stage of this kind, such as `create`, took at the endpoint; None where none took longer than that.

    Shorter ones say nothing: Azure was done already.
    """
    with prefect_client() as client:
        found = client.read_task_runs(
            flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[f"endpoint:{endpoint}"])),
            task_run_filter=TaskRunFilter(
                name=TaskRunFilterName(like_=f"{kind}-"),
                state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.COMPLETED])),
            ),
            sort=TaskRunSort.END_TIME_DESC,
            limit=20,
        )
    spent = [
        (run.end_time - run.start_time).total_seconds()
        for run in found
        if run.name.startswith(f"{kind}-") and run.start_time is not None and run.end_time is not None
    ]
    return next((seconds for seconds in spent if seconds > longer_than), None)


def _kept(client: Any, run: UUID) -> list[tuple[str, datetime, Any]]:
    kept: list[FlowRunInput] = []
    while page := client.filter_flow_run_input(run, key_prefix="", limit=_AT_MOST, exclude_keys={item.key for item in kept}):
        kept += page
    return [(item.key, item.created or datetime.now(UTC), json.loads(item.value)) for item in kept]


def _all_tasks(client: Any, of_run: FlowRunFilter) -> list[TaskRun]:
    found: list[TaskRun] = []
    while page := client.read_task_runs(flow_run_filter=of_run, limit=_AT_MOST, offset=len(found)):
        found += page
    return found


def _stages(tasks: list[TaskRun]) -> Iterator[Event]:
    for task in tasks:
        began, state = task.start_time, task.state
        if began is None or state is None:
            continue
        ended = task.end_time or datetime.now(UTC)
        message = (state.message or "") if not state.is_completed() else ""
        if told := stage_told(task.name, state.name or "", message, task.run_count, (ended - began).total_seconds()):
            yield Event(ended, told)


def _notes(notes: list[tuple[str, datetime, Any]]) -> Iterator[Event]:
    yield from _answers(notes)
    for key, at, value in notes:
        if key.startswith("asked-"):
            yield Event(at, f"asked whether to go on with {_gate(key)}")
        elif key.startswith(("baked-", "undecided-")):
            yield Event(at, f"verdict {value['word']}: {value['reason']}")
        elif key == "superseded":
            yield Event(at, f"asked to give way to commit {str(value)[:12]}")


def _answers(notes: list[tuple[str, datetime, Any]]) -> Iterator[Event]:
    answers = {key: (at, value) for key, at, value in notes if key.startswith("suspended-") and key.endswith("-response")}
    verified = {
        value["key"]: f"{value['comment']['login']} ({value['comment']['url']})" for key, _, value in notes if key.startswith("verified-")
    }
    for key, _, value in notes:
        if key.startswith("asked-") and (answer := answers.get(f"suspended-{value['key']}-response")) is not None:
            at, form = answer
            who = verified.get(value["key"]) or f"{form['approver']} (unverified)"
            yield Event(at, answer_told(_gate(key), form["decision"], who, form.get("comment")))


def _gate(key: str) -> str:
    return key.removeprefix("asked-").rpartition("-")[0]


def _end(run: FlowRun) -> Iterator[Event]:
    state = run.state
    if state is not None and state.timestamp is not None:
        yield Event(state.timestamp, f"{state.name}{f': {state.message}' if state.message else ''}")
