"""Every sentence and table about a rollout that a person reads, made in one place for forms, artifacts, logs and terminals.

May import `domain` and the standard library only.
"""

import re
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

# So many characters of an answer fit into the form's table; the first UI does not break lines in tables.
_NARROW = 20
_NOTHING = "Nothing to do: the endpoint is as the manifest says."


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
        return _NOTHING
    rows = (f"| {n} | `{label(step)}` | {sentence(step)} | {asked(step, approvals)} |" for n, step in enumerate(steps, 1))
    return "\n".join(["| | step | what happens | approval first |", "|-|-|-|-|", *rows])


def plan_list(steps: Sequence[Step], approvals: Approvals) -> str:
    """The same as a list, for where it is narrow."""
    if not steps:
        return _NOTHING
    return "\n".join(
        f"{n}. `{label(step)}`: {sentence(step)}{' **Asks first.**' if asked(step, approvals) else ''}" for n, step in enumerate(steps, 1)
    )


def asked(step: Step, approvals: Approvals) -> str:
    """`yes` where this manifest has a person asked before the step."""
    return "yes" if gate_of(step) in approvals.before else ""


def live_table(live: Observed, *, narrow: bool = False) -> str:
    """The live endpoint as a markdown table; mirrored traffic only where there is some, `narrow`: states only where one is not Succeeded."""
    if not live.exists:
        return f"Endpoint {live.name} does not exist yet."
    mirrored = bool(live.mirror_traffic)
    stated = not narrow or any(not there.healthy for there in live.deployments.values())
    heading = ["deployment", "live traffic", *(["mirror"] if mirrored else []), "instances", *(["state"] if stated else [])]
    rows = (
        [
            name,
            f"{live.traffic.get(name, 0)} %",
            *([f"{live.mirror_traffic.get(name, 0)} %"] if mirrored else []),
            _instances(there),
            *([there.state] if stated else []),
        ]
        for name, there in sorted(live.deployments.items())
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, ["-"] * len(heading), *rows))


def _instances(there: ObservedDeployment) -> str:
    return f"{there.instance_count} x {there.instance_type}"


def smoke_table(answers: Iterable[SmokeAnswer], longest: int = 120) -> str:
    """Smoke answers as a markdown table; of each text so many characters."""
    rows = [
        f"| {a.request} | {a.status or 'no answer'} | {a.milliseconds:.0f} ms | `{_cell(a.body, longest)}` | {_cell(a.problem, longest) or 'right'} |"
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


@dataclass(frozen=True)
class Question:
    """What a gate asks, and everything that is shown with it.

    `step` is what a yes leads to, `plan` what is left with it. `stale` are reasons why it is asked again, `judged` is how the live traffic
    step was judged. `timeline` is an image and `changed` what git changed: markdown, or nothing.
    """

    step: Step
    plan: Plan
    live: Observed
    approvals: Approvals
    commit: str = ""
    smoke: tuple[SmokeAnswer, ...] = ()
    stale: tuple[str, ...] = ()
    judged: tuple[Bake, Verdict] | None = None
    timeline: str = ""
    changed: str = ""


def gate_form(asked_now: Question) -> str:
    """The markdown above the approval form: the question and the picture first, details after."""
    step, live = asked_now.step, asked_now.live
    yes = "Go on without a verdict." if isinstance(step, Bake) else sentence(step)
    question = [
        f"**Approve:** {yes}",
        way_back(step, live, asked_now.commit).replace("Reject:", "**Reject:**", 1),
        *([] if isinstance(step, DeleteEndpoint) else [who_may_answer(asked_now.approvals)]),
    ]
    again = "\n".join(["### Asked again, because", *(f"- {reason}" for reason in asked_now.stale)]) if asked_now.stale else ""
    parts = [
        f"## {live.name}: {label(step)}?",
        "  \n".join(question),
        again,
        asked_now.timeline,
        _comparison(asked_now),
        "" if isinstance(step, Bake) or not asked_now.smoke else f"### Smoke requests\n\n{smoke_table(asked_now.smoke, _NARROW)}",
        f"### What changed in git\n\n{asked_now.changed}" if asked_now.changed else "",
        f"### Live now\n\n{live_table(live, narrow=True)}",
        f"### What is left of the plan\n\n{plan_list(asked_now.plan.steps, asked_now.approvals)}",
    ]
    return "\n\n".join(part for part in parts if part)


def _comparison(asked_now: Question) -> str:
    """Stable against canary, metric by metric."""
    if asked_now.judged is None:
        return ""
    bake, verdict = asked_now.judged
    stable = compared_with(bake, asked_now.live.facts.stable)
    return f"### {stable or 'stable'} against {bake.canary}, {label(bake)}\n\n{verdict_table(bake, stable, verdict)}"


def plan_report(endpoint: str, plan: Plan, live: Observed, approvals: Approvals, timeline: str = "") -> str:
    """The whole plan as a markdown document, with a picture of it where there is one."""
    remarks = [f"- {remark}" for remark in plan.remarks]
    picture = [timeline] if timeline else []
    asks = [who_may_answer(approvals)] if any(asked(step, approvals) for step in plan.steps) else []
    table = plan_table(plan.steps, approvals)
    return "\n\n".join([f"# Plan for {endpoint}", *picture, table, *asks, *remarks, "## Live now", live_table(live)])


@dataclass(frozen=True)
class Ended:
    """How a rollout ended, and what led there. `word` is the name of its final state, `told` a sentence; the rest is markdown or lines."""

    endpoint: str
    word: str
    told: str
    commit: str
    timeline: str = ""
    answers: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    smoke: tuple[SmokeAnswer, ...] = ()


def final_report(ended: Ended) -> str:
    """How a rollout ended, as a markdown document: one line, the picture, who said what, verdicts, smoke answers, the commit."""
    parts = [
        f"# {ended.endpoint}: {ended.word}",
        _plain(ended.told),
        ended.timeline,
        _list("## Who said what", ended.answers, "Nobody was asked."),
        _list("## Verdicts", ended.verdicts, "Nothing was judged."),
        f"## Smoke requests\n\n{smoke_table(ended.smoke)}",
        f"## Commit\n\n{ended.commit}",
    ]
    return "\n\n".join(part for part in parts if part)


def _list(heading: str, lines: Sequence[str], otherwise: str) -> str:
    items = "\n".join(f"- {_plain(line)}" for line in lines)
    return f"{heading}\n\n{items or otherwise}"


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


def _plain(text: str) -> str:
    """What somebody typed, on one line and as it is: nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]<>|~#!])", r"\\\1", " ".join(text.split()))


def _cell(text: str, longest: int) -> str:
    flat = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return flat if len(flat) <= longest else flat[: longest - 3] + "..."
