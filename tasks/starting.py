"""Starting what the branch wants: at most one rollout per endpoint and order, however often the branch is looked at.

May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways`, `aml_canary.settings` and the other tasks.
"""

from collections.abc import Sequence

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.dependencies import by_dependency
from aml_canary.domain.following import decide, taken_over
from aml_canary.domain.manifest_reader import discover
from aml_canary.domain.order import Order, what_is_left
from aml_canary.domain.steps import label
from aml_canary.errors import ManifestRefused, Permanent
from aml_canary.gateways import azureml, prefect_db, prefect_history
from aml_canary.gateways.git import GitTree, mirror_of, shown_address
from aml_canary.gateways.prefect_runs import start_rollout, start_sync, start_teardown
from aml_canary.settings import settings
from tasks.drifting import drifted
from tasks.reading import read_order
from tasks.retry import retried

# All is well, and a sentence.
Told = tuple[bool, str]


def read_orders(repository: str, commit: str, manifests: Sequence[str]) -> tuple[list[Order], list[Told]]:
    """The orders of the manifests that can be read, those that others depend on first, and what is wrong with the others."""
    orders: list[Order] = []
    refused: list[Told] = []
    for manifest in manifests:
        try:
            orders.append(read_order(repository, commit, manifest))
        except Permanent as error:
            get_run_logger().error("%s: %s", manifest, error)
            refused.append((False, f"{manifest}: refused. {error}"))
    ordered, problems = by_dependency({order.endpoint: order.manifest.rollout.depends_on for order in orders})
    refused += [(False, problem) for problem in problems]
    known = {order.endpoint: order for order in orders}
    return [known[name] for name in ordered], refused


def start_in_order(orders: Sequence[Order]) -> list[Told]:
    """Start what differs; an endpoint whose dependencies are not as git wants them yet waits for its next turn."""
    told: list[Told] = []
    unsettled: set[str] = set()
    for order in orders:
        waits_for = sorted(unsettled.intersection(order.manifest.rollout.depends_on))
        if waits_for:
            settled, sentence = False, f"{order.endpoint} waits for {', '.join(waits_for)}, which it depends on."
            told.append((True, sentence))
        else:
            settled, fine, sentence = start_if_different(order)
            told.append((fine, sentence))
        get_run_logger().info("%s", sentence)
        if not settled:
            unsettled.add(order.endpoint)
    return told


def start_if_different(order: Order) -> tuple[bool, bool, str]:
    """Start a rollout if the endpoint differs. Returns whether the endpoint is as git wants it, whether all is well, and a sentence.

    One endpoint's trouble holds up no other.
    """
    try:
        return start(order)
    except Permanent as error:
        get_run_logger().error("%s: %s", order.manifest.path, error)
        return False, False, f"{order.manifest.path}: refused. {error}"


@retried(lambda parameters: f"compare-{parameters['order'].endpoint}")
def start(order: Order) -> tuple[bool, bool, str]:
    """Compare, and start the rollout where one is wanted. Waits for nothing, so that one endpoint never holds up another."""
    history = prefect_history.rollouts_of(order.endpoint)
    there = azureml.glance(order.endpoint)
    live = taken_over(there, history, stands=prefect_db.stands(there.facts.run, there.facts.since))
    if live.busy and not any(past.alive for past in history):
        return False, True, f"{order.endpoint}: Azure is at work on it; it is compared the next time."
    left = what_is_left(order, live).plan.steps
    bad = prefect_history.quarantine_of(order.endpoint)
    verdict = decide(
        order.endpoint, order.digest, history, left, bad, order.commit, writer=live.facts.run, unfinished=live.traffic != there.traffic
    )
    if verdict.do == "start":
        run = start_rollout(order, following=True, key=verdict.key)
        first = f", from {label(left[0])} on" if left else ""
        return False, True, f"{order.endpoint}: flow run {run.name} brings it to the commit{first}."
    if verdict.do == "drifted":
        if prefect_history.rollouts_of(order.endpoint) != history:
            return False, True, f"{order.endpoint}: a rollout went on while it was looked at; it is compared the next time."
        return False, True, drifted(order, live, left, verdict.told)
    return verdict.settled, True, verdict.told


@retried("find-removed-manifests")
def prune(repository: str, orders: Sequence[Order], manifests: Sequence[str], readable: bool) -> list[Told]:
    """Ask about every endpoint that a rollout of this repository made and no manifest names any more; nothing is deleted without a yes.

    Where a manifest cannot be read (`readable` False), nobody knows what it names, so nothing is asked.
    """
    named = {order.endpoint for order in orders}
    told: list[Told] = []
    for endpoint, facts in azureml.endpoints_from(shown_address(repository)).items():
        if endpoint in named or not facts.manifest or facts.manifest in manifests:
            continue
        gone = f"{endpoint}: {facts.manifest} is no longer in git"
        if not readable:
            told.append((True, f"{gone}; nobody is asked about it while another manifest cannot be read."))
        elif settings().prune == "report":
            told.append((True, f"{gone}. It is left as it is (AML_CANARY_PRUNE: report)."))
        else:
            run = start_teardown(endpoint, f"{facts.manifest} is no longer in git.", f"prune:{endpoint}:{facts.run or facts.commit}")
            told.append(
                (
                    True,
                    f"{gone}. Flow run {run.name} asks whether to delete it." if not run.ended else f"{gone}. It was asked: {run.ended}.",
                )
            )
    return told


def start_dependents(order: Order) -> None:
    """Look at the branch once more, where another endpoint of the repository waits for this one."""
    try:
        if depended_on(order):
            start_sync(order.repository, f"after:{order.endpoint}:{flow_run.id}")
    except Permanent as error:
        get_run_logger().warning("Endpoints that depend on %s are looked at by the next sync only: %s", order.endpoint, error)


@retried("find-dependents")
def depended_on(order: Order) -> bool:
    """Whether another manifest of the commit names this endpoint as one it depends on."""
    tree = GitTree(mirror_of(order.repository), order.commit)
    for manifest in discover(tree, settings().manifests):
        try:
            other = read_order.fn(order.repository, order.commit, manifest)
        except ManifestRefused:
            continue
        if order.endpoint in other.manifest.rollout.depends_on:
            return True
    return False
