"""Whom the flow asks before a step, and what it shows them.

May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways` and the other tasks. Called from flows, because asking suspends.
"""

from collections.abc import Sequence
from dataclasses import replace

from aml_canary.domain.answering import Rules
from aml_canary.domain.approval import shown
from aml_canary.domain.manifest import Approvals
from aml_canary.domain.observed import Observed, nonzero
from aml_canary.domain.order import Left, Order
from aml_canary.domain.planner import Plan
from aml_canary.domain.report import Question, gate_form
from aml_canary.domain.steps import Bake, DeleteEndpoint, Step, gate_of, label
from aml_canary.errors import Permanent
from aml_canary.gateways.prefect_db import Holder
from tasks.answering import rules_for
from tasks.evidence import last_verdict, smoke_answers
from tasks.gate import heed_rejection, require_approval
from tasks.showing import changed_in_git, timeline_of
from tasks.telling import State, tell


def ask_before(step: Step, order: Order, left: Left, holder: Holder) -> None:
    """Have a person approve the step, where the manifest wants that, or somebody else changed traffic. Raises RolloutRejected."""
    heed_rejection(rules_for(order))
    approvals, gate = order.manifest.rollout.approvals, label(step)
    meddled = left.live.facts.run in holder.runs and nonzero(left.live.facts.traffic) != dict(left.live.traffic)
    if gate_of(step) not in approvals.before and not (meddled and gate_of(step)):
        return
    _ask(step, order, left, holder, f"{gate} waits for an approval")


def ask_without_verdict(step: Bake, order: Order, left: Left, holder: Holder) -> None:
    """Have a person say whether the rollout goes on though the bake came to no verdict. Raises RolloutRejected."""
    rest = Plan(tuple(after for after in left.plan.steps if after != step))
    _ask(step, order, replace(left, plan=rest), holder, f"{label(step)} has no verdict and waits for an approval")


def _ask(step: Step, order: Order, left: Left, holder: Holder, told: str) -> None:
    def form(again: Sequence[str]) -> str:
        tell(order.repository, order.commit, order.endpoint, State.PENDING, told)
        question = Question(
            step,
            left.plan,
            left.live,
            order.manifest.rollout.approvals,
            order.commit,
            smoke=tuple(answer for answers in smoke_answers(left.live).values() for answer in answers),
            stale=tuple(again),
            judged=last_verdict(left.live, holder),
            timeline=timeline_of(order, left, holder),
            changed=changed_in_git(order, holder),
        )
        return gate_form(question)

    require_approval(label(step), shown(order.commit, step, left.live), rules_for(order), form)


def ask_before_teardown(live: Observed, because: str) -> None:
    """Have a person approve the end of an endpoint. Raises RolloutRejected."""
    step, approvals = DeleteEndpoint(), Approvals()
    heed_rejection(Rules(approvals))

    def form(again: Sequence[str]) -> str:
        made = gate_form(Question(step, Plan((step,)), live, approvals, stale=tuple(again)))
        return f"{because}\n\n{made}" if because else made

    require_approval(label(step), shown("teardown", step, live), Rules(approvals), form)


def insist_on_progress(step: Step, done: Sequence[str]) -> None:
    """Raise Permanent where the plan asks again for what was just done: Azure said yes and shows no effect, or somebody undoes it."""
    if done and done[-1] == label(step):
        raise Permanent(
            f"{label(step)} was done and is still to be done: Azure accepted it but shows no effect, or somebody else undid it. "
            "Look at the endpoint in Azure; Retry plans again from what is live."
        )
