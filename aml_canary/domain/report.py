"""Every sentence and table about a rollout that a person reads, made in one place for forms, artifacts, logs and terminals.

May import `domain` only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aml_canary.domain.answering import who_may_answer
from aml_canary.domain.baking import compared_with
from aml_canary.domain.facts import weights_text
from aml_canary.domain.judge.verdict import Verdict
from aml_canary.domain.manifest import Approvals
from aml_canary.domain.observed import Observed, ObservedDeployment, traffic_text
from aml_canary.domain.planner import Plan
from aml_canary.domain.steps import Bake, DeleteDeployment, DeleteEndpoint, ShiftTraffic, Step, gate_of, label, sentence
from aml_canary.domain.verdict_text import verdict_table


@dataclass(frozen=True)
class SmokeAnswer:
    """What came back from one smoke request. `problem` is empty where the answer was right."""

    request: str
    status: int
    milliseconds: float
    body: str
    problem: str = ""


def plan_table(steps: Sequence[Step], approvals: Approvals) -> str:
    """The steps as a markdown table, with where a person is asked."""
    if not steps:
        return "Nothing to do: the endpoint is as the manifest says."
    rows = (f"| {n} | `{label(step)}` | {sentence(step)} | {asked(step, approvals)} |" for n, step in enumerate(steps, 1))
    return "\n".join(["| | step | what happens | approval first |", "|-|-|-|-|", *rows])


def asked(step: Step, approvals: Approvals) -> str:
    """`yes` where this manifest has a person asked before the step."""
    return "yes" if gate_of(step) in approvals.before else ""


def live_table(live: Observed) -> str:
    """The live endpoint as a markdown table, narrow enough for a form; mirrored traffic only where there is some."""
    if not live.exists:
        return f"Endpoint {live.name} does not exist yet."
    mirrored = bool(live.mirror_traffic)
    heading = ["deployment", "live traffic", *(["mirror"] if mirrored else []), "instances", "state"]
    rows = (
        [
            name,
            f"{live.traffic.get(name, 0)} %",
            *([f"{live.mirror_traffic.get(name, 0)} %"] if mirrored else []),
            _instances(there),
            there.state,
        ]
        for name, there in sorted(live.deployments.items())
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, ["-"] * len(heading), *rows))


def _instances(there: ObservedDeployment) -> str:
    return f"{there.instance_count} x {there.instance_type}"


def smoke_table(answers: Iterable[SmokeAnswer]) -> str:
    """Smoke answers as a markdown table."""
    rows = [
        f"| {a.request} | {a.status or 'no answer'} | {a.milliseconds:.0f} ms | `{_cell(a.body)}` | {_cell(a.problem) or 'right'} |"
        for a in answers
    ]
    if not rows:
        return "No smoke request was sent in this run."
    return "\n".join(["| request | status | took | answer | verdict |", "|-|-|-|-|-|", *rows])


def way_back(step: Step, live: Observed, commit: str) -> str:
    """What rejecting leads to, for the form. What another commit's rollout wrote about its way back is history."""
    stable = live.facts.stable if live.facts.commit == commit and live.facts.stable else live.traffic
    stays = dict(stable) == dict(live.traffic)
    traffic = f"live traffic stays at {traffic_text(live.traffic)}" if stays else f"live traffic goes back to {traffic_text(stable)}"
    if isinstance(step, DeleteDeployment):
        return f"Reject: {step.name} is kept and {traffic}."
    return f"Reject: {traffic} and the rollout ends."


def gate_form(
    step: Step,
    plan: Plan,
    live: Observed,
    approvals: Approvals,
    smoke: Iterable[SmokeAnswer],
    commit: str,
    stale: Sequence[str],
    judged: tuple[Bake, Verdict] | None = None,
) -> str:
    """The markdown above the approval form: the question first, details after. `judged` is how the live traffic step was judged."""
    heading = f"## {live.name}: {label(step)}?"
    yes = "Go on without a verdict." if isinstance(step, Bake) else sentence(step)
    question = f"**Approve:** {yes}  \n**{way_back(step, live, commit).replace(':', ':**', 1)}  \nCommit `{commit[:12]}`."
    who = [] if isinstance(step, DeleteEndpoint) else [who_may_answer(approvals)]
    asked_again = ["### Asked again, because", *(f"- {reason}" for reason in stale)] if stale else []
    verdict = [f"### Verdict of {label(judged[0])}", verdict_table(judged[0], _stable_of(judged[0], live), judged[1])] if judged else []
    smoked = [] if isinstance(step, Bake) else ["### Smoke result", smoke_table(smoke)]
    parts = [heading, question, *who, *asked_again, *verdict, "### Live now", live_table(live), *smoked]
    return "\n\n".join([*parts, "### What is left of the plan", plan_table(plan.steps, approvals)]).replace("\n\n- ", "\n- ")


def _stable_of(bake: Bake, live: Observed) -> str:
    return compared_with(bake, live.facts.stable)


def plan_report(endpoint: str, plan: Plan, live: Observed, approvals: Approvals) -> str:
    """The whole plan as a markdown document."""
    remarks = [f"- {remark}" for remark in plan.remarks]
    asks = [who_may_answer(approvals)] if any(asked(step, approvals) for step in plan.steps) else []
    return "\n\n".join([f"# Plan for {endpoint}", plan_table(plan.steps, approvals), *asks, *remarks, "## Live now", live_table(live)])


def drift_report(endpoint: str, told: str, live: Observed, left: Sequence[Step]) -> str:
    """What differs from git though a rollout had brought it there, as a markdown document."""
    back = "\n".join(f"- {sentence(step)}" for step in left)
    return "\n\n".join([f"# Drift of {endpoint}", told, "## Live now", live_table(live), "## What would bring it back", back])


def outcome(live: Observed, done: Sequence[str]) -> str:
    """How a finished rollout ended, in one line."""
    if not done:
        return f"Nothing to do: {live.name} is as the manifest says ({traffic_text(live.traffic)})."
    return f"{live.name} is as the manifest says: {traffic_text(live.traffic)}. Planned and done: {', '.join(done)}."


def shift_text(step: ShiftTraffic) -> str:
    """A traffic step for a log line."""
    return f"{label(step)} ({weights_text(step.weights)})"


def _cell(text: str) -> str:
    flat = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return flat if len(flat) <= 120 else flat[:117] + "..."
