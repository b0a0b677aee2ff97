"""What a rollout has found out, kept with its flow run, for exactly what it was found out about.

Smoke answers are for one deployment, and for this run: a new run asks again. Verdicts are for one traffic step, known by the time that the
endpoint's facts tell; a run that takes over finds them with its predecessors. May import prefect's runtime, `aml_canary.domain` and the
Prefect gateway.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prefect.runtime import flow_run

from aml_canary.domain.baking import Watched, bake_after
from aml_canary.domain.judge.verdict import Finding, Verdict
from aml_canary.domain.manifest import Judge
from aml_canary.domain.observed import Facts, Observed, ObservedDeployment
from aml_canary.domain.report import SmokeAnswer
from aml_canary.domain.steps import Bake
from aml_canary.gateways import prefect_db
from aml_canary.gateways.prefect_db import Holder


def keep_smoke(deployment: ObservedDeployment, answers: list[SmokeAnswer]) -> None:
    """Keep right answers of a deployment."""
    prefect_db.keep(str(flow_run.id), _smoke_key(deployment), [asdict(answer) for answer in answers])


def smoke_answers(live: Observed) -> dict[str, list[SmokeAnswer]]:
    """The answers kept in this run, by deployment, of those that are still the ones that gave them."""
    kept = {name: prefect_db.kept(str(flow_run.id), _smoke_key(there)) for name, there in live.deployments.items()}
    return {name: [SmokeAnswer(**answer) for answer in answers] for name, answers in kept.items() if answers is not None}


def smoked(live: Observed) -> frozenset[str]:
    """The deployments that answered rightly in this run."""
    return frozenset(smoke_answers(live))


def keep_rules(since: str, rules: Judge) -> None:
    """Keep by which rules the traffic step of that time is judged, so that the guard can, without git."""
    prefect_db.keep(str(flow_run.id), _key("rules", since), rules.model_dump(mode="json"))


def rules_of(holder: Holder, facts: Facts) -> Judge | None:
    """The rules for the traffic step that the facts tell of; None where there are none, or nothing is to be judged."""
    kept = _of_any(holder, _key("rules", facts.since))
    rules = None if kept is None else Judge.model_validate(kept)
    return rules if rules is not None and rules.enabled else None


def keep_baked(facts: Facts, verdict: Verdict) -> None:
    """Keep the verdict that ended the bake of a traffic step."""
    prefect_db.keep(str(flow_run.id), _key("baked", facts.since), asdict(verdict))


def keep_undecided(facts: Facts, verdict: Verdict) -> None:
    """Keep that the bake of a traffic step came to no verdict; a Retry judges again."""
    prefect_db.keep(str(flow_run.id), _undecided_key(facts), asdict(verdict))


def undecided(facts: Facts) -> Verdict | None:
    """The verdict with which the bake ended undecided in this attempt of the run."""
    return _verdict(prefect_db.kept(str(flow_run.id), _undecided_key(facts)))


def last_verdict(live: Observed, holder: Holder) -> tuple[Bake, Verdict] | None:
    """The bake of the traffic step that is live, and the verdict it ended with; None where there is none."""
    bake = bake_after(live.facts, live)
    verdict = None if bake is None else _verdict(_of_any(holder, _key("baked", live.facts.since))) or undecided(live.facts)
    return None if bake is None or verdict is None else (bake, verdict)


def keep_rested(facts: Facts) -> None:
    """Keep that what lost its traffic in this step has been kept long enough."""
    prefect_db.keep(str(flow_run.id), _key("rested", facts.since), True)


def watched(live: Observed, holder: Holder) -> Watched:
    """What of the waiting is over. A bake is owed for a traffic step of this rollout that no verdict has ended."""
    facts = live.facts
    if facts.run not in holder.runs:
        return Watched(rested=bool(_of_any(holder, _key("rested", facts.since))))
    bake = bake_after(facts, live)
    owed = bake is not None and rules_of(holder, facts) is not None and _of_any(holder, _key("baked", facts.since)) is None
    return Watched(bake if owed else None, rested=bool(_of_any(holder, _key("rested", facts.since))))


def _of_any(holder: Holder, key: str) -> Any:
    return next((kept for run in (holder.run, *holder.predecessors) if (kept := prefect_db.kept(run, key)) is not None), None)


def _verdict(kept: Mapping[str, Any] | None) -> Verdict | None:
    if kept is None:
        return None
    return Verdict(**{**kept, "findings": tuple(Finding(**finding) for finding in kept["findings"])})


def _key(what: str, since: str) -> str:
    """Prefect takes lower-case letters, digits and dashes only."""
    return f"{what}-{re.sub('[^a-z0-9]+', '-', since.lower())}"


def _smoke_key(deployment: ObservedDeployment) -> str:
    return f"smoke-{deployment.name}-{hashlib.sha256(deployment.identity.encode()).hexdigest()[:12]}"


def _undecided_key(facts: Facts) -> str:
    # One more with each Retry, the same through every resume.
    return f"{_key('undecided', facts.since)}-{flow_run.run_count}"
