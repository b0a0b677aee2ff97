"""From outcomes to figures: shares with exact intervals, times, harm, and who is better. May import the standard library."""

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.judge.panel import OURS, Outcome, Outcomes
from benchmarks.judge.traffic import Cell

CONFIDENCE = 0.95
RIVALS = ("Kayenta", "Flagger")  # those the gate compares with


def at_most(count: int, trials: int, chance: float) -> float:
    """Probability of `count` or fewer of `trials`, each with `chance` (0 to 1)."""
    if count >= trials or chance <= 0:
        return 1.0
    if count < 0 or chance >= 1:
        return 0.0
    if count > trials // 2:
        return 1 - at_most(trials - count - 1, trials, 1 - chance)
    total = 0.0
    weight = trials * math.log1p(-chance)
    step = math.log(chance) - math.log1p(-chance)
    for number in range(count + 1):
        total += math.exp(weight)
        weight += math.log((trials - number) / (number + 1)) + step
    return min(1.0, total)


def interval(count: int, trials: int) -> tuple[float, float]:
    """The exact (Clopper and Pearson's) 95 % interval of a share; (0, 1) of nothing."""
    if not trials:
        return 0.0, 1.0
    tail = (1 - CONFIDENCE) / 2
    low = _solve(lambda chance: 1 - at_most(count - 1, trials, chance), tail) if count else 0.0
    high = _solve(lambda chance: 1 - at_most(count, trials, chance), 1 - tail) if count < trials else 1.0
    return low, high


def _solve(rising: Any, level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2


def sign_test(better: int, worse: int) -> float:
    """The two-sided exact probability of so unequal a split of `better + worse` by a fair coin (McNemar's exact test)."""
    total = better + worse
    return min(1.0, 2 * at_most(min(better, worse), total, 0.5)) if total else 1.0


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def summary(found: Outcomes, judge: str) -> dict[str, Any]:
    """One judge's figures in one cell, as they are stored.

    `minutes` (median and 95th percentile to a fail) count from the first bad one; `harm` is the mean number of bad answers served, `served`
    their share of those that would have been without a judge; `passed` counts canaries that passed before they failed, if they did.
    """
    all_of = found.by_judge[judge]
    family = found.cell.family
    failed = [outcome for outcome in all_of if outcome.failed is not None]
    taken = [float(outcome.failed - family.onset) for outcome in failed if outcome.failed is not None]
    first_pass = [float(o.passed) for o in all_of if o.passed is not None]
    figures: dict[str, Any] = {
        "runs": len(all_of),
        "failed": len(failed),
        "passed": len(first_pass),
        "error": sum(o.errored is not None for o in all_of),
        "inconclusive": sum(o.failed is None and o.passed is None and o.errored is None for o in all_of),
        "minutes": [quantile(taken, 0.5), quantile(taken, 0.95)],
        "harm": round(sum(o.harm for o in all_of) / len(all_of), 3),
    }
    if unjudged := sum(o.unjudged for o in all_of):
        figures["served"] = round(sum(o.harm for o in all_of) / unjudged, 4)
    if any(o.decisions for o in all_of):
        figures["to_pass"] = quantile(first_pass, 0.5)
    return figures


def wrong(cell: Cell, outcome: Outcome) -> bool:
    """A miss of a bad canary, or a false alarm on a healthy one."""
    return (outcome.failed is None) if cell.family.bad else outcome.failed is not None


def duel(bad: Outcomes, healthy: Outcomes, rival: str) -> tuple[int, int]:
    """On how many of the same canaries only the rival was wrong, and on how many only we were; healthy and bad ones together.

    Both cells count with as many runs as the smaller has, so the difference of the two, by that number, is the difference of the sums of
    false alarms and misses.
    """
    runs = min(len(bad.by_judge[OURS]), len(healthy.by_judge[OURS]))
    better = worse = 0
    for found in (bad, healthy):
        for we, they in zip(found.by_judge[OURS][:runs], found.by_judge[rival][:runs], strict=True):
            mine, theirs = wrong(found.cell, we), wrong(found.cell, they)
            better += theirs and not mine
            worse += mine and not theirs
    return better, worse


def stored(everything: Sequence[Outcomes]) -> list[dict[str, Any]]:
    """All cells with all judges' figures, and how the duels ended, ready for JSON."""
    healthy = {(found.cell.family.name, found.cell.rate, found.cell.share): found for found in everything}
    rows = []
    for found in everything:
        cell = found.cell
        row: dict[str, Any] = {"family": cell.family.name, "rate": cell.rate, "share": cell.share}
        row["judges"] = {judge: summary(found, judge) for judge in found.by_judge}
        if cell.family.bad:
            mate = healthy[cell.family.healthy, cell.rate, cell.share]
            row["duels"] = {rival: duel(found, mate, rival) for rival in RIVALS}
            row["pairs"] = min(len(found.by_judge[OURS]), len(mate.by_judge[OURS]))
        rows.append(row)
    return rows


def cpu(everything: Sequence[Outcomes], judge: str = OURS) -> dict[int, float]:
    """Seconds of CPU per decision, by requests a minute."""
    by_rate: dict[int, list[Outcome]] = {}
    for found in everything:
        by_rate.setdefault(found.cell.rate, []).extend(found.by_judge.get(judge, ()))
    return {rate: sum(o.cpu for o in all_of) / sum(o.decisions for o in all_of) for rate, all_of in sorted(by_rate.items()) if all_of}
