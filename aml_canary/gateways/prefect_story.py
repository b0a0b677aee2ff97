"""What Prefect kept of a rollout, as events: its stages, what was asked and answered, its verdicts, its end.

May import `domain`, its Prefect neighbours and Prefect's client.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun

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
        kept = client.filter_flow_run_input(flow_run_id=UUID(str(run.id)), key_prefix="", limit=_AT_MOST, exclude_keys=set())
    notes = [(item.key, item.created or datetime.now(UTC), json.loads(item.value)) for item in kept]
    return (*_stages(tasks), *_notes(notes), *_end(run))


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
    answers = {key: (at, value) for key, at, value in notes if key.startswith("suspended-") and key.endswith("-response")}
    verified = {
        value["key"]: f"{value['comment']['login']} ({value['comment']['url']})" for key, _, value in notes if key.startswith("verified-")
    }
    for key, at, value in notes:
        if key.startswith("asked-"):
            gate = key.removeprefix("asked-").rpartition("-")[0]
            yield Event(at, f"asked whether to go on with {gate}")
            if (answer := answers.get(f"suspended-{value['key']}-response")) is not None:
                when, form = answer
                who = verified.get(value["key"]) or f"{form['approver']} (unverified)"
                yield Event(when, answer_told(gate, form["decision"], who, form.get("comment")))
        elif key.startswith(("baked-", "undecided-")):
            yield Event(at, f"verdict {value['word']}: {value['reason']}")
        elif key == "superseded":
            yield Event(at, f"asked to give way to commit {str(value)[:12]}")


def _end(run: FlowRun) -> Iterator[Event]:
    state = run.state
    if state is not None and state.timestamp is not None:
        yield Event(state.timestamp, f"{state.name}{f': {state.message}' if state.message else ''}")
