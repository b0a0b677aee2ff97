"""The frontier as a picture: false alarms against bad answers served, one dot for each judge. May import the standard library."""

import math
from html import escape
from typing import Any

from benchmarks.judge.families import BAD_FAMILIES, HEALTHY_FAMILIES
from benchmarks.judge.panel import OURS, PEERS, VARIANTS
from benchmarks.judge.tables import failed, mean, of_family

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 30, 370
LEAST = 0.001  # what is less than one in a thousand is drawn there
TICKS = (0.001, 0.01, 0.1, 1.0)
CAREFUL_TO_FAST = ("ours, careful", OURS, "ours, fast")

STYLE = """
    .panel { fill: #ffffff; }
    text { fill: #1f2328; font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
    .small { font-size: 12px; fill: #57606a; }
    .grid { stroke: #d0d7de; stroke-width: 1; }
    .ours { fill: #2e9e5b; } .name { fill: #1a7f43; font-weight: 600; }
    .way { stroke: #2e9e5b; stroke-width: 1.6; fill: none; }
    .other { fill: #c93c37; }
    .limit { stroke: #8a6d0b; stroke-width: 1.4; stroke-dasharray: 5 4; }
    @media (prefers-color-scheme: dark) {
      .panel { fill: #0d1117; }
      text { fill: #e6edf3; }
      .small { fill: #9da7b1; }
      .grid { stroke: #30363d; }
      .name { fill: #56d385; }
      .other { fill: #f0716b; }
      .limit { stroke: #e3b341; }
    }
"""


def points(results: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """For each judge that saw all cells: the share of healthy canaries it failed, and of the bad answers that it let be served; 0 to 1."""
    cells = results["cells"]
    healthy = [cell for family in HEALTHY_FAMILIES for cell in of_family(cells, family)]
    bad = [cell for family in BAD_FAMILIES for cell in of_family(cells, family)]
    found = {}
    for judge in (*CAREFUL_TO_FAST, *PEERS):
        if all(judge in cell["judges"] for cell in cells):
            served = mean(cell["judges"][judge].get("served", 1.0) for cell in bad)
            found[judge] = (mean(failed(cell, judge) for cell in healthy), served)
    return found


def picture(results: dict[str, Any]) -> str:
    """An SVG of 760 by 440, readable in light and dark."""
    dots = points(results)
    said = "; ".join(f"{name}: {100 * x:.1f} % and {100 * y:.0f} %" for name, (x, y) in dots.items())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title desc">',
        '  <title id="title">False alarms and bad answers served, by judge</title>',
        f'  <desc id="desc">Healthy canaries failed, and bad answers served of all there would have been. {escape(said)}.</desc>',
        f"  <style>{STYLE}  </style>",
        f'  <rect class="panel" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        *_axes(),
    ]
    way = " ".join(f"{_x(dots[name][0]):.0f},{_y(dots[name][1]):.0f}" for name in CAREFUL_TO_FAST if name in dots)
    lines.append(f'  <polyline class="way" points="{way}"/>')
    taken: list[tuple[float, float]] = []
    for name, (alarm, served) in sorted(dots.items(), key=lambda item: -item[1][1]):
        x, y = _x(alarm), _y(served)
        lines.append(f'  <circle class="{"ours" if name in (OURS, *VARIANTS) else "other"}" cx="{x:.0f}" cy="{y:.0f}" r="6"/>')
        lines.append(_label(name, x, y, taken))
    return "\n".join([*lines, "</svg>", ""])


def _axes() -> list[str]:
    lines = []
    for tick in TICKS:
        lines.append(f'  <line class="grid" x1="{_x(tick):.0f}" y1="{TOP}" x2="{_x(tick):.0f}" y2="{BOTTOM}"/>')
        words = ("at most " if tick == LEAST else "") + f"{100 * tick:g} %"
        lines.append(f'  <text class="small" text-anchor="middle" x="{_x(tick):.0f}" y="{BOTTOM + 18}">{words}</text>')
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        lines.append(f'  <line class="grid" x1="{LEFT}" y1="{_y(tick):.0f}" x2="{WIDTH - RIGHT}" y2="{_y(tick):.0f}"/>')
        lines.append(f'  <text class="small" text-anchor="end" x="{LEFT - 8}" y="{_y(tick) + 4:.0f}">{100 * tick:.0f} %</text>')
    lines.append(f'  <line class="limit" x1="{_x(0.01):.0f}" y1="{TOP}" x2="{_x(0.01):.0f}" y2="{BOTTOM}"/>')
    lines.append(
        f'  <text x="{LEFT}" y="{TOP - 10}">bad answers served, of all there would have been without a judge (lower is better)</text>'
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(f'  <text text-anchor="middle" x="{middle:.0f}" y="{BOTTOM + 46}">healthy canaries failed (further left is better)</text>')
    return lines


def _label(name: str, x: float, y: float, taken: list[tuple[float, float]]) -> str:
    """Beside its dot, on the side with room, and below a label that is there already."""
    left_of = x > WIDTH - 190
    place = y + 4
    while any(abs(place - other) < 16 and abs(x - at) < 150 for at, other in taken):
        place += 4
    taken.append((x, place))
    anchor, at = ("end", x - 12) if left_of else ("start", x + 12)
    kind = ' class="name"' if name in (OURS, *VARIANTS) else ""
    return f'  <text{kind} text-anchor="{anchor}" x="{at:.0f}" y="{place:.0f}">{escape(name)}</text>'


def _x(share: float) -> float:
    part = (math.log10(max(share, LEAST)) - math.log10(LEAST)) / -math.log10(LEAST)
    return LEFT + 20 + part * (WIDTH - RIGHT - 20 - LEFT - 20)


def _y(share: float) -> float:
    return BOTTOM - share * (BOTTOM - TOP)
