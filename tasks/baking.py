"""A bake: live traffic stays as it is and the canary is judged each minute, until there is a verdict or the manifest's time is up.

Nothing of it lives in this process: killed and retried, it judges the same minutes again. `bake` may suspend, so it is called from a flow.
May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways` and the other tasks.
"""

import time
from dataclasses import asdict

from prefect.logging import get_run_logger

from aml_canary.domain.judge.verdict import Verdict
from aml_canary.domain.observed import nonzero
from aml_canary.domain.order import Left, Order
from aml_canary.domain.progress import bake_told
from aml_canary.domain.steps import Bake, label
from aml_canary.domain.verdict_text import sentence_of, verdict_line
from aml_canary.errors import ForeignChange, JudgedBad, Permanent, Transient
from aml_canary.gateways import azureml
from aml_canary.gateways.prefect_db import Holder
from tasks.ask import ask_without_verdict
from tasks.auditing import audit
from tasks.evidence import keep_baked, keep_undecided, undecided
from tasks.judging import Watch, judged, minutes_of, watch_of, whole_minutes
from tasks.lock import give_way
from tasks.progress import Progress
from tasks.replaying import Replay
from tasks.retry import retried
from tasks.showing import show_verdict

_LOOKS_EVERY_SECONDS = 5.0
# How long metrics may stay away before that is the verdict, over the manifest's longest time.
_PATIENCE_SECONDS = 600.0


def bake(step: Bake, order: Order, left: Left, holder: Holder) -> None:
    """Judge the canary, and do with what is inconclusive as the manifest says.

    Raises JudgedBad where it is worse than stable, RolloutRejected where a person says no to going on without a verdict, Permanent where
    the manifest holds then.
    """
    facts, rules = left.live.facts, order.manifest.rollout.judge
    verdict = undecided(facts)
    if verdict is None:
        verdict = watch(step, order, watch_of(order.endpoint, step, facts, rules), holder)
        show_verdict(order.endpoint, step, left.live, verdict)
        audit("verdict", label(step), who="judge", after={"word": verdict.word, "reason": verdict.reason}, evidence=asdict(verdict))
        if verdict.word == "fail":
            raise JudgedBad(f"{step.canary} is worse: {sentence_of(verdict)}")
        if verdict.word != "pass":
            _without_verdict(step, verdict, rules.on_inconclusive)
    if verdict.word != "pass" and rules.on_inconclusive == "ask":
        keep_undecided(facts, verdict)
        ask_without_verdict(step, order, left, holder)
    keep_baked(facts, verdict)


def _without_verdict(step: Bake, verdict: Verdict, policy: str) -> None:
    """Raise where the manifest does not go on without a verdict, whoever is asked."""
    if policy == "rollback":
        raise JudgedBad(f"{label(step)} ended without a verdict after {verdict.minutes} minutes: {sentence_of(verdict)}")
    if policy == "hold":
        raise Permanent(
            f"{label(step)} ended without a verdict and holds, as rollout.judge.on_inconclusive says: {sentence_of(verdict)} "
            "Live traffic is unchanged. Retry judges again."
        )


@retried(lambda parameters: label(parameters["step"]))
def watch(step: Bake, order: Order, over: Watch, holder: Holder) -> Verdict:
    """Judge each new whole minute until the verdict is fail, or pass after `least_minutes`, or `longest_minutes` are over.

    Raises Superseded or EndpointBusy where the endpoint is not this rollout's any more, ForeignChange where somebody moved traffic.
    """
    rules, log, replay, progress = over.rules, get_run_logger(), Replay(order, over), Progress(order.endpoint, label(step))
    seen, verdict = 0, Verdict("inconclusive", "No metrics have come yet.")
    gives_up = time.monotonic() + rules.longest_minutes * 60 + _PATIENCE_SECONDS
    while seen < rules.longest_minutes and time.monotonic() < gives_up:
        give_way(holder)
        replay.maybe()
        if (minutes := whole_minutes(over)) > seen:
            _insist_on_traffic(step, over.endpoint)
            try:
                verdict = replay.added_to(judged(over, replay.corrected(minutes_of(over))))
            except Transient as error:
                log.warning("The metrics cannot be read now: %s", error)
            else:
                seen = minutes
                told = bake_told(minutes, rules.least_minutes, rules.longest_minutes)
                log.info("%s. %s", told, verdict_line(step, verdict))
                progress.show(100 * minutes / rules.longest_minutes, f"{label(step)}: {told}")
                if verdict.word == "fail" or (verdict.word == "pass" and minutes >= rules.least_minutes):
                    return verdict
        if seen < rules.longest_minutes:
            time.sleep(_LOOKS_EVERY_SECONDS)
    return verdict


def _insist_on_traffic(step: Bake, endpoint: str) -> None:
    live = azureml.glance(endpoint)
    if dict(live.traffic) != nonzero(step.weights):
        raise ForeignChange(
            f"{label(step)} was stopped: somebody else changed the live traffic of {endpoint}. Nothing was written. Retry plans again."
        )
