"""Where a rollout begins that was started by hand with `start_from`: checked before anything is touched, the endpoint's lock included.

May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways` and the other tasks.
"""

from dataclasses import replace

from prefect.logging import get_run_logger

from aml_canary.domain.following import taken_over
from aml_canary.domain.order import Order, what_is_left
from aml_canary.domain.starting import refusal
from aml_canary.errors import EndpointBusy, Permanent
from aml_canary.gateways import azureml, prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from tasks.evidence import watched
from tasks.retry import retried

_KEPT = "start-from"


def insist_on_start(start_from: str, order: Order, wanted: Holder) -> None:
    """Nothing, where the rollout begins at the step or in the stage of this name, or was let begin before in this very run.

    Raises EndpointBusy where another rollout is alive there, and Permanent where another step comes first.
    """
    if start_from:
        check_start(start_from, order, wanted)


@retried("compare-with-start-from")
def check_start(start_from: str, order: Order, wanted: Holder) -> None:
    """The same, asked once in a run: later it has gone on, and begins elsewhere each time it is resumed or retried."""
    if prefect_db.kept(wanted.run, _KEPT) is not None:
        return
    held = prefect_db.held_by(order.endpoint)
    if held is not None and held.run != wanted.run and prefect_db.run_state(held.run).alive:
        raise EndpointBusy(f"Nothing was done: flow run {held.run} is at work on {order.endpoint}. Answer it or end it first.")
    # As it will be once the endpoint is taken: of the same commit this run goes on, another one's traffic is put back first.
    same = held is not None and (held.commit, held.manifest) == (wanted.commit, wanted.manifest)
    taking = replace(wanted, predecessors=tuple(sorted(held.runs))) if held is not None and same else wanted
    there = azureml.observe(order.endpoint)
    stands = prefect_db.stands(there.facts.run, there.facts.since)
    live = there if same else taken_over(there, prefect_history.rollouts_of(order.endpoint), stands=stands)
    if why := refusal(start_from, order.endpoint, what_is_left(order, live, watched=watched(live, taking))):
        raise Permanent(f"Nothing was done. {why}")
    get_run_logger().info("The rollout begins at %s, as was asked for; smoke requests are sent again before.", start_from)
    prefect_db.keep(wanted.run, _KEPT, start_from)
