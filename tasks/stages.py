"""The stages: what each step of a plan does to Azure. Every one of them may be done twice and has then been done once.

May import prefect, `aml_canary.domain`, `aml_canary.gateways` and the other tasks.
"""

from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.logging import get_run_logger

from aml_canary.domain.observed import Facts, Observed, nonzero, traffic_text
from aml_canary.domain.order import Left, Order
from aml_canary.domain.report import SmokeAnswer, shift_text
from aml_canary.domain.smoke import problem_with
from aml_canary.domain.steps import (
    CreateDeployment,
    CreateEndpoint,
    DeleteDeployment,
    DeleteEndpoint,
    Scale,
    ShiftTraffic,
    SmokeInvoke,
    label,
)
from aml_canary.errors import SmokeFailed
from aml_canary.gateways import azureml, prefect_db
from aml_canary.gateways.git import checked_out, mirror_of, shown_address
from aml_canary.gateways.prefect_db import Holder
from aml_canary.gateways.scoring import score
from tasks.auditing import audit, audit_if_possible
from tasks.evidence import keep_rules, keep_smoke
from tasks.holding import insist_on_holding
from tasks.progress import waits_shown
from tasks.retry import retried


def _by_step(parameters: dict[str, Any]) -> str:
    return label(parameters["step"])


@retried(_by_step)
def create_endpoint(step: CreateEndpoint, order: Order, left: Left, holder: Holder) -> None:
    """Create the endpoint, without traffic."""
    insist_on_holding(holder)
    facts = Facts(repository=shown_address(order.repository), commit=order.commit, manifest=order.manifest.path)
    with waits_shown(order.endpoint, step):
        azureml.create_endpoint(left.wanted.stage.endpoint, facts)


@retried(_by_step)
def create_deployment(step: CreateDeployment, order: Order, left: Left, holder: Holder) -> None:
    """Create a deployment at weight 0 from the files at the commit."""
    insist_on_holding(holder)
    with _files(order) as root, waits_shown(order.endpoint, step):
        wanted = left.wanted.stage.deployments[step.name]
        azureml.create_deployment(order.endpoint, wanted, left.wanted.fingerprints[step.name], order.commit, root)


@retried(_by_step)
def scale(step: Scale, order: Order, left: Left, holder: Holder) -> None:
    """Give a deployment the manifest's number of instances."""
    insist_on_holding(holder)
    with _files(order) as root, waits_shown(order.endpoint, step):
        wanted = left.wanted.stage.deployments[step.name]
        azureml.scale_deployment(order.endpoint, wanted, left.wanted.fingerprints[step.name], order.commit, root)


@retried(_by_step)
def smoke_invoke(step: SmokeInvoke, order: Order, left: Left) -> None:
    """Send every smoke request straight to the deployment. Raises SmokeFailed with the first wrong answer."""
    live = azureml.observe(order.endpoint)
    access = azureml.scoring_access(order.endpoint)
    timeout = left.wanted.stage.deployments[step.name].request_settings.request_timeout_ms / 1000
    answers = []
    for request in order.manifest.rollout.smoke.requests:
        # The service gives up first, and says so; this limit is for a service that does not answer at all.
        got = score(live.scoring_uri, access, order.bodies[request.file], deployment=step.name, timeout_seconds=timeout + 30)
        problem = problem_with(
            request.expect,
            status=got.status,
            answered_by=got.deployment,
            asked=step.name,
            body=got.body,
            milliseconds=got.milliseconds,
        )
        answers.append(SmokeAnswer(request.name, got.status, got.milliseconds, got.body[:2000], problem))
    wrong = [answer for answer in answers if answer.problem]
    audit("smoke answers", label(step), after={"asked": len(answers), "wrong": len(wrong)}, evidence=[asdict(answer) for answer in answers])
    if wrong:
        raise SmokeFailed(
            f"{step.name} failed {len(wrong)} of {len(answers)} smoke requests and got no live traffic: "
            f"{wrong[0].request}: {wrong[0].problem}. Live traffic is unchanged."
        )
    keep_smoke(live.deployments[step.name], answers)


@retried(_by_step)
def shift_traffic(step: ShiftTraffic, order: Order, left: Left, holder: Holder) -> None:
    """Set the weights, and the facts of this rollout with them."""
    insist_on_holding(holder)
    facts = Facts(
        repository=shown_address(order.repository),
        commit=order.commit,
        manifest=order.manifest.path,
        run=holder.run,
        step=label(step),
        since=now(),
        stable=_stable(left.live, holder),
        traffic=step.weights,
        rollbacks=left.live.facts.rollbacks,
    )
    # First, so that whoever finds this traffic finds out how to judge it.
    keep_rules(facts.since, order.manifest.rollout.judge)
    with waits_shown(order.endpoint, step):
        azureml.shift_traffic(left.live, step.weights, step.mirror, facts, left.wanted.stage.endpoint.tags)
    get_run_logger().info("Live traffic of %s is now as in %s", order.endpoint, shift_text(step))


@retried(_by_step)
def delete_deployment(step: DeleteDeployment, order: Order, left: Left, holder: Holder) -> None:
    """Delete a deployment that carries no traffic. Where traffic would come back to it, what is live now is to stay: there is no way back."""
    insist_on_holding(holder)
    if step.name in nonzero(left.live.facts.stable):
        let_stand.fn(left.live.facts, holder)
    with waits_shown(order.endpoint, step):
        azureml.delete_deployment(order.endpoint, step.name)


@retried(_by_step)
def delete_endpoint(step: DeleteEndpoint, endpoint: str, holder: Holder) -> None:
    """Delete the endpoint and everything in it."""
    insist_on_holding(holder)
    with waits_shown(endpoint, step):
        azureml.delete_endpoint(endpoint)


@retried("let-stand")
def let_stand(facts: Facts, holder: Holder) -> None:
    """What this rollout wrote last is to stay; or a run that it took over from, which died after its last write."""
    if facts.run in holder.runs:
        prefect_db.let_stand(facts.run, facts.since)


@retried(lambda parameters: f"roll-back-{parameters['endpoint']}")
def roll_back(endpoint: str, holder: Holder) -> str:
    """Put all live traffic back where it was before the rollout's first shift, and say in one sentence what was done."""
    back = None if _is_to_stay(endpoint, holder) else azureml.put_traffic_back(endpoint, holder.runs, now())
    # Afterwards, because nothing may be in the way of going back; why it goes back was written down before.
    audit_if_possible("put back", endpoint, run=holder.run, after=None if back is None else {"traffic": dict(back.traffic)})
    if back is None:
        return _left_alone(azureml.glance(endpoint), holder)
    return f"Live traffic was put back to {traffic_text(back.traffic)}."


def _left_alone(live: Observed, holder: Holder) -> str:
    if live.facts.run in holder.runs and live.facts.stable and not live.on_stable and not live.as_written:
        return f"Live traffic is {traffic_text(live.traffic)}, as somebody else set it, and was left alone."
    return "Live traffic was as before the rollout and was left alone."


def _is_to_stay(endpoint: str, holder: Holder) -> bool:
    """Whether the rollout was done with what is live: somebody retried it since, and it has shifted nothing again."""
    facts = azureml.glance(endpoint).facts
    try:
        return facts.run in holder.runs and prefect_db.stands(facts.run, facts.since)
    except Exception as error:
        # Going back waits for nobody.
        get_run_logger().warning("Whether a rollout was done with what is live could not be found out: %s", error)
        return False


def now() -> str:
    """The time as tags and logs carry it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _stable(live: Observed, holder: Holder) -> dict[str, int]:
    """Where to come back to: what was live before this rollout's first shift."""
    facts, ours = live.facts, (holder.run, *holder.predecessors)
    begun = facts.run in ours and bool(facts.stable) and not prefect_db.stands(facts.run, facts.since)
    return dict(facts.stable if begun else live.traffic)


def _files(order: Order) -> AbstractContextManager[Path]:
    return checked_out(mirror_of(order.repository), order.commit)
