"""How a rollout stands, out of Prefect: the run's state, its newest stage, the question it waits with, the last line of its bake.

May import `domain`, its Prefect neighbours and Prefect's client.
"""

import json
from datetime import UTC, datetime
from typing import Any, get_args

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import LogSort, TaskRunSort
from prefect.utilities.urls import url_for

from aml_canary.domain.explained import STAGES
from aml_canary.domain.standing import Minutes, Standing, Waits, minute_read
from aml_canary.gateways.prefect_answers import find_run, gate_of
from aml_canary.gateways.prefect_db import WAITING_TAG, prefect_client
from aml_canary.gateways.prefect_history import Sleep

_ENDPOINT = "endpoint:"
_NEWEST = 100
# A run that is not begun by then has no worker.
_PATIENCE_SECONDS = 60


def standing_of(name: str) -> Standing:
    """How the run of this id or name stands. Raises Permanent where there is none."""
    run = find_run(name)
    state = run.state
    with prefect_client() as client:
        stage = _stage(client, run)
        waits, gate = _waits(run)
        return Standing(
            str(run.id),
            run.name,
            url_for("flow-run", obj_id=run.id) or "",
            (state.name if state else None) or "Pending",
            state.type.value if state else "PENDING",
            (state.message if state else None) or "",
            state.timestamp if state else None,
            gate or stage,
            waits,
            gate,
            _until(run),
            _who(client, run, gate),
            _minutes(client, run) if stage.startswith("bake-") and not gate and state is not None and state.is_running() else None,
        )


def endpoint_of(name: str) -> str:
    """The endpoint that the run of this id or name is about; empty where Prefect does not know."""
    return next((tag.removeprefix(_ENDPOINT) for tag in find_run(name).tags if tag.startswith(_ENDPOINT)), "")


def _stage(client: SyncPrefectClient, run: FlowRun) -> str:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    newest = client.read_task_runs(flow_run_filter=of_run, sort=TaskRunSort.EXPECTED_START_TIME_DESC, limit=_NEWEST)
    return next((task.name for task in newest if task.name.startswith(STAGES)), "")


def _waits(run: FlowRun) -> tuple[Waits, str]:
    state = run.state
    if state is None or state.type in (StateType.SCHEDULED, StateType.PENDING):
        begun = state.state_details.scheduled_time or state.timestamp if state else None
        late = begun is not None and (datetime.now(UTC) - begun).total_seconds() > _PATIENCE_SECONDS
        return ("worker" if late else "", "")
    if state.type != StateType.PAUSED:
        return ("", "")
    if state.state_details.run_input_keyset:
        return ("answer", gate_of(run))
    if WAITING_TAG in run.tags:
        return ("endpoint", "")
    asleep = next((why for why in get_args(Sleep) if why in run.tags), "")
    sleeps: dict[str, Waits] = {"frozen": "freeze", "resting": "rest"}
    return (sleeps.get(asleep, ""), "")


def _until(run: FlowRun) -> datetime | None:
    said = [datetime.fromisoformat(tag.partition("-until:")[2]) for tag in run.tags if "-until:" in tag]
    state = run.state
    if state is None or state.type != StateType.PAUSED:
        return None
    return max(said) if said else state.state_details.pause_timeout


def _who(client: SyncPrefectClient, run: FlowRun, gate: str) -> tuple[str, ...]:
    """Who may answer, as it was written down with the question."""
    if not gate:
        return ()
    kept = client.filter_flow_run_input(flow_run_id=run.id, key_prefix=f"asked-{gate}-", limit=_NEWEST, exclude_keys=set())
    notes: list[dict[str, Any]] = [json.loads(item.value) for item in sorted(kept, key=lambda item: item.key)]
    return tuple(map(str, notes[-1].get("approvers") or ())) if notes else ()


def _minutes(client: SyncPrefectClient, run: FlowRun) -> Minutes | None:
    of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
    lines = client.read_logs(log_filter=of_run, sort=LogSort.TIMESTAMP_DESC, limit=_NEWEST)
    return next((found for line in lines if (found := minute_read(line.message)) is not None), None)
