"""Smoke results, kept with the flow run that got them, for exactly the deployments they were got from.

A new run asks again; a Retry or a resume of the same run does not. May import prefect's runtime, `aml_canary.domain` and the Prefect gateway.
"""

import hashlib
from dataclasses import asdict

from prefect.runtime import flow_run

from aml_canary.domain.observed import Observed, ObservedDeployment
from aml_canary.domain.report import SmokeAnswer
from aml_canary.gateways import prefect_db


def keep_smoke(deployment: ObservedDeployment, answers: list[SmokeAnswer]) -> None:
    """Keep right answers of a deployment."""
    prefect_db.keep(str(flow_run.id), _key(deployment), [asdict(answer) for answer in answers])


def smoke_answers(live: Observed) -> dict[str, list[SmokeAnswer]]:
    """The answers kept in this run, by deployment, of those that are still the ones that gave them."""
    kept = {name: prefect_db.kept(str(flow_run.id), _key(there)) for name, there in live.deployments.items()}
    return {name: [SmokeAnswer(**answer) for answer in answers] for name, answers in kept.items() if answers is not None}


def smoked(live: Observed) -> frozenset[str]:
    """The deployments that answered rightly in this run."""
    return frozenset(smoke_answers(live))


def _key(deployment: ObservedDeployment) -> str:
    return f"smoke-{deployment.name}-{hashlib.sha256(deployment.identity.encode()).hexdigest()[:12]}"
