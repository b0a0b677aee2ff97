"""Every judge over the same canary. May import aml_canary.domain and the rules of others beside it.

Our judge is asked once a minute, as the flow asks it, until it fails the canary or the bake is over. Going on after a pass is harder on it:
a pass ends a bake, and what it would have said later can only be a false alarm, or a fault that was not there yet.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aml_canary.domain.judge.judging import judge
from aml_canary.domain.judge.minutes import Minute
from aml_canary.domain.manifest import Judge
from benchmarks.judge import kayenta, thresholds
from benchmarks.judge.families import MINUTES
from benchmarks.judge.traffic import Bake, Cell, bake

OURS = "ours"
SINGLE = "ours, single requests"
OFTEN = "Kayenta every 5 min"  # six times the work of all other rules, so it judges fewer canaries
PEERS: dict[str, Callable[[Sequence[Minute]], int | None]] = {
    "Kayenta": kayenta.failed_at_the_end,
    OFTEN: kayenta.failed_every_five,
    "Flagger": thresholds.flagger,
    "Argo Rollouts": thresholds.argo,
    "CloudWatch alarm": thresholds.cloudwatch,
}
VARIANTS = {"ours, careful": "careful", "ours, fast": "fast"}
JUDGES = (OURS, SINGLE, *VARIANTS, *PEERS)
METRICS = 2  # errors and latency
SINGLE_UP_TO = 600  # requests a minute; above, drawing single requests takes longer than everything else


@dataclass(frozen=True)
class Outcome:
    """What one judge made of one canary: the minute (from 1) of its first fail, pass and error, and the bad answers served until it failed.

    `unjudged` is how many there would have been without any judge. `cpu` is in seconds, for `decisions` questions; others are not timed.
    """

    failed: int | None
    passed: int | None = None
    errored: int | None = None
    harm: float = 0.0
    unjudged: float = 0.0
    cpu: float = 0.0
    decisions: int = 0


@dataclass
class Outcomes:
    """All runs of one cell, by judge, in the order of the runs."""

    cell: Cell
    by_judge: dict[str, list[Outcome]] = field(default_factory=dict)

    def add(self, name: str, outcome: Outcome) -> None:
        self.by_judge.setdefault(name, []).append(outcome)


def rules(confidence: str = "normal") -> Judge:
    return Judge(longest_minutes=MINUTES, confidence=confidence)  # type: ignore[arg-type]


def ours(run: Bake, cell: Cell, how: Judge) -> Outcome:
    passed = errored = failed = None
    decisions = 0
    began = time.process_time()
    for end in range(1, len(run.minutes) + 1):
        word = judge(run.minutes[:end], how, cell.share / 100).word
        decisions += 1
        if word == "fail":
            failed = end
            break
        if word == "pass":
            passed = passed or end
        if word == "error":
            errored = errored or end
    return Outcome(failed, passed, errored, sum(run.harm[:failed]), sum(run.harm), time.process_time() - began, decisions)


def theirs(run: Bake, rule: Callable[[Sequence[Minute]], int | None]) -> Outcome:
    failed = rule(run.minutes)
    return Outcome(failed, None if failed else len(run.minutes), None, sum(run.harm[:failed]), sum(run.harm))


def outcomes(cell: Cell, runs: int, extra: int = 0, single: int = 0) -> Outcomes:
    """`runs` canaries of a cell before our judge and the others; the first `extra` before OFTEN and our variants; `single` others request by request."""
    result, normal = Outcomes(cell), rules()
    variants = {name: rules(word) for name, word in VARIANTS.items()}
    for number in range(runs):
        run = bake(cell, number)
        result.add(OURS, ours(run, cell, normal))
        for name, rule in PEERS.items():
            if name != OFTEN or number < extra:
                result.add(name, theirs(run, rule))
        if number < extra:
            for name, how in variants.items():
                result.add(name, ours(run, cell, how))
    if cell.rate <= SINGLE_UP_TO:
        for number in range(single):
            result.add(SINGLE, ours(bake(cell, number, single=True), cell, normal))
    return result
