"""The gate: a rollout stops here, without a process, until a person has answered in the Prefect UI (or through its API).

An answer counts for exactly what was shown (`domain.approval`), and where it is by somebody who may (`domain.answering`). Each asking has a
key of its own and is written down first, because Prefect's two UIs treat keys differently on Retry, and one of them would otherwise pass a
gate that nobody answered. Called from a flow, never from a task, a subflow or a transaction. May import prefect, `aml_canary.domain`, the Prefect gateway,
`tasks.answering` and `tasks.auditing`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal, NoReturn
from uuid import uuid4

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from pydantic import Field

from aml_canary.domain.answering import Answer, Answerer, Rules, how_to_answer, objection, who_may_answer
from aml_canary.domain.approval import Shown, changes
from aml_canary.errors import RolloutRejected
from aml_canary.gateways import prefect_db
from tasks.answering import before, verified_answers
from tasks.auditing import audit, audit_once
from tasks.notifying import tell_waiting


class Approval(RunInput):
    """The form. `decision` and `approver` have no defaults: a form that can be passed by nobody is no gate."""

    decision: Literal["approve", "reject"] = Field(
        description="Approve goes on with the next step. Reject ends the rollout and takes the way back."
    )
    approver: str = Field(
        min_length=2, max_length=200, description="Your name, or your login on the git host. Recorded as you typed it, unverified."
    )
    comment: str | None = Field(default=None, max_length=2000, description="Why, for whoever reads this later.")


def require_approval(gate: str, now: Shown, rules: Rules, form: Callable[[Sequence[str]], str]) -> None:
    """Return with an approval of this gate for what is shown now: an earlier answer of this run, or a new one, for which the run is suspended.

    `form` makes what is shown, from the reasons why it is asked again. Raises RolloutRejected on reject. When nobody answers in time, Prefect
    ends the run as failed; what becomes of the endpoint then is the guard's.
    """
    while (again := _reasons_to_ask(gate, now, rules)) is not None:
        text = form(again)
        key = f"{gate}-{now.digest}-{uuid4().hex[:6]}"
        note = {"key": key, "digest": now.digest, "attempt": flow_run.run_count, "shown": asdict(now), "at": time.time()}
        note |= rules.approvals.model_dump(mode="json", include={"on_timeout", "approvers", "require_verified"})
        audit("asked", key, after={"gate": gate, "may_answer": who_may_answer(rules.approvals)}, evidence={**asdict(now), "form": text})
        prefect_db.keep(str(flow_run.id), f"asked-{gate}-{len(_asked(gate)):03d}", note)
        get_run_logger().info("Waiting for approval of %s. %s", gate, how_to_answer(rules.approvals))
        timeout = max(1, int(rules.approvals.timeout_hours * 3600))
        tell_waiting(gate, now, key, who_may_answer(rules.approvals))
        suspend_flow_run(wait_for_input=Approval.with_initial_data(description=text), key=key, timeout=timeout)


def heed_rejection(rules: Rules) -> None:
    """Raise RolloutRejected where somebody has said no in this attempt: a no counts, whatever has become of what was asked."""
    run, attempt = str(flow_run.id), flow_run.run_count
    for asked, answer in _answered(run, prefect_db.all_kept(run, "asked-")):
        if answer.decision == "reject" and asked["attempt"] == attempt and not objection(rules, "reject", answer.who):
            _reject(asked["key"].rsplit("-", 2)[0], asked, answer)


def _reject(gate: str, asked: dict[str, Any], answer: Answer) -> NoReturn:
    _audit_answer("rejected", asked, answer)
    raise RolloutRejected(f"{answer.who.name} rejected {gate}{f': {answer.comment}' if answer.comment else ''}")


def holds_unanswered(run: str) -> bool:
    """Whether the last question of a run has no answer, and its manifest wants everything left as it is then."""
    asked = prefect_db.all_kept(run, "asked-")
    return bool(asked) and asked[-1].get("on_timeout") == "hold" and not _answered(run, asked[-1:])


def _reasons_to_ask(gate: str, now: Shown, rules: Rules) -> tuple[str, ...] | None:
    """Why this gate has to be asked again, empty the first time; None where it is approved. Raises RolloutRejected."""
    run, attempt, refused = str(flow_run.id), flow_run.run_count, ""
    answered = _answered(run, _asked(gate))
    for asked, answer in reversed(answered):
        if asked["digest"] != now.digest:
            continue
        if why := objection(rules, answer.decision, answer.who):
            refused = refused or f"The answer of {answer.who} does not count. {why}"
            _audit_answer("does not approve", asked, answer, why)
            continue
        if answer.decision == "approve":
            get_run_logger().info("%s is approved by %s%s", gate, answer.who, f": {answer.comment}" if answer.comment else "")
            _audit_answer("approved", asked, answer)
            return None
        # One more with each Retry, the same through every resume. A Retry after a rejection is somebody's wish to be asked again.
        if asked["attempt"] == attempt:
            _reject(gate, asked, answer)
        break
    if refused:
        get_run_logger().warning("%s is asked again. %s", gate, refused)
    approved = [asked for asked, answer in answered if answer.decision == "approve" and not objection(rules, "approve", answer.who)]
    stale = changes(Shown(**approved[-1]["shown"]), now) if approved else ()
    return (*((refused,) if refused else ()), *stale)


def _audit_answer(what: str, asked: dict[str, Any], answer: Answer, why: str = "") -> None:
    said = {"decision": answer.decision, "verified": answer.who.verified, "comment": answer.comment, **({"because": why} if why else {})}
    audit_once(what, asked["key"], who=str(answer.who), after=said, evidence=asdict(answer))


def _asked(gate: str) -> tuple[dict[str, Any], ...]:
    return prefect_db.all_kept(str(flow_run.id), f"asked-{gate}-")


def _answered(run: str, questions: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], Answer]]:
    """Those of the questions that were answered, with their answers."""
    verified = verified_answers(run) if questions else {}
    given = []
    for asked in questions:
        raw = prefect_db.kept(run, f"suspended-{asked['key']}-response")
        form = None if raw is None else Approval.model_validate(raw)
        typed = None if form is None else Answer(form.decision, Answerer(form.approver), form.comment or "")
        comment, proven = verified.get(asked["key"], (None, None))
        if comment is not None and not before(asked, comment):
            proven = None
        # Where two people answer at the same moment, a no is a no.
        answer = typed if typed is not None and typed.decision == "reject" and (proven is None or proven.decision == "approve") else proven
        if (answer := answer or typed) is not None:
            given.append((asked, answer))
    return given
