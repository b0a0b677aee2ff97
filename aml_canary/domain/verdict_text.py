"""A verdict as people read it: a table for forms and artifacts, a line for logs. May import `domain` only."""

from aml_canary.domain.judge.verdict import Verdict, Word
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
    rows = [
        f"| {f.metric} | {f.stable} | {f.canary} | {f.effect} | {f.word} | {_odds(f.evidence)} | {_odds(f.safety)} |"
        for f in verdict.findings
    ]
    if not rows:
        return f"{said}  \n{seen}"
    heading = [
        f"| metric | {stable or 'stable'} | {bake.canary} | effect | verdict | evidence that it is worse | evidence that it is fine |",
        "|-|-|-|-|-|-|-|",
    ]
    return "\n".join([f"{said}  ", seen, "", *heading, *rows])


def _odds(evidence: float) -> str:
    """`1 in 250 by chance`, as far as anybody cares."""
    if evidence < 10:
        return "little"
    if evidence > 1e6:
        return "wrong less than once in a million"
    return f"wrong once in {evidence:.0f}"
