"""One rollout per endpoint: taking it, waiting for it, giving it up.

May import prefect, `aml_canary.domain`, `aml_canary.gateways` and the other tasks. `take_endpoint` may suspend, so it is called from a flow.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn
from uuid import uuid4

from prefect.exceptions import Abort
from prefect.flow_runs import suspend_flow_run
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.following import PROMOTED
from aml_canary.domain.order import Order
from aml_canary.errors import EndpointBusy, Outdated, Superseded, Transient
from aml_canary.gateways import azureml, prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from aml_canary.gateways.prefect_history import ORDER_TAG
from aml_canary.settings import settings
from tasks.auditing import audit_if_possible
from tasks.holding import insist_on_being_the_one
from tasks.notifying import tell_end_of
from tasks.retry import retried
from tasks.showing import show_ending
from tasks.stages import roll_back

_LONGEST_QUEUE_SECONDS = 14 * 24 * 3600
# Kept with a run, for as long as it holds its endpoint: there was room for it, and it was still wanted.
_BEGUN = "begun-"


def holder_of(order: Order) -> Holder:
    """This flow run, as the holder of the order's endpoint. Gives the run its name and tag on the way."""
    tags = (f"endpoint:{order.endpoint}", f"{ORDER_TAG}{order.digest}", f"workspace:{settings().workspace}")
    prefect_db.name_run(str(flow_run.id), f"{order.endpoint}@{order.commit[:7]}", *tags)
    return Holder(order.endpoint, str(flow_run.id), order.commit, order.manifest.path, order.repository, token=uuid4().hex[:12])


def holder_for_teardown(endpoint: str) -> Holder:
    """This flow run, as the holder of an endpoint that it is to delete."""
    prefect_db.name_run(str(flow_run.id), f"{endpoint}-teardown", f"endpoint:{endpoint}")
    return Holder(endpoint, str(flow_run.id), "", "teardown", token=uuid4().hex[:12])


def take_endpoint(wanted: Holder, on_busy: str, outdated: Callable[[], str] = str) -> Holder:
    """Hold the endpoint for this run.

    A rollout that is alive keeps it: `on_busy` "reject" raises EndpointBusy, "queue" suspends this run until the endpoint is free, "supersede"
    has a rollout of another commit give way first. From a rollout that is not alive it is taken: of the same commit to go on where it was,
    of another after its traffic was put back.

    `outdated` says why nobody wants this run any more, or nothing. It is asked when it is known whose place would be taken, so that an
    older order never takes a newer one's; and again once the endpoint is held, because a newer one may have come and gone meanwhile.
    Raises Outdated, and then nothing is held; or Prefect's Abort where this run was ended meanwhile.
    """
    held, begun = None, False
    while held is None:
        other = seen(wanted)
        begun = other is not None and other.run == wanted.run and prefect_db.kept(wanted.run, _BEGUN + other.term) is not None
        if not begun and (why := outdated()):
            _stand_back(other, wanted, why)
        held = _take(wanted, other, on_busy)
    _insist_on_not_being_ended(held)
    prefect_db.mark_waiting(wanted.run, wanted.endpoint, waiting=False)
    if not begun:
        _make_room(held)
        if why := outdated():
            _stand_back(held, wanted, why)
        prefect_db.keep(wanted.run, _BEGUN + held.term, True)
    return held


def _stand_back(holder: Holder | None, wanted: Holder, why: str) -> NoReturn:
    prefect_db.mark_waiting(wanted.run, wanted.endpoint, waiting=False)
    if holder is not None and holder.run == wanted.run:
        # Nobody goes on with what others of this commit began.
        _make_room(replace(holder, predecessors=(), displaced=holder.predecessors + holder.displaced))
        release_endpoint(holder)
    raise Outdated(why)


def _insist_on_not_being_ended(held: Holder) -> None:
    """Raises Prefect's Abort where somebody has ended this very run while its process was about to take the endpoint.

    Whoever ends a run frees the endpoint afterwards: what was taken before is gone then, and what is taken after is found here. It stays with
    the ended run, as that of any other: the guard frees it, or the next rollout takes it over, and either puts back what is to be put back.
    """
    if not prefect_db.run_state(held.run).alive:
        raise Abort("this flow run was ended while it took its endpoint")


def _take(wanted: Holder, other: Holder | None, on_busy: str) -> Holder | None:
    """Take the endpoint from `other`, or free; None where it changed hands meanwhile, so that all has to be looked at again."""
    if other is None or other.run == wanted.run:
        held = try_lock(wanted)
        return held if held.run == wanted.run else None
    if prefect_db.run_state(other.run).alive:
        yields = on_busy == "supersede" and other.commit not in ("", wanted.commit)
        if not (yields and supersede(other, wanted)):
            _wait_or_refuse(wanted, other, on_busy)
            return None
    if (other.commit, other.manifest) == (wanted.commit, wanted.manifest):
        wanted = replace(wanted, predecessors=tuple(sorted(other.runs - {wanted.run} - set(other.displaced))), displaced=other.displaced)
    else:
        wanted = replace(wanted, displaced=tuple(sorted(other.runs - {wanted.run})))
    held = hand_over(other, wanted)
    return held if held.run == wanted.run else None


def _wait_or_refuse(wanted: Holder, other: Holder, on_busy: str) -> None:
    """Returns where the other has given the endpoint up meanwhile."""
    if on_busy == "reject":
        state = prefect_db.run_state(other.run)
        raise EndpointBusy(
            f"Endpoint {wanted.endpoint} is held by flow run {other.run} ({state.name}, commit {other.commit[:12]}). "
            "Retry when it has ended, or cancel it first; rollout.on_new_commit: queue waits instead."
        )
    # From now on whoever gives the endpoint up wakes this run; who did it before the mark was seen is noticed here.
    prefect_db.mark_waiting(wanted.run, wanted.endpoint, waiting=True)
    now = seen(wanted)
    if now is None or now.run != other.run:
        return
    get_run_logger().info("Waiting until flow run %s gives up endpoint %s.", other.run, wanted.endpoint)
    # In the moment before the suspension it may still be given up; then the guard wakes this run.
    suspend_flow_run(key=f"queue-{uuid4().hex[:6]}", timeout=_LONGEST_QUEUE_SECONDS)


def _make_room(held: Holder) -> None:
    """Whoever had the endpoint before is at an end, and what another commit's rollout shifted is put back."""
    wait_for_end(held.predecessors + held.displaced)
    if unfinished := left_behind(held):
        others = replace(held, run=unfinished[0], predecessors=unfinished[1:], displaced=())
        get_run_logger().info(
            "Taking over from flow run %s, which is not alive. %s", ", ".join(unfinished), roll_back(held.endpoint, others)
        )
        for run in unfinished:
            audit_if_possible("ended", "taken over", run=run, after={"by": held.run, "commit": held.commit})


@retried("look-until-ended")
def wait_for_end(runs: Sequence[str]) -> None:
    """Wait until none of the runs is at work: one of which somebody pressed Retry at this very moment stops before its next step."""
    for run in runs:
        if prefect_db.run_state(run).type in ("RUNNING", "CANCELLING"):
            raise Transient(f"Flow run {run} was retried while its endpoint was taken over. It stops before its next step.")


@retried("look-for-unfinished")
def left_behind(held: Holder) -> tuple[str, ...]:
    """The runs whose work is to be put back: those whose place was taken, and who wrote to the endpoint last and lost its lock.

    None whose last write is to stay: one may have been at that when its endpoint was taken, and may have been retried since.
    And none that gave the endpoint up with its traffic back, as who is rejected does.
    """
    facts = azureml.glance(held.endpoint).facts
    displaced = tuple(run for run in held.displaced if prefect_db.run_state(run).name not in PROMOTED)
    if facts.run and prefect_db.stands(facts.run, facts.since):
        return tuple(run for run in displaced if run != facts.run)
    if not facts.run or facts.run in held.runs:
        return displaced
    state = prefect_db.run_state(facts.run).type
    if state in ("RUNNING", "CANCELLING"):
        raise Transient(
            f"Flow run {facts.run} wrote to {held.endpoint} last, holds it no more, and has not ended yet. It ends by itself; "
            "where its process is dead, change its state to Crashed."
        )
    # Looked at anew: until it ended, it may have written.
    if state == "GONE" or azureml.observe(held.endpoint).on_stable:
        return displaced
    return (*displaced, facts.run)


def give_way(holder: Holder) -> None:
    """Go on only while the endpoint is ours. Asked before each step, because a step is not interrupted.

    Raises Superseded where a newer commit wants this rollout's place, and what `insist_on_being_the_one` raises.
    """
    insist_on_being_the_one(holder)
    commit = prefect_history.asked_to_give_way(holder.run)
    if commit:
        raise Superseded(f"Commit {commit[:12]} takes its place")


@retried("supersede")
def supersede(other: Holder, by: Holder) -> bool:
    """Have another commit's rollout give way: at once where it waits for an answer, before its next step where it is at work.

    Whether it is at an end.
    """
    if not prefect_db.run_state(other.run).alive:
        return True
    ended = prefect_history.ask_to_give_way(other.run, by.commit)
    if ended:
        tell_end_of(other.run)
        show_ending(other, Superseded.state, f"Commit {by.commit[:12]} takes its place.")
    return ended


@retried("look-at-endpoint-lock")
def seen(wanted: Holder) -> Holder | None:
    """Who holds the endpoint now."""
    return prefect_db.held_by(wanted.endpoint)


@retried("look-whether-free")
def is_free(endpoint: str) -> bool:
    """Whether nobody holds the endpoint."""
    return prefect_db.held_by(endpoint) is None


@retried("take-endpoint")
def try_lock(wanted: Holder) -> Holder:
    """Take the endpoint if it is free. Who holds it then."""
    return prefect_db.take_lock(wanted)


@retried("hand-over-endpoint")
def hand_over(dead: Holder, wanted: Holder) -> Holder:
    """Take the endpoint from a run that is not alive. Who holds it then."""
    return prefect_db.hand_over(dead, wanted)


@retried("release-endpoint")
def release_endpoint(holder: Holder) -> None:
    """Give the endpoint up and wake whoever waits for it."""
    prefect_db.release_lock(holder)
