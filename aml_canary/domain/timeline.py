"""A rollout's traffic over its steps, as values and as one small picture: what was done, what is live now, what comes next.

Time runs downwards, a row for each step, so that it fits a narrow form. It is an SVG of one file, for an image in markdown, which is the
one way that both of Prefect's UIs show it. May import `domain` and the standard library only.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from typing import Literal

from aml_canary.domain.manifest import Approvals
from aml_canary.domain.observed import Weights, traffic_text
from aml_canary.domain.steps import ShiftTraffic, Step, gate_of, label

# As wide as the forms are, so that nothing is made smaller there.
WIDTH = 460
BAR_LEFT, BAR = 172, 184
_TOP, _ROW = 56, 22
_MIDDLE, _LABEL, _NOTE = 19, 34, BAR_LEFT + BAR + 10
# More rows than these would push everything else out of sight.
_MOST_BEFORE, _MOST_AHEAD = 12, 16
_LONGEST_LABEL, _LONGEST_NOTE, _LONGEST_NAME, _LONGEST_TITLE = 20, 17, 18, 44

# Deployments named after their colour have it, whichever of them is the canary; the others take what is left, by name.
_BLUE, _GREEN = "#2f6fdb", "#27834b"
_OTHERS = ("#9a6700", "#8250df", "#bf3989", "#0f7b83", "#a0442c", "#57606a")

_STYLE = """
.panel{fill:#fff;stroke:#c9d1d9}
text{fill:#1f2328;font:12px system-ui,"Segoe UI",Helvetica,Arial,sans-serif}
.title{font-weight:600;font-size:13px}
.step{font:11px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.small{fill:#57606a;font-size:11px}
.now{font-weight:700}
.end{text-anchor:end}
.in{fill:#fff;font-weight:600;font-size:11px;text-anchor:middle}
.soon{font-weight:400;fill:#1f2328}
.here{fill:#eef2f6}
.line{stroke:#8c959f;stroke-width:1.5}
.dot{fill:#8c959f}
.ring{fill:#fff;stroke:#8c959f;stroke-width:1.5}
.live{fill:#1f2328}
.gate{fill:#f2c744;stroke:#8a6d0b}
.ask{fill:#3d2f00;font-weight:700;font-size:11px;text-anchor:middle}
.none{fill:none;stroke:#8c959f;stroke-dasharray:4 3}
.next{opacity:.32}
@media (prefers-color-scheme:dark){
.panel{fill:#161b22;stroke:#3d444d}
text,.soon{fill:#e6edf3}
.small{fill:#9da7b1}
.in{fill:#fff}
.in.soon{fill:#e6edf3}
.here{fill:#272e37}
.ring{fill:#161b22}
.live{fill:#e6edf3}
.ask{fill:#3d2f00}
.next{opacity:.45}
}
"""


@dataclass(frozen=True)
class Done:
    """A step that was carried out: its label, when (UTC, ISO 8601), the live traffic after it, and what it came to: a word, and a line."""

    step: str
    at: str
    traffic: Weights
    note: str = ""
    told: str = ""


@dataclass(frozen=True)
class Moment:
    """One row: the live traffic after a step, or `now`. `asked`: a person is asked before."""

    label: str
    traffic: Weights
    when: Literal["done", "now", "next"]
    note: str = ""
    asked: bool = False


def moments(done: Sequence[Done], now: Weights, ahead: Sequence[Step], approvals: Approvals) -> tuple[Moment, ...]:
    """The rows of a rollout: what was done, the live traffic now, and the steps ahead as if each succeeded."""
    days = {one.at[:10] for one in done}
    past = [Moment(one.step, one.traffic, "done", " ".join(filter(None, (_clock(one.at, days), one.note)))) for one in done]
    coming, traffic = [], now
    for step in ahead:
        traffic = step.weights if isinstance(step, ShiftTraffic) else traffic
        coming.append(Moment(label(step), traffic, "next", asked=gate_of(step) in approvals.before))
    return (*past, Moment("now", now, "now", "live"), *coming)


def _clock(at: str, days: set[str]) -> str:
    """`14:03`, or `11-26 14:03` where the rollout takes more than a day."""
    return f"{at[5:10]} {at[11:16]}" if len(days) > 1 else at[11:16]


def picture(title: str, rows: Sequence[Moment]) -> str:
    """The rows as an SVG, readable on a light and on a dark page, `WIDTH` wide. Whatever names say is text in it and nothing else."""
    shown = _shortened(rows)
    height = _TOP + _ROW * len(shown) + 10
    names = _names(shown)
    colours = _colours(names)
    drawn: list[str] = []
    for at, row in enumerate(shown):
        before = shown[at - 1] if at else None
        drawn += _row(row, before, _TOP + at * _ROW, names, colours, last=at == len(shown) - 1)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
            'aria-labelledby="title desc">',
            f'<title id="title">{_text(title)}</title>',
            f'<desc id="desc">{_text(" ".join(map(_said, rows)))}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="panel" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
            f'<text class="title" x="12" y="22">{_text(_cut(title, _LONGEST_TITLE))}</text>',
            f'<text class="small end" x="{WIDTH - 12}" y="22">times are UTC</text>',
            *_legend(names, colours),
            *drawn,
            "</svg>",
            "",
        ]
    )


def image(svg: str, alt: str) -> str:
    """The picture as markdown that holds all of it."""
    said = "".join(letter for letter in alt if letter.isprintable() and letter not in "[]!`<>\\")
    return f"![{said}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _shortened(rows: Sequence[Moment]) -> list[Moment]:
    past = [row for row in rows if row.when == "done"]
    ahead = [row for row in rows if row.when == "next"]
    middle = [row for row in rows if row.when == "now"]
    if len(past) > _MOST_BEFORE:
        left_out = len(past) - _MOST_BEFORE
        past = [Moment(f"{left_out} earlier steps", past[left_out - 1].traffic, "done"), *past[left_out:]]
    if len(ahead) > _MOST_AHEAD:
        left_out = len(ahead) - _MOST_AHEAD
        ahead = [*ahead[:_MOST_AHEAD], Moment(f"{left_out} more steps", ahead[-1].traffic, "next")]
    return [*past, *middle, *ahead]


def _names(rows: Iterable[Moment]) -> list[str]:
    """Every deployment that has traffic somewhere, in the order in which they come to have it; at one moment the greater first."""
    found: dict[str, None] = {}
    for row in rows:
        found.update(dict.fromkeys(sorted((n for n, w in row.traffic.items() if w), key=lambda n: (-row.traffic[n], n))))
    return list(found)


def _colours(names: Iterable[str]) -> dict[str, str]:
    own = {"blue": _BLUE, "green": _GREEN}
    named = {name: own[name] for name in names if name in own}
    left = [colour for colour in (_BLUE, _GREEN, *_OTHERS) if colour not in named.values()]
    others = sorted(name for name in names if name not in own)
    return named | {name: left[at % len(left)] for at, name in enumerate(others)}


def _legend(names: Sequence[str], colours: dict[str, str]) -> list[str]:
    lines: list[str] = []
    x = 12.0
    for name in names:
        said = _cut(name, _LONGEST_NAME)
        if x + 24 + 7.5 * len(said) > WIDTH - 24:
            return [*lines, f'<text class="small" x="{x:.0f}" y="42">…</text>']
        lines.append(f'<rect x="{x:.0f}" y="32" width="11" height="11" rx="2" fill="{colours[name]}"/>')
        lines.append(f'<text class="small" x="{x + 16:.0f}" y="42">{_text(said)}</text>')
        x += 30 + 7 * len(said)
    return lines


def _row(row: Moment, before: Moment | None, y: int, names: Sequence[str], colours: dict[str, str], *, last: bool) -> list[str]:
    middle = y + _ROW // 2
    lines = ["<g>"]
    if row.when == "now":
        lines.append(f'<rect class="here" x="6" y="{y}" width="{WIDTH - 12}" height="{_ROW}" rx="4"/>')
    start, end = (middle if before is None else y), (middle if last else y + _ROW)
    if start < end:
        lines.append(f'<line class="line" x1="{_MIDDLE}" y1="{start}" x2="{_MIDDLE}" y2="{end}"/>')
    lines += _marker(row, middle)
    weight = " now" if row.when == "now" else ""
    lines.append(f'<text class="step{weight}" x="{_LABEL}" y="{middle + 4}">{_text(_cut(row.label, _LONGEST_LABEL))}</text>')
    told_before = before is not None and before.when == row.when and dict(before.traffic) == dict(row.traffic)
    lines += _bar(row, y, names, colours, told=not told_before)
    note = "asks first" if row.asked else row.note
    if note:
        lines.append(f'<text class="small{weight}" x="{_NOTE}" y="{middle + 4}">{_text(_cut(note, _LONGEST_NOTE))}</text>')
    return [*lines, "</g>"]


def _marker(row: Moment, y: int) -> list[str]:
    if row.asked:
        diamond = f"M{_MIDDLE} {y - 9}l9 9l-9 9l-9 -9z"
        return [f'<path class="gate" d="{diamond}"/>', f'<text class="ask" x="{_MIDDLE}" y="{y + 4}">?</text>']
    shape = {"done": ("dot", 5), "now": ("live", 7), "next": ("ring", 5)}[row.when]
    return [f'<circle class="{shape[0]}" cx="{_MIDDLE}" cy="{y}" r="{shape[1]}"/>']


def _bar(row: Moment, y: int, names: Sequence[str], colours: dict[str, str], *, told: bool) -> list[str]:
    """The weights side by side, without a gap to the next row, so that the rows together are one stream."""
    weights = {name: row.traffic[name] for name in names if row.traffic.get(name)}
    total = sum(weights.values())
    if not total:
        return [f'<rect class="none" x="{BAR_LEFT}" y="{y + 5}" width="{BAR}" height="{_ROW - 10}"/>']
    soon = row.when == "next"
    ends = [BAR * part / total for part in accumulate(weights.values())]
    faded = ' class="next"' if soon else ""
    # A little below the next row, so that no line is seen between them where the picture is made smaller.
    height = _ROW + 1 if row.when == "done" else _ROW
    lines = []
    for (name, weight), start, end in zip(weights.items(), [0.0, *ends], ends, strict=False):
        lines.append(
            f'<rect{faded} shape-rendering="crispEdges" x="{BAR_LEFT + start:.1f}" y="{y}" width="{end - start:.1f}" height="{height}" fill="{colours[name]}">'
            f"<title>{_text(name)} {weight} %</title></rect>"
        )
        written = f"{weight} %" if end - start >= 36 else str(weight)
        if told and end - start >= 17:
            middle = BAR_LEFT + (start + end) / 2
            lines.append(f'<text class="in{" soon" if soon else ""}" x="{middle:.1f}" y="{y + _ROW // 2 + 4}">{written}</text>')
    return lines


def _said(row: Moment) -> str:
    asked = ", after an approval" if row.asked else ""
    note = f" ({row.note})" if row.note and row.when == "done" else ""
    return f"{row.when}{'' if row.when == 'now' else f' {row.label}'}{note}: {traffic_text(row.traffic)}{asked}."


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(text: str) -> str:
    """Text for XML: nothing in it is markup, and nothing is a character that XML has no place for."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text), quote=True)
