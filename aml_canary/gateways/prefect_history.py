"""What Prefect's database tells of an endpoint's past: its rollouts, which orders are in quarantine, who was asked to give way.

May import `domain.following`, `errors`, `gateways.prefect_db` and Prefect's client.
"""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Failed

from aml_canary.domain.following import Past, Quarantined
from aml_canary.gateways.prefect_db import keep, kept, prefect_client, run_state

ORDER_TAG: Final = "order:"
# The webhook door puts it on the sync runs that it starts.
PUSHER_TAG: Final = "pusher:"
# Why a run is suspended until a time that is known: the tag that says so.
Sleep = Literal["frozen", "resting"]
_QUARANTINE: Final = "aml-canary-quarantine-"
_QUARANTINED_AT_MOST = 20
_HISTORY = 100
_YIELD = "superseded"


def rollouts_of(endpoint: str) -> tuple[Past, ...]:
    """The last hundred rollouts of an endpoint whose order is known, newest first."""
    with prefect_client() as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["canary"])),
            flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[f"endpoint:{endpoint}"])),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=_HISTORY,
        )
    # Prefect moves the expected start of a run that is resumed or retried; when it was created does not move.
    return tuple(past for run in sorted(runs, key=_created, reverse=True) if (past := _past(run)) is not None)


def _created(run: FlowRun) -> datetime:
    return run.created or datetime.min.replace(tzinfo=UTC)


def _past(run: FlowRun) -> Past | None:
    order = next((tag.removeprefix(ORDER_TAG) for tag in run.tags if tag.startswith(ORDER_TAG)), None)
    if order is None:
        return None
    state = run.state
    name = (state.name if state else None) or "Pending"
    return Past(str(run.id), run.name, order, name, state is None or not state.is_final(), begun=run.start_time is not None)


def quarantine_of(endpoint: str) -> dict[str, Quarantined]:
    """The endpoint's quarantined orders, by digest: a Prefect Variable that anybody can see."""
    with prefect_client() as client:
        variable = client.read_variable_by_name(_quarantine_name(endpoint))
    value: Any = variable.value if variable is not None else None
    entries = value.items() if isinstance(value, dict) else ()
    return {order: Quarantined(**entry) for order, entry in entries if isinstance(entry, dict)}


def set_quarantine(endpoint: str, orders: dict[str, Quarantined]) -> None:
    """Write the endpoint's quarantined orders, the newest last; only the last twenty are kept."""
    kept_orders = list(orders.items())[-_QUARANTINED_AT_MOST:]
    value = {order: asdict(entry) for order, entry in kept_orders}
    name = _quarantine_name(endpoint)
    with prefect_client() as client:
        if client.read_variable_by_name(name) is None:
            client.create_variable(VariableCreate(name=name, value=value, tags=["aml-canary-quarantine"]))
        else:
            client.update_variable(VariableUpdate(name=name, value=value))


def put_in_quarantine(endpoint: str, order: str, entry: Quarantined) -> None:
    """Add an order, by its digest, as the newest; what was said of it before is replaced."""
    orders = quarantine_of(endpoint)
    orders.pop(order, None)
    set_quarantine(endpoint, {**orders, order: entry})


def _quarantine_name(endpoint: str) -> str:
    return _QUARANTINE + re.sub(r"[^a-z0-9-]", "-", endpoint.lower())


def ask_to_give_way(run: str, commit: str) -> bool:
    """Ask a rollout to give way to a newer commit. True where that has ended it: it waited for an answer and has no process.

    A rollout at work is told before its next step (`asked_to_give_way`).
    """
    keep(run, _YIELD, commit)
    with prefect_client() as client:
        state = client.read_flow_run(UUID(run)).state
        if state is None or state.type != StateType.PAUSED:
            return False
        client.set_flow_run_state(UUID(run), Cancelled(name="Superseded", message=f"Commit {commit[:12]} takes its place."))
        if run_state(run).alive:
            return False
        # Somebody may have answered it at this very moment: then a process is at work, which gives way by itself.
        states = sorted(client.read_flow_run_states(UUID(run)), key=lambda state: state.timestamp)
    return StateType.RUNNING not in [state.type for state in states[-2:]]


def asked_to_give_way(run: str) -> str:
    """The newer commit that a rollout was asked to give way to; empty where it was not."""
    return str(kept(run, _YIELD) or "")


def mark_asleep(run: str, why: Sleep, until: datetime | None) -> None:
    """Put the tags on a run that say why it is suspended and when it may go on, or take them off."""
    with prefect_client() as client:
        tags = set(client.read_flow_run(UUID(run)).tags)
        wanted = {tag for tag in tags if tag != why and not tag.startswith(f"{why}-until:")}
        if until is not None:
            wanted |= {why, f"{why}-until:{until.astimezone(UTC).isoformat(timespec='seconds')}"}
        if wanted != tags:
            client.update_flow_run(UUID(run), tags=sorted(wanted))


def wake(now: datetime) -> tuple[str, ...]:
    """Resume every run whose freeze or rest is over; their names."""
    with prefect_client() as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(any_=list(get_args(Sleep)))), limit=200)
        due = [run for run in runs if run.state is not None and run.state.type == StateType.PAUSED and _wakes(run) <= now]
        for run in due:
            client.resume_flow_run(run.id)
    return tuple(run.name for run in due)


def _wakes(run: FlowRun) -> datetime:
    said = [tag.partition("-until:")[2] for tag in run.tags if "-until:" in tag]
    return max(map(datetime.fromisoformat, said), default=datetime.min.replace(tzinfo=UTC))


def end_run(run: str, name: str, message: str) -> None:
    """End a run that has no process, as failed under this name; the gate it may wait at is gone with that."""
    with prefect_client() as client:
        client.set_flow_run_state(UUID(run), Failed(name=name, message=message), force=True)


def pushers_of(repository: str, commit: str) -> frozenset[str]:
    """Who pushed the commit to the followed branch, as far as the webhook told and Prefect still knows: logins on the git host."""
    tags = FlowRunFilterTags(all_=["push", f"repository:{repository}", f"commit:{commit[:12]}"])
    with prefect_client() as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tags), limit=_HISTORY)
    return frozenset(tag.removeprefix(PUSHER_TAG) for run in runs for tag in run.tags if tag.startswith(PUSHER_TAG))


def order_of_run(run: str) -> str:
    """The digest of the order that a rollout carries out; empty where that is not known."""
    with prefect_client() as client:
        try:
            tags = client.read_flow_run(UUID(run)).tags
        except ObjectNotFound:
            return ""
    return next((tag.removeprefix(ORDER_TAG) for tag in tags if tag.startswith(ORDER_TAG)), "")


def latest_artifact(key: str) -> str:
    """The text of the newest artifact with the key; empty where there is none."""
    with prefect_client() as client:
        latest = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        found = client.read_artifacts(artifact_filter=latest, sort=ArtifactSort.CREATED_DESC, limit=1)
    return str(found[0].data or "") if found else ""
