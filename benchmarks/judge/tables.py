"""Stored results as tables for people. May import the standard library."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.judge.claims import claims
from benchmarks.judge.families import BAD_FAMILIES, BROKEN_SPLIT, FAMILIES, HEALTHY_FAMILIES, Family
from benchmarks.judge.panel import OURS, PEERS, SINGLE, SINGLE_UP_TO

COLUMNS = (OURS, *PEERS)
Cells = list[dict[str, Any]]


def everything(results: dict[str, Any]) -> str:
    """All that stands between the markers of docs/judging.md."""
    cells = results["cells"]
    runs = sum(cell["judges"][OURS]["runs"] for cell in cells)
    parts = [
        "![False alarms against bad answers served, one dot for each judge](img/judge.svg)",
        f"{runs} canaries in {len(cells)} cells, seed `{results['seed']}`.",
        "### The gate",
        gate(results),
        "### Healthy canaries that were failed, in percent",
        shares(HEALTHY_FAMILIES, COLUMNS, cells),
        "### Bad canaries that were not failed within 30 minutes, in percent",
        shares(BAD_FAMILIES, COLUMNS, cells, missed=True),
        "### Our judge, by traffic",
        by_traffic(cells),
        "### Our judge, by fault",
        by_fault(cells),
        "### Neither healthy nor bad",
        undecided(cells),
    ]
    return "\n\n".join(parts)


def gate(results: dict[str, Any]) -> str:
    return "\n".join(f"- {'Holds' if claim.holds else '**Broken**'}: {claim.text}." for claim in claims(results))


def shares(families: Sequence[Family], judges: Sequence[str], cells: Cells, *, missed: bool = False) -> str:
    """Failed, or not failed, by family and judge: the mean over rates and shares."""
    rows = []
    for family in families:
        mine = of_family(cells, family)
        if mine:
            rows.append([family.name, *(_percent(mean(failed(cell, judge, missed) for cell in mine)) for judge in judges)])
    means = [_percent(mean(mean(failed(c, judge, missed) for c in of_family(cells, f)) for f in families)) for judge in judges]
    return table(["family", *judges], [*rows, ["*all*", *means]])


def by_traffic(cells: Cells) -> str:
    """What our judge can know at each rate and share."""
    rows = []
    for rate, share in sorted({(cell["rate"], cell["share"]) for cell in cells}):
        here = [cell for cell in cells if (cell["rate"], cell["share"]) == (rate, share)]
        plain = next((c["judges"][OURS] for c in here if c["family"] == HEALTHY_FAMILIES[0].name), None)
        bad = [c for family in BAD_FAMILIES for c in of_family(here, family)]
        tenfold = next((c["judges"][OURS] for c in here if c["family"] == "errors x10"), None)
        if plain is None or tenfold is None:
            continue
        passed = _percent(plain["passed"] / plain["runs"])
        caught = [_percent(mean(failed(c, name) for c in bad)) for name in (OURS, "Kayenta")]
        rows.append([f"{rate:,}", str(share), passed, _minutes(plain["to_pass"]), *caught, _minutes(tenfold["minutes"][0])])
    head = [
        "requests a minute",
        "canary's %",
        "healthy: passed %",
        "after min",
        "bad: failed %",
        "Kayenta",
        "10 times the errors: failed after min",
    ]
    return table(head, rows)


def by_fault(cells: Cells) -> str:
    """How soon, how much harm, and what single requests would add."""
    rows = []
    for family in BAD_FAMILIES:
        mine = of_family(cells, family)
        caught = [c["judges"][OURS]["minutes"] for c in mine if c["judges"][OURS]["failed"]]
        if not mine:
            continue
        low = [c for c in mine if c["rate"] <= SINGLE_UP_TO and SINGLE in c["judges"]]
        row = [family.name, family.text, _minutes(median(m[0] for m in caught)), _minutes(median(m[1] for m in caught))]
        row.append(_percent(mean(c["judges"][OURS]["passed"] / c["judges"][OURS]["runs"] for c in mine)))
        row += [_percent(mean(c["judges"][name].get("served", 1.0) for c in mine)) for name in (OURS, "Kayenta")]
        row += [_percent(mean(failed(c, name) for c in low)) for name in (OURS, SINGLE)] if low else ["", ""]
        rows.append(row)
    head = ["family", "what is wrong", "median min", "95 of 100 min", "passed first %", "bad answers served, % of all", "with Kayenta"]
    return table([*head, f"failed % up to {SINGLE_UP_TO}/min", "same, single requests known"], rows)


def undecided(cells: Cells) -> str:
    """The broken split, and what is said when data is missing."""
    rows = []
    for family in (BROKEN_SPLIT, *(f for f in FAMILIES if f.gaps)):
        mine = [cell["judges"][OURS] for cell in of_family(cells, family)]
        if mine:
            words = [
                _percent(mean(figures[word] / figures["runs"] for figures in mine))
                for word in ("failed", "error", "passed", "inconclusive")
            ]
            rows.append([family.name, family.text, *words])
    return table(["family", "what it is like", "fail %", "error %", "pass %", "nothing known %"], rows)


def of_family(cells: Cells, family: Family) -> Cells:
    return [cell for cell in cells if cell["family"] == family.name]


def failed(cell: dict[str, Any], judge: str, missed: bool = False) -> float:
    """The share of a cell's canaries that this judge failed, or did not."""
    figures = cell["judges"][judge]
    share = float(figures["failed"] / figures["runs"])
    return 1 - share if missed else share


def mean(numbers: Iterable[float]) -> float:
    """0 of nothing."""
    known = list(numbers)
    return sum(known) / len(known) if known else 0.0


def median(numbers: Iterable[float]) -> float | None:
    known = sorted(numbers)
    return known[(len(known) - 1) // 2] if known else None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "-|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _minutes(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
