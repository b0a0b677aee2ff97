"""The gate: a rollout stops here, without a process, until a person has answered in the Prefect UI (or through its API).

An answer counts for exactly what was shown (`domain.approval`). Each asking has a key of its own and is written down first, because
Prefect's two UIs treat keys differently on Retry, and one of them would otherwise pass a gate that nobody answered. Called from a flow,
never from a task, a subflow or a transaction. May import prefect, `aml_canary.domain` and the Prefect gateway.
"""

from dataclasses import asdict
from typing import Any, Literal
from uuid import uuid4

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from pydantic import Field

from aml_canary.domain.approval import Shown, changes
from aml_canary.errors import RolloutRejected
from aml_canary.gateways import prefect_db
from tasks.notifying import tell_waiting


class Approval(RunInput):
    """The form. `decision` and `approver` have no defaults: a form that can be passed by nobody is no gate."""

    decision: Literal["approve", "reject"] = Field(
        description="Approve goes on with the next step. Reject ends the rollout and takes the way back."
    )
    approver: str = Field(min_length=2, max_length=200, description="Your name. It is recorded with the decision, as you typed it.")
    comment: str | None = Field(default=None, max_length=2000, description="Why, for whoever reads this later.")


def stale_reasons(gate: str, now: Shown) -> tuple[str, ...]:
    """Why the last approval of this gate in this run does not count any more; empty where there is none, or it does."""
    approved = [asked for asked in _asked(gate) if (answer := _answer(asked)) is not None and answer.decision == "approve"]
    return changes(Shown(**approved[-1]["shown"]), now) if approved else ()


def require_approval(gate: str, now: Shown, form: str, timeout_seconds: float) -> Approval:
    """The approval of this gate for what is shown now: an earlier answer of this run, or a new one, for which the run is suspended.

    Raises RolloutRejected on reject. When nobody answers in time, Prefect ends the run as failed and the guard takes the way back.
    """
    # One more with each Retry, the same through every resume.
    attempt = flow_run.run_count
    for asked in reversed(_asked(gate)):
        answer = _answer(asked)
        if answer is None or asked["digest"] != now.digest:
            continue
        if answer.decision == "approve":
            _log(gate, answer)
            return answer
        if asked["attempt"] == attempt:
            raise _rejected(gate, answer)
        # A Retry after a rejection is somebody's wish to be asked again.
        break
    key = f"{gate}-{now.digest}-{uuid4().hex[:6]}"
    note = {"key": key, "digest": now.digest, "attempt": attempt, "shown": asdict(now)}
    prefect_db.keep(str(flow_run.id), f"asked-{gate}-{len(_asked(gate)):03d}", note)
    get_run_logger().info("Waiting for approval of %s. Answer with Resume in the Prefect UI.", gate)
    tell_waiting(gate, now, timeout_seconds)
    answer = suspend_flow_run(wait_for_input=Approval.with_initial_data(description=form), key=key, timeout=max(1, int(timeout_seconds)))
    if answer.decision != "approve":
        raise _rejected(gate, answer)
    _log(gate, answer)
    return answer


def _log(gate: str, answer: Approval) -> None:
    get_run_logger().info("%s is approved by %s%s", gate, answer.approver, f": {answer.comment}" if answer.comment else "")


def _asked(gate: str) -> tuple[dict[str, Any], ...]:
    return prefect_db.all_kept(str(flow_run.id), f"asked-{gate}-")


def _answer(asked: dict[str, Any]) -> Approval | None:
    raw = prefect_db.kept(str(flow_run.id), f"suspended-{asked['key']}-response")
    return None if raw is None else Approval.model_validate(raw)


def _rejected(gate: str, answer: Approval) -> RolloutRejected:
    why = f": {answer.comment}" if answer.comment else ""
    return RolloutRejected(f"{answer.approver} rejected {gate}{why}")
