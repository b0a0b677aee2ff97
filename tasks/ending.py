"""How a rollout ends: as git wants it, given up on somebody's word, or failed and kept for a Retry.

May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways` and the other tasks.
"""

from collections.abc import Sequence

from prefect.exceptions import Abort
from prefect.logging import get_run_logger

from aml_canary.domain.order import Order
from aml_canary.domain.report import outcome
from aml_canary.errors import AmlCanaryError, EndpointBusy, JudgedBad, Outdated, RolloutRejected, SmokeFailed, Superseded
from aml_canary.gateways import prefect_db
from aml_canary.gateways.prefect_db import Holder
from tasks.auditing import audit_end, audit_if_possible
from tasks.following import end_quarantine, quarantine
from tasks.lock import is_free, release_endpoint
from tasks.notifying import tell_ending
from tasks.reading import observe
from tasks.showing import show_ending, tag_run
from tasks.stages import let_stand, roll_back
from tasks.starting import start_dependents
from tasks.telling import State, tell


def ended_as(planned: Sequence[str]) -> str:
    """The name of the state in which a rollout ends that is as its manifest says."""
    return "Promoted" if planned else "Unchanged"


def pass_by(why: Outdated) -> str:
    """Nothing was done, because nobody wants it any more; the run's tags say so."""
    tag_run(why.state)
    return str(why)


def finish(order: Order, holder: Holder, planned: Sequence[str]) -> str:
    """Give the endpoint up, as the manifest says; and say so."""
    end_quarantine(order)
    live = observe(order.endpoint)
    let_stand(live.facts, holder)
    release_endpoint(holder)
    told = outcome(live, planned)
    _say(order, holder, State.SUCCESS, ended_as(planned), told)
    start_dependents(order)
    return told


def give_up(order: Order, holder: Holder, stopped: RolloutRejected | Superseded | JudgedBad) -> str:
    """Put traffic back and give the endpoint up, because somebody, a newer commit or the judge wants that; and say so."""
    back = roll_back(order.endpoint, holder)
    if isinstance(stopped, RolloutRejected):
        quarantine(order, f"it was rejected: {stopped}.")
    if isinstance(stopped, JudgedBad):
        quarantine(order, f"it was judged bad: {stopped}")
    release_endpoint(holder)
    told = f"{str(stopped).rstrip('.')}. {back}"
    bad = isinstance(stopped, RolloutRejected | JudgedBad)
    _say(order, holder, State.FAILURE if bad else State.ERROR, stopped.state, told)
    # Prefect runs no hook of a run that ends itself as cancelled.
    tell_ending(stopped.state, told)
    return told


def hold_or_roll_back(order: Order, holder: Holder, failed: AmlCanaryError) -> None:
    """Put traffic back where the manifest wants that of a failure, or where the lock was lost and nobody has it.

    The endpoint is kept, unless it was lost: a failed stage can be retried, and until then no other rollout touches it. Raises Prefect's
    Abort, which leaves the run's state alone, where somebody has ended this run meanwhile.
    """
    # Whoever took the lock sees to what is live. Where nobody did, as after an abort, nobody would.
    lost = isinstance(failed, EndpointBusy)
    if is_free(order.endpoint) if lost else order.manifest.rollout.on_failure == "rollback":
        roll_back(order.endpoint, holder)
    if lost and prefect_db.run_state(holder.run).given_up:
        get_run_logger().warning("%s", failed)
        raise Abort("somebody has ended this run, and its state says so")
    judged_bad = isinstance(failed, SmokeFailed)
    if judged_bad:
        quarantine(order, f"it was judged bad: {failed}")
    show_ending(holder, "Failed", str(failed))
    tell(order.repository, order.commit, order.endpoint, State.FAILURE if judged_bad else State.ERROR, str(failed).splitlines()[0])
    audit_if_possible("failed", type(failed).__name__, after={"told": str(failed)})


def _say(order: Order, holder: Holder, state: State, word: str, told: str) -> None:
    """The end of this run: its report, its commit's status, its audit log."""
    show_ending(holder, word, told)
    tell(order.repository, order.commit, order.endpoint, state, told)
    audit_end(order.endpoint, word, told)
