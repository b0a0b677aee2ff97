"""A review as the one comment of a pull request: short first, details after.

Whatever a manifest says stands in code spans, on one line and not for long, so that it can be neither markup, link nor mention, whichever
host shows it. Lines are cut off at the end where a host would refuse the whole. May import `domain` only.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from aml_canary.domain.answering import who_may_answer
from aml_canary.domain.observed import traffic_text
from aml_canary.domain.quota import against
from aml_canary.domain.review import Change, Planned, Review, counted, verdict
from aml_canary.domain.steps import ShiftTraffic, gate_of, label, sentence

CUT = "The rest is left out: the git host would refuse a longer comment. `aml-canary validate` and `aml-canary plan` show all of it."
# One value, one sentence; fields or files of one endpoint.
_VALUE = 200
_SENTENCE = 800
_MOST = 60


def comment(review: Review, marker: str, limit: int = 60_000) -> str:
    """Markdown of at most `limit` characters, with `marker` as its first line."""
    lines = [marker, "", *_lines(review)]
    if len(whole := "\n".join(lines)) <= limit:
        return whole
    ending = ["", CUT]
    room = limit - len("\n".join(ending))
    ends = accumulate(len(line) + 1 for line in lines)
    return "\n".join([*(line for line, end in zip(lines, ends, strict=True) if end <= room), *ending])


def code(text: str, most: int = _VALUE) -> str:
    """The text as a code span on one line: nothing in it is markup, and nothing after it is part of it."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split()).replace("`", "'")
    return f"`{line if len(line) <= most else line[: most - 1] + '…'}`" if line else "` `"


def cell(text: str, most: int = _VALUE) -> str:
    """The same inside a table."""
    return code(text.replace("|", "¦"), most)


def _lines(review: Review) -> Iterator[str]:
    state, told = verdict(review)
    yield f"## aml-canary: {'fine' if state == 'success' else state}"
    yield ""
    # In an error there are names, which may be anything.
    yield told if state != "error" else "It could not be found out what this would do; see below."
    yield ""
    for one in review.planned:
        yield f"- {code(one.endpoint)}: {_short(one)}"
    for name in review.removed:
        yield f"- {code(name)}: its manifest is gone. Once merged, somebody is asked whether to delete the endpoint, or it is left as it is."
    if review.unchanged:
        yield f"- Unchanged: {_some([code(name) for name in review.unchanged])}."
    yield ""
    yield f"Commit `{review.commit[:12]}` against {code(review.branch)}, planned from what is live now. Nothing was changed on Azure."
    if review.findings or review.problems:
        yield from _findings(review)
    for one in review.planned:
        yield from _details(one, review)


def _short(one: Planned) -> str:
    if one.refused:
        return "refused, see below."
    if one.broke:
        return "could not be planned, see below."
    if not one.way:
        return "is live as this commit wants it."
    states = [one.live.traffic if one.live else {}, *(after.traffic for step, after in one.way if isinstance(step, ShiftTraffic))]
    traffic = " → ".join(code(traffic_text(weights)) for weights in states[:9])
    asked = counted(len(one.gates), "approval") if one.gates else "nobody is asked"
    return f"{traffic}; {counted(len(one.way), 'step')}, {asked}, at most {counted(sum(need.peak for need in one.needs), 'instance')}."


def _findings(review: Review) -> Iterator[str]:
    yield ""
    yield "### Findings"
    yield ""
    for problem in review.problems:
        yield f"- error: {code(problem, _SENTENCE)}"
    # Errors first, whatever file they are in.
    for finding in sorted(review.findings, key=lambda finding: finding.severity):
        where = f"{finding.file}:{finding.line}" if finding.line else finding.file
        what = f"{finding.field}: {finding.message}" if finding.field else finding.message
        remedy = f" {code(finding.remedy, _SENTENCE)}" if finding.remedy else ""
        yield f"- {finding.severity}: {code(where)} {code(finding.rule)}: {code(what, _SENTENCE)}{remedy}"


def _details(one: Planned, review: Review) -> Iterator[str]:
    yield ""
    yield f"### {code(one.endpoint)}"
    yield ""
    yield f"{code(one.path)}{', a new manifest' if one.new else ''}"
    if one.refused:
        yield ""
        yield f"Refused: {code(one.refused, _SENTENCE)}"
    if one.broke:
        yield ""
        yield f"Could not be planned: {code(one.broke, _SENTENCE)}"
    yield from _changes("Fields that change", [field_line(change) for change in one.fields])
    yield from _changes("Files whose content changes", [file_line(change) for change in one.files])
    yield from _changes("Remarks", [f"- {code(remark, _SENTENCE)}" for remark in one.remarks])
    if one.way:
        yield from _way(one)
        yield from _instances(one, review)


def _changes(heading: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"{heading}:"
        yield ""
        yield from lines[:_MOST]
        if len(lines) > _MOST:
            yield f"- and {len(lines) - _MOST} more"


def field_line(change: Change) -> str:
    """One field that changes, as an item of a list."""
    before, after = ("nothing" if value is None else code(value) for value in (change.before, change.after))
    return f"- {code(change.field)}: {before} → {after}"


def file_line(change: Change) -> str:
    """One file whose content changes, as an item of a list."""
    how = "new" if change.before is None else "gone" if change.after is None else "changed"
    return f"- {code(change.field)}: {how}"


def _way(one: Planned) -> Iterator[str]:
    yield ""
    yield "| | step | what happens | live traffic after it | approval first |"
    yield "|-|-|-|-|-|"
    for number, (step, after) in enumerate(one.way, 1):
        asked = "yes" if gate_of(step) in one.approvals.before else ""
        yield f"| {number} | {cell(label(step))} | {cell(sentence(step))} | {cell(traffic_text(after.traffic))} | {asked} |"
    if one.gates:
        yield ""
        yield who_may_answer(one.approvals)


def _instances(one: Planned, review: Review) -> Iterator[str]:
    yield ""
    yield "| instances | now | at the peak | quota has to cover, with Azure's 20 % reserve | quota |"
    yield "|-|-|-|-|-|"
    for need in one.needs:
        told = cell(against(need, review.quota)[1]) if not review.quota_unread else "could not be read"
        yield f"| {cell(need.instance_type)} | {need.now} | {need.peak} | {need.reserved_peak} | {told} |"
    if review.quota_unread:
        yield ""
        yield f"Quota could not be read: {code(review.quota_unread)}"


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_MOST]) + (f" and {len(every) - _MOST} more" if len(every) > _MOST else "")
