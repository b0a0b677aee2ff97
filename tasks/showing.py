"""Verdicts, timelines and reports, shown as artifacts: one key for each endpoint, so that its page is the endpoint's history.

Showing is never in the way: what goes wrong with it ends as a warning in the log. May import prefect, `aml_canary.domain`,
`aml_canary.errors`, `aml_canary.gateways` and the other tasks.
"""

from collections.abc import Sequence
from dataclasses import replace

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.baking import compared_with
from aml_canary.domain.changed import changed_text, revision_line
from aml_canary.domain.judge.verdict import Verdict
from aml_canary.domain.manifest import Approvals
from aml_canary.domain.observed import Observed, absent
from aml_canary.domain.order import Left, Order
from aml_canary.domain.planner import Plan
from aml_canary.domain.report import Ended, final_report
from aml_canary.domain.simulate import ahead
from aml_canary.domain.steps import Bake, Step, label
from aml_canary.domain.timeline import image, moments, picture
from aml_canary.domain.verdict_text import verdict_line, verdict_table
from aml_canary.errors import AmlCanaryError
from aml_canary.gateways import azureml, prefect_db, prefect_story
from aml_canary.gateways.prefect_db import Holder
from tasks.changed import changes_of, revision_of
from tasks.history import commit_before, done_so_far, keep_done, keep_failed, smoke_of
from tasks.retry import retried


@retried("show-verdict")
def show_verdict(endpoint: str, step: Bake, live: Observed, verdict: Verdict) -> None:
    """Show the verdict that a bake ended with."""
    text = f"# {endpoint}: {label(step)}\n\n{verdict_table(step, compared_with(step, live.facts.stable), verdict)}"
    create_markdown_artifact(text, key=f"verdict-{endpoint}", description=verdict_line(step, verdict)[:500])


def drawn(holder: Holder, live: Observed, steps: Sequence[Step], approvals: Approvals) -> str:
    """The rollout's picture as markdown: what it did, what is live, and the steps that are left."""
    named = f"{holder.endpoint} at {holder.commit[:7]}" if holder.commit else holder.endpoint
    rows = moments(done_so_far(holder, live), live.traffic, steps, approvals)
    return image(picture(named, rows), f"Traffic of {named}, step by step")


def timeline_of(order: Order, left: Left, holder: Holder) -> str:
    """The same for a form; empty where it cannot be drawn. Never raises."""
    try:
        return drawn(holder, left.live, ahead(order.stages, left, order.waits), order.manifest.rollout.approvals)
    except Exception as error:
        get_run_logger().warning("The timeline of %s could not be drawn: %s", order.endpoint, error)
        return ""


def changed_in_git(order: Order, holder: Holder) -> str:
    """What the order's commit is and changes, as markdown; empty where that cannot be read. Never raises."""
    try:
        return changed_text(changes_of(order, commit_before(holder)))
    except Exception as error:
        get_run_logger().warning("What commit %s changes could not be read: %s", order.commit[:12], error)
        return ""


def show_done(step: Step, order: Order, left: Left, holder: Holder) -> None:
    """Keep that the step was carried out, and draw the rollout's timeline anew. Never raises."""
    try:
        live = keep_done(step, left, holder)
        now = replace(left, live=live, plan=Plan(left.plan.steps[1:]))
        text = drawn(holder, live, ahead(order.stages, now, order.waits), order.manifest.rollout.approvals)
        create_markdown_artifact(
            text, key=f"timeline-{order.endpoint}", description=f"{order.endpoint}@{order.commit[:7]}: {label(step)} is done"
        )
    except Exception as error:
        get_run_logger().warning("That %s is done could not be shown: %s", label(step), error)


def show_bad(step: Step, left: Left, why: str) -> None:
    """Keep that the step showed the canary to be bad. Never raises."""
    try:
        keep_failed(step, left.live, why)
    except Exception as error:
        get_run_logger().warning("That %s ended badly could not be kept: %s", label(step), error)


def tag_run(word: str) -> None:
    """Tag this run with how it ended. Never raises."""
    try:
        prefect_db.tag_outcome(str(flow_run.id), word)
    except Exception as error:
        get_run_logger().warning("The run could not be tagged with %s: %s", word, error)


def show_ending(holder: Holder, word: str, told: str) -> None:
    """Show how a rollout ended, and tag its run with that. Never raises."""
    try:
        prefect_db.tag_outcome(holder.run, word)
        show_report(holder, word, told)
    except Exception as error:
        get_run_logger().warning("The report on %s could not be written: %s", holder.endpoint, error)


def show_report(holder: Holder, word: str, told: str) -> None:
    """Write the rollout's report. Tried once: whoever ends a rollout because Azure is away does not wait for it here."""
    try:
        live = azureml.glance(holder.endpoint)
    except AmlCanaryError:
        live = absent(holder.endpoint)
    answers = [event.told for run in (*holder.predecessors, holder.run) for event in prefect_story.answers_of(run)]
    ended = Ended(
        holder.endpoint,
        word,
        told,
        revision_line(revision_of(holder.repository, holder.commit)),
        drawn(holder, live, (), Approvals()) if live.exists else "",
        tuple(answers),
        tuple(one.told for one in done_so_far(holder, live) if one.told),
        smoke_of(holder),
    )
    description = f"{holder.endpoint}@{holder.commit[:7]}: {word}"
    create_markdown_artifact(final_report(ended), key=f"report-{holder.endpoint}", description=description)
