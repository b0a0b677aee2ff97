"""What a rollout did, who decided it and on what evidence: a chain of entries that nobody can change in the middle without it showing.

Each entry's hash covers all of it and the hash before; the first one's, the run. Where it is kept is not here. May import the standard
library only.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

# What an entry is about. The last ones end a run, or leave it to a Retry.
BEGAN: Final = "began"
WRITES: Final = "writes"
ENDS: Final = ("ended", "failed", "unanswered", "crashed")


@dataclass(frozen=True)
class Entry:
    """One thing that happened. `at` is ISO 8601 in UTC. `about` is the step, the question or the attempt; `before` and `after` are JSON.

    `evidence` is a digest of what was shown or found out, which is kept elsewhere; empty where there is none.
    """

    number: int
    at: str
    who: str
    what: str
    about: str
    before: Any
    after: Any
    evidence: str
    previous: str
    hash: str = ""


def origin(run: str) -> str:
    """What stands for the hash before the first entry of a run, so that no run's chain can be shown as another's."""
    return hashlib.sha256(f"aml-canary audit of {run}".encode()).hexdigest()


def hash_of(entry: Entry) -> str:
    """The hash of everything else in an entry."""
    return digest_of({name: value for name, value in asdict(entry).items() if name != "hash"})


def digest_of(value: Any) -> str:
    """64 hex digits that are the same for the same JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def read(values: Iterable[Any]) -> tuple[Entry, ...]:
    """Entries as they were kept, in the order given. What does not look like one becomes an entry that nobody can have written."""
    names = {field.name for field in fields(Entry)}
    whole = (value if isinstance(value, dict) and value.keys() == names else {} for value in values)
    return tuple(Entry(**value) if value else Entry(0, "", "", "unreadable", "", None, None, "", "") for value in whole)


def verify(run: str, entries: Sequence[Entry], *, over: bool) -> str:
    """The first thing that is wrong with a run's chain, as a sentence; empty where it is whole.

    `over`: the run has ended, so that its last attempt must have an entry that says so. What was cut off after that entry does not show.
    """
    before = origin(run)
    for place, entry in enumerate(entries, 1):
        if entry.number != place:
            return f"Entry {place} is not there; entry {entry.number} ({entry.what} {entry.about}) stands in its place."
        if entry.previous != before:
            return f"Entry {place} does not follow on the one before it: one of the two was changed, or is of another chain."
        if entry.hash != hash_of(entry):
            return f"Entry {place} ({entry.what} {entry.about}) was changed after it was written."
        before = entry.hash
    if over and not entries:
        return "There is no entry, and the run has ended: all were removed, or it ended before it held its endpoint."
    begun = max((place for place, entry in enumerate(entries) if entry.what == BEGAN), default=0)
    if over and not any(entry.what in ENDS for entry in entries[begun:]):
        last = f"{len(entries)} ({entries[-1].what} {entries[-1].about})"
        return f"The run has ended, and its last entry, {last}, is no end: some were cut off, or its process died."
    return ""


def unfinished(entries: Sequence[Entry]) -> Entry | None:
    """The write that was begun last and of which nobody knows how it ended; None where there is none."""
    about = [entry for entry in entries if entry.what in (WRITES, "wrote", "not written", "interrupted")]
    return about[-1] if about and about[-1].what == WRITES else None


def has(entries: Iterable[Entry], what: str, about: str) -> bool:
    """Whether this is written down already."""
    return any((entry.what, entry.about) == (what, about) for entry in entries)


def audit_lines(entries: Iterable[Entry]) -> list[str]:
    """One line for each entry, for a terminal."""
    return [f"{entry.number:>4}  {entry.at[:19]}  {entry.who}: {entry.what} {entry.about}{_detail(entry)}" for entry in entries]


def audit_table(endpoint: str, run: str, entries: Sequence[Entry]) -> str:
    """The chain as a markdown document."""
    rows = (
        f"| {entry.number} | {entry.at[:19]} | {_cell(entry.who)} | {_cell(f'{entry.what} {entry.about}{_detail(entry)}')} | `{entry.hash[:12]}` |"
        for entry in entries
    )
    last = entries[-1].hash if entries else origin(run)
    heading = [f"# Audit of {endpoint}", f"Flow run {run}, {len(entries)} entries. Last hash: `{last}`"]
    check = f"`aml-canary audit {run} --verify` checks it; keep the last hash elsewhere to notice what is cut off, or written anew."
    return "\n\n".join([*heading, check, "\n".join(["| | UTC | who | what | hash |", "|-|-|-|-|-|", *rows])])


def _detail(entry: Entry) -> str:
    states = [json.dumps(state, sort_keys=True, ensure_ascii=False) for state in (entry.before, entry.after) if state is not None]
    evidence = f", evidence {entry.evidence[:12]}" if entry.evidence else ""
    return f": {' -> '.join(states)}{evidence}" if states else evidence


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
