"""A verdict as people read it: a table for forms and artifacts, a line for logs. May import `domain` only."""

from aml_canary.domain.judge.verdict import Finding, Verdict, Word
from aml_canary.domain.steps import Bake, label

# What a verdict comes to, in the words of somebody who has to act.
_WORDS: dict[Word, str] = {"pass": "good", "fail": "worse than stable", "inconclusive": "not sure yet", "error": "cannot be judged"}


def sentence_of(verdict: Verdict) -> str:
    """The reason as a sentence."""
    return f"{verdict.reason.rstrip('.')}."


def verdict_line(bake: Bake, verdict: Verdict) -> str:
    """`bake-green-10: pass, canary is as good ...`: one line."""
    return f"{label(bake)}: {verdict.word}, {verdict.reason}"


def verdict_table(bake: Bake, stable: str, verdict: Verdict) -> str:
    """The verdict as markdown: the sentence first, then metric by metric."""
    said = f"**{verdict.word}** ({_WORDS[verdict.word]}): {sentence_of(verdict)}"
    seen = (
        f"{verdict.minutes} whole minutes, {verdict.canary_requests} requests answered by {bake.canary}"
        f"{f', {verdict.stable_requests} by {stable}' if stable else ''}."
    )
    if not verdict.findings:
        return f"{said}  \n{seen}"
    # The form is narrow, and the first UI does not break lines in tables.
    heading = [f"| metric | {stable or 'stable'} | {bake.canary} | verdict |", "|-|-|-|-|"]
    rows = [f"| {f.metric} | {f.stable} | {f.canary} | {f.word} |" for f in verdict.findings]
    reasons = [f"- {f.metric}: {f.effect}, {_sure(f)}" for f in verdict.findings]
    return "\n".join([f"{said}  ", seen, "", *heading, *rows, "", *reasons])


def _sure(finding: Finding) -> str:
    """How seldom chance alone says what the finding says."""
    evidence = {"fail": finding.evidence, "pass": finding.safety}.get(finding.word, 0.0)
    if evidence < 10:
        return "not sure yet"
    return f"wrong once in {evidence:.0f}" if evidence <= 1e6 else "wrong less than once in a million"
