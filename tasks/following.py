"""Following a branch: has it moved on without this rollout, does it go back to what was promoted before, may anything be started now.

May import prefect, `aml_canary.domain`, `aml_canary.gateways`, `aml_canary.settings` and the other tasks. `wait_out_freeze` may suspend, so
it is called from a flow.
"""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from prefect.flow_runs import suspend_flow_run
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.following import Quarantined, is_return, is_warm, newer_than
from aml_canary.domain.freeze import Window, frozen_until
from aml_canary.domain.manifest_reader import discover
from aml_canary.domain.order import Order, as_rollback
from aml_canary.errors import ManifestRefused
from aml_canary.gateways import azureml, prefect_db, prefect_history
from aml_canary.gateways.git import GitTree, mirror_of
from aml_canary.gateways.prefect_db import Holder
from aml_canary.settings import settings
from tasks.reading import read_order
from tasks.retry import retried

# Kept with a run: when it began, what it goes back to was not there any more.
_COLD = "went-back-cold"
# A run that nobody resumes after its freeze, because no guard runs, ends by itself at last.
_LONGEST_OVERSLEEP = timedelta(days=14)


@retried("compare-with-branch")
def overtaken(order: Order) -> str:
    """Why the branch wants nothing of this rollout any more, as a sentence; empty where it does.

    A branch whose manifest cannot be read wants what was last started from it.
    """
    mirror, branch = mirror_of(order.repository), settings().branch
    head = mirror.resolve(branch)
    if head == order.commit:
        return ""
    if order.manifest.path not in discover(GitTree(mirror, head), settings().manifests):
        return f"{branch} is at {head[:12]}, which has no {order.manifest.path}. Nothing was done."
    try:
        newest = read_order.fn(order.repository, head, order.manifest.path)
    except ManifestRefused:
        newer = newer_than(prefect_history.rollouts_of(order.endpoint), str(flow_run.id), order.digest)
        return f"Flow run {newer.name} is newer and wants something else of {order.endpoint}. Nothing was done." if newer else ""
    return (
        ""
        if newest.digest == order.digest
        else f"{branch} is at {head[:12]}, which wants something else of {order.endpoint}. Nothing was done."
    )


@retried("look-for-way-back")
def quickest(order: Order, holder: Holder) -> Order:
    """The order as a rollback, where git went back to what was promoted before and that is still warm; else the order as it is.

    Decided once for a run: what was gone and had to be made anew is not still warm because this very run made it.
    """
    going_back = is_return(prefect_history.rollouts_of(order.endpoint), holder.run, order.digest)
    if not going_back or len(order.stages) > 1 or prefect_db.kept(holder.run, _COLD) is not None:
        return order
    if not is_warm(order, azureml.observe(order.endpoint)):
        prefect_db.keep(holder.run, _COLD, True)
        return order
    get_run_logger().info("Git went back to what was promoted before and is still warm: all traffic at once, after its smoke requests.")
    return as_rollback(order)


def wait_out_freeze(order: Order) -> None:
    """Suspend the run until no freeze window is open; the guard resumes it. A rollback does not wait."""
    until = None if order.rollback else freeze_ends(order)
    prefect_history.mark_asleep(str(flow_run.id), "frozen", until)
    if until is None:
        return
    get_run_logger().info("Frozen until %s: nothing is started or promoted before.", until.isoformat(timespec="minutes"))
    longest = until - datetime.now(UTC) + _LONGEST_OVERSLEEP
    suspend_flow_run(key=f"freeze-{uuid4().hex[:6]}", timeout=int(longest.total_seconds()))


def freeze_ends(order: Order) -> datetime | None:
    """When the freeze ends that is on now; None where there is none."""
    windows = [Window(freeze.start, freeze.end, freeze.zone) for freeze in order.manifest.rollout.freeze]
    return frozen_until([*windows, *settings().freeze], datetime.now(UTC))


@retried("quarantine")
def quarantine(order: Order, why: str) -> None:
    """Have no sync apply this order again until git wants something else, or a person lifts it."""
    prefect_history.put_in_quarantine(order.endpoint, order.digest, Quarantined(order.commit, why, str(flow_run.id)))


@retried("end-quarantine")
def end_quarantine(order: Order) -> None:
    """Forget that the order was in quarantine: it was promoted after all."""
    orders = prefect_history.quarantine_of(order.endpoint)
    if orders.pop(order.digest, None) is not None:
        prefect_history.set_quarantine(order.endpoint, orders)
