"""What a rollout has done so far, kept with its flow run: for the picture of it and for its report, never for deciding anything.

May import prefect's runtime, `aml_canary.domain`, the Prefect gateway and `tasks.evidence`.
"""

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from prefect.runtime import flow_run

from aml_canary.domain.observed import Observed
from aml_canary.domain.order import Left
from aml_canary.domain.report import SmokeAnswer
from aml_canary.domain.simulate import after
from aml_canary.domain.steps import Bake, Step, label
from aml_canary.domain.timeline import Done
from aml_canary.domain.verdict_text import verdict_line
from aml_canary.gateways import prefect_db
from aml_canary.gateways.prefect_db import Holder
from tasks.evidence import last_verdict


def keep_begun(live: Observed) -> None:
    """Keep what was live before this run did anything, and of which commit."""
    value = {"at": _now(), "traffic": dict(live.traffic), "commit": live.facts.commit}
    prefect_db.keep(str(flow_run.id), "before", value)


def keep_done(step: Step, left: Left, holder: Holder) -> Observed:
    """Keep that the step was carried out. The endpoint as it is then."""
    judged = last_verdict(left.live, holder) if isinstance(step, Bake) else None
    note, told = (judged[1].word, verdict_line(*judged)) if judged is not None else ("", "")
    now = after(step, left.live, left.wanted)
    _keep(Done(label(step), _now(), now.traffic, note, told))
    return now


def keep_failed(step: Step, live: Observed, why: str) -> None:
    """Keep that the step ended the rollout."""
    _keep(Done(label(step), _now(), live.traffic, "fail", f"{label(step)}: fail, {why}"))


def done_so_far(holder: Holder, live: Observed) -> tuple[Done, ...]:
    """Everything a rollout did, in order, from what was live before it.

    A traffic step whose process died before it could be kept is known from the endpoint's facts.
    """
    runs, facts = _runs(holder), live.facts
    done = [Done(**one) for run in runs for one in prefect_db.all_kept(run, "done-")]
    if facts.run in runs and facts.step and all(one.step != facts.step for one in done):
        done.append(Done(facts.step, facts.since, facts.traffic))
    before = _before(holder)
    first = [Done("before", before["at"], before["traffic"])] if before else []
    return (*first, *sorted(done, key=lambda one: one.at))


def commit_before(holder: Holder) -> str:
    """The commit that was live before the rollout; empty where that is not known."""
    return str(_before(holder).get("commit", ""))


def smoke_of(holder: Holder) -> tuple[SmokeAnswer, ...]:
    """Every right answer to a smoke request that the rollout kept."""
    return tuple(SmokeAnswer(**answer) for run in _runs(holder) for answers in prefect_db.all_kept(run, "smoke-") for answer in answers)


def _before(holder: Holder) -> dict[str, Any]:
    """What was live before the first of the rollout's runs."""
    found = [kept for run in _runs(holder) if (kept := prefect_db.kept(run, "before")) is not None]
    return min(found, key=lambda one: one["at"], default={})


def _runs(holder: Holder) -> tuple[str, ...]:
    return (holder.run, *holder.predecessors)


def _keep(done: Done) -> None:
    words = re.sub("[^a-z0-9]+", "-", f"{done.step}-{done.at}".lower()).strip("-")
    prefect_db.keep(str(flow_run.id), f"done-{words}", asdict(done))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
