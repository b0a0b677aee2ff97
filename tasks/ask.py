"""Whom the flow asks before a step, and what it shows them.

May import prefect, `aml_canary.domain`, `aml_canary.errors` and the other tasks. Called from flows, because asking suspends.
"""

from collections.abc import Sequence
from dataclasses import replace

from aml_canary.domain.approval import shown
from aml_canary.domain.manifest import Approvals
from aml_canary.domain.observed import Observed, nonzero
from aml_canary.domain.order import Left, Order
from aml_canary.domain.planner import Plan
from aml_canary.domain.report import Question, gate_form
from aml_canary.domain.steps import Bake, DeleteEndpoint, Step, gate_of, label
from aml_canary.errors import Permanent
from aml_canary.gateways.prefect_db import Holder
from tasks.evidence import last_verdict, smoke_answers
from tasks.gate import require_approval, stale_reasons
from tasks.showing import changed_in_git, timeline_of
from tasks.telling import State, tell


def ask_before(step: Step, order: Order, left: Left, holder: Holder) -> None:
    """Have a person approve the step, where the manifest wants that, or somebody else changed traffic. Raises RolloutRejected."""
    approvals = order.manifest.rollout.approvals
    meddled = left.live.facts.run in holder.runs and nonzero(left.live.facts.traffic) != dict(left.live.traffic)
    if gate_of(step) not in approvals.before and not (meddled and gate_of(step)):
        return
    tell(order.repository, order.commit, order.endpoint, State.PENDING, f"{label(step)} waits for an approval")
    _ask(step, order, left, holder)


def ask_without_verdict(step: Bake, order: Order, left: Left, holder: Holder) -> None:
    """Have a person say whether the rollout goes on though the bake came to no verdict. Raises RolloutRejected."""
    tell(order.repository, order.commit, order.endpoint, State.PENDING, f"{label(step)} has no verdict and waits for an approval")
    rest = Plan(tuple(after for after in left.plan.steps if after != step))
    _ask(step, order, replace(left, plan=rest), holder)


def _ask(step: Step, order: Order, left: Left, holder: Holder) -> None:
    approvals, now = order.manifest.rollout.approvals, shown(order.commit, step, left.live)
    question = Question(
        step,
        left.plan,
        left.live,
        approvals,
        order.commit,
        smoke=tuple(answer for answers in smoke_answers(left.live).values() for answer in answers),
        stale=stale_reasons(label(step), now),
        judged=last_verdict(left.live, holder),
        timeline=timeline_of(order, left, holder),
        changed=changed_in_git(order, holder),
    )
    require_approval(label(step), now, gate_form(question), approvals.timeout_hours * 3600)


def ask_before_teardown(live: Observed, because: str) -> None:
    """Have a person approve the end of an endpoint. Raises RolloutRejected."""
    step, approvals = DeleteEndpoint(), Approvals()
    now = shown("teardown", step, live)
    form = gate_form(Question(step, Plan((step,)), live, approvals, stale=stale_reasons(label(step), now)))
    form = f"{because}\n\n{form}" if because else form
    require_approval(label(step), now, form, approvals.timeout_hours * 3600)


def insist_on_progress(step: Step, done: Sequence[str]) -> None:
    """Raise Permanent where the plan asks again for what was just done: Azure said yes and shows no effect, or somebody undoes it."""
    if done and done[-1] == label(step):
        raise Permanent(
            f"{label(step)} was done and is still to be done: Azure accepted it but shows no effect, or somebody else undid it. "
            "Look at the endpoint in Azure; Retry plans again from what is live."
        )
