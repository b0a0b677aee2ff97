"""What the guard does for one endpoint: judge where nobody else does, and make safe what was given up.

May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways` and the other tasks.
"""

from dataclasses import asdict
from datetime import UTC, datetime

from prefect.logging import get_run_logger

from aml_canary.domain.baking import bake_after
from aml_canary.domain.following import Quarantined
from aml_canary.domain.steps import label
from aml_canary.errors import AmlCanaryError, JudgedBad
from aml_canary.gateways import azureml, prefect_db, prefect_history, prefect_life
from aml_canary.gateways.prefect_db import Holder, RunState
from tasks.auditing import audit_end, audit_if_possible, audit_stopped
from tasks.evidence import rules_of
from tasks.gate import holds_unanswered
from tasks.judging import judged, watch_of
from tasks.lock import release_endpoint
from tasks.notifying import tell_end_of
from tasks.retry import retried
from tasks.showing import show_ending
from tasks.stages import roll_back
from tasks.telling import State, tell_about

# All is well, and a sentence; empty where there is nothing to say.
Told = tuple[bool, str]


@retried("wake-sleepers")
def wake_sleepers() -> tuple[str, ...]:
    """Resume the rollouts whose freeze or rest is over; their names."""
    return prefect_history.wake(datetime.now(UTC))


@retried("wake-forgotten")
def go_on_without_holder() -> tuple[str, ...]:
    """Resume the rollouts that wait for an endpoint which nobody alive holds; their names."""
    return prefect_db.wake_forgotten()


@retried("find-held-endpoints")
def endpoints_held() -> tuple[Holder, ...]:
    """Every endpoint that a rollout holds."""
    return prefect_db.holders()


def look_after(holder: Holder) -> Told:
    """Make the endpoint safe where its rollout was given up, is dead, or has a bad canary that nobody else watches.

    One endpoint's trouble holds up no other.
    """
    try:
        return _look_after(holder)
    except AmlCanaryError as error:
        get_run_logger().error("%s: %s", holder.endpoint, error)
        return False, f"{holder.endpoint}: {error}"


def _look_after(holder: Holder) -> Told:
    state = _state_of(holder)
    if state.type == "COMPLETED":
        release_endpoint(holder)
        return True, f"{holder.endpoint}: released, its rollout had ended."
    holds = state.unanswered and holds_unanswered(holder.run)
    if state.given_up and not holds:
        word = "Unanswered" if state.unanswered else state.name
        return _free(holder, word, f"flow run {holder.run} is {state.name}. {roll_back(holder.endpoint, holder)}", State.FAILURE)
    if state.type == "RUNNING":
        if not silent(holder):
            return True, ""
        back = roll_back(holder.endpoint, holder)
        prefect_life.died(holder.run)
        return _free(holder, "Crashed", f"flow run {holder.run} showed no sign of life. {back}", State.ERROR)
    if state.type == "CRASHED" and holder.commit:
        crashed = "the rollout crashed and keeps the endpoint: Retry it, or push a commit"
        tell_about(holder.run, holder.repository, holder.commit, holder.endpoint, State.ERROR, crashed)
        audit_stopped("crashed", holder.run, state.message)
    if holds and holder.commit:
        late = "nobody answered in time; live traffic stays as it is, and Retry asks again"
        tell_about(holder.run, holder.repository, holder.commit, holder.endpoint, State.ERROR, late)
        audit_stopped("unanswered", holder.run, late)
    if state.type in ("CRASHED", "FAILED"):
        tell_end_of(holder.run)
    bad = judge_unwatched(holder)
    if not bad:
        return True, ""
    told = f"{bad}. {roll_back(holder.endpoint, holder)}"
    prefect_history.end_run(holder.run, JudgedBad.state, told)
    quarantine_bad(holder, bad)
    return _free(holder, JudgedBad.state, told, State.FAILURE)


def _state_of(holder: Holder) -> RunState:
    state = prefect_db.run_state(holder.run)
    if state.type == "PAUSED" and (commit := prefect_history.asked_to_give_way(holder.run)):
        # Asked in the moment between its last look and its suspension.
        prefect_history.ask_to_give_way(holder.run, commit)
        state = prefect_db.run_state(holder.run)
    return state


@retried(lambda parameters: f"listen-to-{parameters['holder'].endpoint}")
def silent(holder: Holder) -> bool:
    """Whether the process of the rollout is gone, and Prefect does not know."""
    return prefect_life.is_silent(holder.run, datetime.now(UTC))


@retried(lambda parameters: f"judge-{parameters['holder'].endpoint}")
def _judge_unwatched(holder: Holder) -> str:
    """Why the canary that has live traffic is worse than stable; empty where it is not, or there is none.

    A rollout that waits for a person, or for a Retry, judges nothing itself. Traffic that somebody else set is theirs.
    """
    live = azureml.glance(holder.endpoint)
    bake = bake_after(live.facts, live) if live.facts.run in holder.runs else None
    rules = rules_of(holder, live.facts) if bake is not None else None
    if bake is None or rules is None:
        return ""
    verdict = judged(watch_of(holder.endpoint, bake, live.facts, rules))
    get_run_logger().info(
        "%s: %s with %s %% of live traffic: %s. %s", holder.endpoint, bake.canary, bake.share, verdict.word, verdict.reason
    )
    if verdict.word != "fail":
        return ""
    said, about = {"word": verdict.word, "reason": verdict.reason}, f"{label(bake)} since {live.facts.since}"
    # Once: where it cannot go back, it is asked again each minute.
    audit_if_possible("verdict", about, run=holder.run, who="judge, asked by guard", after=said, evidence=asdict(verdict), once=True)
    return f"{bake.canary} is worse: {verdict.reason.rstrip('.')}"


# Tried again by the next guard, a minute later: the other endpoints wait for this one.
judge_unwatched = _judge_unwatched.with_options(retries=0)


@retried("quarantine")
def quarantine_bad(holder: Holder, why: str) -> None:
    """Have no sync apply the rollout's order again until git wants something else, or a person lifts it."""
    if digest := prefect_history.order_of_run(holder.run):
        entry = Quarantined(holder.commit, f"it was judged bad: {why}", holder.run)
        prefect_history.put_in_quarantine(holder.endpoint, digest, entry)


def _free(holder: Holder, word: str, what: str, said: State) -> Told:
    """The lock released, and everybody told what was done before that. `word`: how the rollout ended."""
    told = f"{holder.endpoint}: {what} The endpoint is free."
    release_endpoint(holder)
    if holder.commit:
        show_ending(holder, word, what)
        tell_about(holder.run, holder.repository, holder.commit, holder.endpoint, said, told)
    tell_end_of(holder.run, told, word)
    audit_end(holder.endpoint, word, told, run=holder.run)
    get_run_logger().warning("%s", told)
    return True, told
