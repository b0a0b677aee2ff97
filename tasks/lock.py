"""One rollout per endpoint: taking it, waiting for it, giving it up.

May import prefect, `aml_canary.domain`, `aml_canary.gateways` and the other tasks. `take_endpoint` may suspend, so it is called from a flow.
"""

from dataclasses import replace
from typing import NoReturn
from uuid import uuid4

from prefect.exceptions import Abort
from prefect.flow_runs import suspend_flow_run
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.order import Order
from aml_canary.errors import EndpointBusy, Superseded
from aml_canary.gateways import prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from aml_canary.gateways.prefect_history import ORDER_TAG
from tasks.retry import retried
from tasks.stages import roll_back

_LONGEST_QUEUE_SECONDS = 14 * 24 * 3600


def holder_of(order: Order) -> Holder:
    """This flow run, as the holder of the order's endpoint. Gives the run its name and tag on the way."""
    tags = (f"endpoint:{order.endpoint}", f"{ORDER_TAG}{order.digest}")
    prefect_db.name_run(str(flow_run.id), f"{order.endpoint}@{order.commit[:7]}", *tags)
    return Holder(order.endpoint, str(flow_run.id), order.commit, order.manifest.path, order.repository, token=uuid4().hex[:12])


def holder_for_teardown(endpoint: str) -> Holder:
    """This flow run, as the holder of an endpoint that it is to delete."""
    prefect_db.name_run(str(flow_run.id), f"{endpoint}-teardown", f"endpoint:{endpoint}")
    return Holder(endpoint, str(flow_run.id), "", "teardown", token=uuid4().hex[:12])


def take_endpoint(wanted: Holder, on_busy: str) -> Holder:
    """Hold the endpoint for this run.

    A rollout that is alive keeps it: `on_busy` "reject" raises EndpointBusy, "queue" suspends this run until the endpoint is free, "supersede"
    has a rollout of another commit give way first. From a rollout that is not alive it is taken: of the same commit to go on where it was,
    of another after its traffic was put back.
    """
    other = try_lock(wanted)
    if other is not None and on_busy == "supersede" and other.commit not in ("", wanted.commit):
        supersede(other, wanted)
    if other is not None and prefect_db.run_state(other.run).alive:
        _wait_or_refuse(wanted, other, on_busy)
    prefect_db.mark_waiting(wanted.run, wanted.endpoint, waiting=False)
    if other is None:
        held = prefect_db.held_by(wanted.endpoint)
        return wanted if held is None else replace(held, token=wanted.token)
    if (other.commit, other.manifest) == (wanted.commit, wanted.manifest):
        wanted = replace(wanted, predecessors=tuple(sorted(other.runs)))
    else:
        get_run_logger().info("Taking over from flow run %s, which is not alive. %s", other.run, roll_back(other.endpoint, other))
    hand_over(other, wanted)
    return wanted


def _wait_or_refuse(wanted: Holder, other: Holder, on_busy: str) -> NoReturn:
    state = prefect_db.run_state(other.run)
    if on_busy == "reject":
        raise EndpointBusy(
            f"Endpoint {wanted.endpoint} is held by flow run {other.run} ({state.name}, commit {other.commit[:12]}). "
            "Retry when it has ended, or cancel it first; rollout.on_new_commit: queue waits instead."
        )
    prefect_db.mark_waiting(wanted.run, wanted.endpoint, waiting=True)
    get_run_logger().info("Waiting until flow run %s gives up endpoint %s.", other.run, wanted.endpoint)
    suspend_flow_run(key=f"queue-{uuid4().hex[:6]}", timeout=_LONGEST_QUEUE_SECONDS)
    raise AssertionError("a suspended run starts from its first line when it is resumed")


def give_way(holder: Holder) -> None:
    """Go on only while the endpoint is ours. Asked before each step, because a step is not interrupted.

    Raises Superseded where a newer commit wants this rollout's place, EndpointBusy where the lock was removed or taken, and Prefect's Abort,
    which leaves the run's state alone, where another process carries out the same run: Prefect starts two when Retry is pressed twice.
    """
    held = prefect_db.held_by(holder.endpoint)
    if held is None or held.run != holder.run:
        by = f"flow run {held.run} has it" if held else "nobody has it"
        raise EndpointBusy(f"Endpoint {holder.endpoint} is not held by this run any more: {by}. Retry takes it again if it is free.")
    if held.token != holder.token:
        get_run_logger().warning("Another process has begun to carry out this run; this one ends.")
        raise Abort("another process carries out this flow run")
    commit = prefect_history.asked_to_give_way(holder.run)
    if commit:
        raise Superseded(f"Commit {commit[:12]} takes its place")


@retried("supersede")
def supersede(other: Holder, by: Holder) -> None:
    """Have another commit's rollout give way: at once where it waits for an answer, before its next step where it is at work."""
    if prefect_db.run_state(other.run).alive:
        prefect_history.ask_to_give_way(other.run, by.commit)


@retried("take-endpoint")
def try_lock(wanted: Holder) -> Holder | None:
    """Take the endpoint if it is free; otherwise who holds it."""
    return prefect_db.take_lock(wanted)


@retried("hand-over-endpoint")
def hand_over(dead: Holder, wanted: Holder) -> None:
    """Take the endpoint from a run that is not alive."""
    prefect_db.hand_over(dead, wanted)


@retried("release-endpoint")
def release_endpoint(holder: Holder) -> None:
    """Give the endpoint up and wake whoever waits for it."""
    prefect_db.release_lock(holder)
