"""Is the endpoint still ours? Asked before each step, at each try of a write, and at the end.

Not here: taking the endpoint and giving it up (`lock`). May import prefect, `aml_canary.errors` and `aml_canary.gateways`.
"""

from prefect.exceptions import Abort
from prefect.logging import get_run_logger

from aml_canary.errors import EndpointBusy
from aml_canary.gateways import prefect_db
from aml_canary.gateways.prefect_db import Holder


def insist_on_holding(holder: Holder) -> None:
    """Raises EndpointBusy where the lock was removed or taken, by an abort, the guard, or another rollout.

    Without it nobody looks after what a step writes. A write is tried for minutes, so a look before its first try is not enough.
    """
    _insist(holder, prefect_db.held_by(holder.endpoint))


def insist_on_being_the_one(holder: Holder) -> None:
    """The same; and raises Prefect's Abort, which leaves the run's state alone, where another process carries out the same run: Prefect
    starts two when Retry is pressed twice."""
    held = prefect_db.held_by(holder.endpoint)
    _insist(holder, held)
    if held is not None and held.token != holder.token:
        get_run_logger().warning("Another process has begun to carry out this run; this one ends.")
        raise Abort("another process carries out this flow run")


def _insist(holder: Holder, held: Holder | None) -> None:
    if held is None or held.run != holder.run:
        by = f"flow run {held.run} has it" if held else "nobody has it"
        raise EndpointBusy(f"Endpoint {holder.endpoint} is not held by this run any more: {by}. Retry takes it again if it is free.")
