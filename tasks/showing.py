"""Verdicts, shown as artifacts: one key for each endpoint, so that its page is the endpoint's history.

May import prefect, `aml_canary.domain` and `tasks.retry`.
"""

from prefect.artifacts import create_markdown_artifact

from aml_canary.domain.baking import compared_with
from aml_canary.domain.judge.verdict import Verdict
from aml_canary.domain.observed import Observed
from aml_canary.domain.steps import Bake, label
from aml_canary.domain.verdict_text import verdict_line, verdict_table
from tasks.retry import retried


@retried("show-verdict")
def show_verdict(endpoint: str, step: Bake, live: Observed, verdict: Verdict) -> None:
    """Show the verdict that a bake ended with."""
    text = f"# {endpoint}: {label(step)}\n\n{verdict_table(step, compared_with(step, live.facts.stable), verdict)}"
    create_markdown_artifact(text, key=f"verdict-{endpoint}", description=verdict_line(step, verdict)[:500])
