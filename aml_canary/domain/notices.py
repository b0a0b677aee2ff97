"""What people are told of a rollout without looking: it waits for an answer, or it has ended. One notice for each event.

Where a notice goes and by which means is not here (`gateways.prefect_notices`). May import the standard library only.
"""

import hashlib
from dataclasses import dataclass

# Ends of which there is nothing to tell: nothing was done.
_NOTHING_DONE = ("Unchanged", "Outdated")
_HEADLINES = {
    "Promoted": "promoted",
    "RolledBack": "rolled back",
    "Superseded": "gave way to a newer commit",
    "Unanswered": "nobody answered in time, and its endpoint was made safe",
    "Deleted": "the endpoint is deleted",
}
# A run that ended so keeps its endpoint until somebody looks, unless the guard has made that safe.
_NEEDS_SOMEBODY = ("Failed", "Crashed")


@dataclass(frozen=True)
class Notice:
    """A message. `key` is the same for the same event of a run, whoever tells of it: lower-case letters, digits and dashes."""

    key: str
    subject: str
    text: str


def waiting_notice(name: str, gate: str, asked: str, question: str, rules: str, url: str) -> Notice:
    """That the run of this name waits for an answer.

    `asked` says what would be done, `question` is the key of this asking, `rules` says who may answer and what if nobody does.
    """
    lines = [
        "The bake ended without a verdict. Approve goes on without one." if gate.startswith("bake-") else asked,
        rules,
        f"Approve or reject: {url}" if url else "",
        f'From a shell: aml-canary approve {name}, or aml-canary reject {name} "why"',
    ]
    return Notice(_key("waiting", question), f"{name} waits for an answer: {gate}", _joined(lines))


def end_notice(name: str, state: str, message: str, attempt: int, url: str, *, safe: bool) -> Notice | None:
    """That the run of this name has ended in the state of this name; None where nothing was done. `safe`: nobody has to act."""
    if state in _NOTHING_DONE:
        return None
    headline = _HEADLINES.get(state, state.lower())
    if state in _NEEDS_SOMEBODY:
        headline += ", and its endpoint was made safe" if safe else ", and needs somebody"
    return Notice(_key("ended", state, attempt), f"{name}: {headline}", _joined([" ".join(message.split())[:1500], url]))


def _joined(lines: list[str]) -> str:
    return "\n".join(line for line in lines if line)


def _key(*parts: object) -> str:
    return f"notice-{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"
