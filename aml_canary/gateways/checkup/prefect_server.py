"""Prefect as `doctor` sees it: the server, the pool and its workers, the deployments, the guard, the channels.

May import `domain`, `settings`, its gateway neighbours and Prefect's client.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import prefect
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from aml_canary.domain.checkup import Check, clock_check, same_version_check
from aml_canary.domain.progress import duration
from aml_canary.gateways.prefect_db import prefect_client
from aml_canary.gateways.prefect_notices import channel_of
from aml_canary.settings import settings

POOL: Final = "rollouts"
DEPLOYMENTS: Final = ("canary/canary", "sync/sync", "guard/guard", "teardown/teardown", "answer/answer", "review/review")
_SETUP: Final = "Run `aml-canary setup`."
_GUARD: Final = "guard/guard"
# It is scheduled every minute.
_GUARD_LATE_SECONDS: Final = 300.0


def server() -> Iterator[Check]:
    """Whether it answers, in which version, and how its clock goes."""
    with prefect_client() as client:
        answer: Any = client.request("GET", "/admin/version")
    yield same_version_check(str(answer.json()), prefect.__version__)
    yield clock_check("prefect", clock_ahead(answer.headers.get("date", "")))


def clock_ahead(date: str) -> float:
    """How many seconds this clock is ahead of an answer's Date header, which has whole seconds."""
    return (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds() - 0.5 if date else 0.0


def workers() -> Iterator[Check]:
    """Whether the pool is there, and somebody works on it."""
    with prefect_client() as client:
        try:
            pool = client.read_work_pool(POOL)
        except ObjectNotFound:
            yield Check("work pool", "failed", f"there is no pool {POOL}", _SETUP)
            return
        found: list[dict[str, Any]] = client.request(
            "POST", "/work_pools/{work_pool_name}/workers/filter", path_params={"work_pool_name": POOL}, json={}
        ).json()
    if pool.is_paused:
        yield Check("work pool", "failed", f"{POOL} is paused: nothing is started", f"prefect work-pool resume {POOL}")
    else:
        yield Check("work pool", "ok", f"{POOL}, of type {pool.type}")
    online = [str(worker["name"]) for worker in found if worker["status"] == "ONLINE"]
    if online:
        yield Check("worker", "ok", f"{', '.join(sorted(online))} {'is' if len(online) == 1 else 'are'} at work")
    else:
        yield Check(
            "worker", "failed", f"nobody works on {POOL}", f"On a machine that reaches Azure and git: prefect worker start --pool {POOL}"
        )


def deployments() -> Iterator[Check]:
    """Whether every flow is deployed, and the guard runs."""
    with prefect_client() as client:
        found = {name: _deployment(client, name) for name in DEPLOYMENTS}
        missing = [name for name, deployment in found.items() if deployment is None]
        paused = [name for name, deployment in found.items() if deployment is not None and deployment.paused]
        if missing:
            yield Check("deployments", "failed", f"missing: {', '.join(missing)}", "Run `aml-canary setup --deploy`.")
        elif paused:
            yield Check("deployments", "failed", f"paused: {', '.join(paused)}", "Switch them on in the Prefect UI, under Deployments.")
        else:
            yield Check("deployments", "ok", f"all {len(DEPLOYMENTS)} are there")
        if (guard := found[_GUARD]) is not None:
            yield _guard_check(client, guard)
        sync = found["sync/sync"]
    if sync is not None and not [schedule for schedule in sync.schedules if schedule.active]:
        remedy = "Run `aml-canary setup --deploy` with AML_CANARY_REPOSITORIES set, or give it a schedule in prefect.yaml."
        yield Check("sync", "warning", "it has no schedule: a lost push and drift are not found", remedy)


def _deployment(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _guard_check(client: SyncPrefectClient, guard: DeploymentResponse) -> Check:
    if not [schedule for schedule in guard.schedules if schedule.active]:
        told = "it has no schedule: nobody judges while a person decides"
        return Check("guard", "failed", told, "Run `aml-canary setup --deploy`, or give it a schedule of one minute.")
    ended, scheduled = (_newest(client, guard, *types) for types in ((StateType.COMPLETED, StateType.FAILED), (StateType.SCHEDULED,)))
    now = datetime.now(UTC)
    if ended is not None and (now - ended).total_seconds() < _GUARD_LATE_SECONDS:
        return Check("guard", "ok", f"ran {duration((now - ended).total_seconds())} ago")
    if scheduled is None:
        told = "Prefect schedules no run of it"
        return Check("guard", "failed", told, "Where the Prefect server runs, SQLAlchemy has to be below 2.1, and its services on.")
    last = f"it ran last {duration((now - ended).total_seconds())} ago" if ended else "it has not run yet"
    return Check("guard", "failed", last, "Look whether a worker is at work, and at the newest runs of deployment guard.")


def _newest(client: SyncPrefectClient, deployment: DeploymentResponse, *types: StateType) -> datetime | None:
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=1,
    )
    return (runs[0].end_time or runs[0].expected_start_time or datetime.now(UTC)) if runs else None


def channels() -> Iterator[Check]:
    """Whether the blocks are there that people are told by. Nothing is sent."""
    for name in settings().notify:
        try:
            channel_of(name)
        except ValueError as error:
            yield Check(f"channel {name}", "failed", str(error), f"Run `aml-canary setup --channel {name}`, or make it in the Prefect UI.")
        else:
            yield Check(f"channel {name}", "ok", "it is there; whether it takes a notice is seen at the first")
