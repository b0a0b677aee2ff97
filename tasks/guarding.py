"""What the guard does for one endpoint.

May import prefect, `aml_canary.errors`, `aml_canary.gateways` and the other tasks.
"""

from datetime import UTC, datetime

from prefect.logging import get_run_logger

from aml_canary.errors import Permanent
from aml_canary.gateways import prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from tasks.lock import release_endpoint
from tasks.retry import retried
from tasks.stages import roll_back
from tasks.telling import State, tell_about


@retried("thaw")
def go_on_after_freeze() -> tuple[str, ...]:
    """Resume the rollouts whose freeze is over; their names."""
    return prefect_history.thaw(datetime.now(UTC))


@retried("wake-forgotten")
def go_on_without_holder() -> tuple[str, ...]:
    """Resume the rollouts that wait for an endpoint which nobody alive holds; their names."""
    return prefect_db.wake_forgotten()


@retried("find-held-endpoints")
def endpoints_held() -> tuple[Holder, ...]:
    """Every endpoint that a rollout holds."""
    return prefect_db.holders()


def make_safe(holder: Holder) -> tuple[bool, str]:
    """Traffic back and lock released, if the rollout was given up. Returns whether all is well, and what was done, if anything."""
    state = prefect_db.run_state(holder.run)
    if state.type == "PAUSED" and (commit := prefect_history.asked_to_give_way(holder.run)):
        # Asked in the moment between its last look and its suspension.
        prefect_history.ask_to_give_way(holder.run, commit)
        state = prefect_db.run_state(holder.run)
    if state.type == "COMPLETED":
        release_endpoint(holder)
        return True, f"{holder.endpoint}: released, its rollout had ended."
    if state.type == "CRASHED" and holder.commit:
        crashed = "the rollout crashed and keeps the endpoint: Retry it, or push a commit"
        tell_about(holder.run, holder.repository, holder.commit, holder.endpoint, State.ERROR, crashed)
    if not state.given_up:
        return True, ""
    try:
        told = f"{holder.endpoint}: flow run {holder.run} is {state.name}. {roll_back(holder.endpoint, holder)} The endpoint is free."
    except Permanent as error:
        get_run_logger().error("%s", error)
        return False, f"{holder.endpoint}: {error}"
    release_endpoint(holder)
    if holder.commit:
        tell_about(holder.run, holder.repository, holder.commit, holder.endpoint, State.FAILURE, told)
    get_run_logger().warning("%s", told)
    return True, told
