"""Starting rollouts: at most one per endpoint and commit, however often the commit is heard of.

May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways` and the other tasks.
"""

from prefect.logging import get_run_logger

from aml_canary.domain.order import what_is_left
from aml_canary.domain.steps import label
from aml_canary.errors import Permanent
from aml_canary.gateways import azureml
from aml_canary.gateways.prefect_runs import start_rollout
from tasks.reading import read_order
from tasks.retry import retried


def start_if_different(repository: str, commit: str, manifest: str) -> tuple[bool, str]:
    """Start a rollout if the endpoint differs from the manifest. Returns whether all is well, and a sentence.

    One bad manifest is told and holds up no other.
    """
    try:
        told = start(repository, commit, manifest)
    except Permanent as error:
        get_run_logger().error("%s: %s", manifest, error)
        return False, f"{manifest}: refused. {error}"
    get_run_logger().info("%s", told)
    return True, told


@retried(lambda parameters: f"compare-{parameters['manifest']}")
def start(repository: str, commit: str, manifest: str) -> str:
    """Compare, and start the rollout where something is left to do."""
    order = read_order.fn(repository, commit, manifest)
    steps = what_is_left(order, azureml.observe(order.endpoint)).plan.steps
    if not steps:
        return f"{manifest}: {order.endpoint} is as the manifest says."
    run = start_rollout(repository, commit, manifest, order.endpoint, idempotency_key=f"{order.endpoint}:{commit}:{manifest}")
    if run.ended:
        return (
            f"{manifest}: {order.endpoint} differs from the commit, but the commit had its rollout: flow run {run.name} ended as {run.ended}. "
            "Retry that run, or push a commit."
        )
    return f"{manifest}: flow run {run.name} brings {order.endpoint} to the commit, from {label(steps[0])} on."
