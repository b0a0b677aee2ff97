"""The gate: what the judge has to be, as claims with their figures. Reads stored results; may import the standard library.

(a) It fails at most 1 % of healthy canaries, at alpha 1 %: in each healthy family the exact 95 % interval of all its runs ends at or below
    1 %, and in no single cell does that cell's interval begin above 1 %.
(b) Its sum of false alarms (in the matching healthy cell) and misses is smaller than Kayenta's, and than Flagger's, in at least 90 % of the
    cells in which they differ. All judges see the same canaries; two sums differ where an exact paired test says so at 5 %. A cell in which
    it does not, is called equal and is told, but does not count.
(c) It takes less than 5 ms of CPU per metric and minute.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.judge.families import FAMILIES, HEALTHY_FAMILIES
from benchmarks.judge.panel import METRICS, OURS
from benchmarks.judge.scores import RIVALS, interval, sign_test

ALPHA = 0.01
LEAST_SHARE = 0.9
MOST_MS = 5.0
SIGNIFICANT = 0.05
KNOWN = {family.name: family for family in FAMILIES}


@dataclass(frozen=True)
class Claim:
    """Something that has to be true, and the figures that show it."""

    text: str
    holds: bool


@dataclass(frozen=True)
class Tally:
    """Cells in which our sum is smaller, equal within the noise, or larger; `far` more than 5 points larger at face value."""

    smaller: int
    equal: int
    larger: int
    far: int

    @property
    def share(self) -> float:
        decided = self.smaller + self.larger
        return self.smaller / decided if decided else 0.0


def claims(results: dict[str, Any]) -> Iterator[Claim]:
    """All of them, in order."""
    yield from false_alarms(results)
    for rival in RIVALS:
        t = tally(results, rival)
        text = (
            f"the sum of false alarms and misses is smaller than {rival}'s in {t.smaller} cells, equal within the noise in {t.equal}, "
            f"larger in {t.larger}: {100 * t.share:.1f} % of those that differ (90 % or more); more than 5 points larger in {t.far}"
        )
        yield Claim(text, t.share >= LEAST_SHARE)
    worst = max(results["cpu"].values()) * 1000 / METRICS
    yield Claim(f"{worst:.2f} ms of CPU per metric and minute at the costliest rate (less than {MOST_MS:g})", worst < MOST_MS)


def false_alarms(results: dict[str, Any]) -> Iterator[Claim]:
    for family in HEALTHY_FAMILIES:
        counts = [(c["judges"][OURS]["failed"], c["judges"][OURS]["runs"], c) for c in results["cells"] if c["family"] == family.name]
        if not counts:
            continue
        failed, runs = sum(f for f, _, _ in counts), sum(n for _, n, _ in counts)
        _, high = interval(failed, runs)
        above = [f"{c['rate']}/min at {c['share']} % ({f} of {n})" for f, n, c in counts if interval(f, n)[0] > ALPHA]
        text = f"false alarms, {family.name}: {failed} of {runs} ({100 * failed / runs:.2f} %, at most {100 * high:.2f} %)"
        yield Claim(text + (f"; above 1 % for certain: {', '.join(above)}" if above else ""), high <= ALPHA and not above)


def tally(results: dict[str, Any], rival: str) -> Tally:
    smaller = equal = larger = far = 0
    for cell in results["cells"]:
        if not KNOWN[cell["family"]].bad:
            continue
        better, worse = cell["duels"][rival]
        far += worse - better > 0.05 * cell["pairs"]
        if sign_test(better, worse) >= SIGNIFICANT:
            equal += 1
        elif better > worse:
            smaller += 1
        else:
            larger += 1
    return Tally(smaller, equal, larger, far)


def losses(results: dict[str, Any]) -> list[tuple[str, dict[str, Any], int, int]]:
    """The cells in which a rival's sum is smaller beyond the noise: rival, cell, runs only it got right, runs only we did."""
    found = []
    for rival in RIVALS:
        for cell in results["cells"]:
            if KNOWN[cell["family"]].bad:
                better, worse = cell["duels"][rival]
                if worse > better and sign_test(better, worse) < SIGNIFICANT:
                    found.append((rival, cell, worse, better))
    return found
