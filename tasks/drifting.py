"""When somebody changed what a rollout had promoted: say so, and put promoted traffic back where the manifest wants that and it is safe.

May import prefect, `aml_canary.domain`, `aml_canary.gateways` and the other tasks.
"""

from collections.abc import Sequence
from dataclasses import replace

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.following import safer_traffic
from aml_canary.domain.observed import Observed, traffic_text
from aml_canary.domain.order import Order
from aml_canary.domain.report import drift_report
from aml_canary.domain.steps import Step
from aml_canary.gateways import azureml, prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from tasks.stages import now
from tasks.telling import State, tell


def drifted(order: Order, live: Observed, left: Sequence[Step], told: str) -> str:
    """Report the drift, once for each thing that differs; heal it where the manifest says so and it makes traffic safer; the sentence to tell."""
    report = drift_report(order.endpoint, told, live, left)
    key = f"drift-{order.endpoint}"
    if prefect_history.latest_artifact(key) != report:
        create_markdown_artifact(report, key=key, description=told)
        tell(order.repository, order.commit, order.endpoint, State.FAILURE, told)
    get_run_logger().warning("%s", told)
    safer = safer_traffic(order, live) if order.manifest.rollout.drift == "heal" else None
    return f"{told} {_put_back(order, live, safer)}" if safer else f"{told} It is left as it is; see artifact {key}."


def _put_back(order: Order, live: Observed, weights: dict[str, int]) -> str:
    """One PUT, while no rollout holds the endpoint."""
    holder = Holder(order.endpoint, str(flow_run.id), order.commit, order.manifest.path)
    if prefect_db.take_lock(holder).run != holder.run:
        return "A rollout has just taken the endpoint, so nothing was put back."
    try:
        facts = replace(live.facts, step="healed", since=now(), traffic=weights)
        # It is the same that was to stay before.
        prefect_db.let_stand(facts.run, facts.since)
        azureml.shift_traffic(live, weights, dict(live.mirror_traffic), facts, {})
    finally:
        prefect_db.release_lock(holder)
    return f"Live traffic was put back to {traffic_text(weights)}."
