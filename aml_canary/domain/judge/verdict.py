"""What the judge says. May import the standard library only."""

from dataclasses import dataclass, replace
from typing import Literal

Word = Literal["pass", "fail", "inconclusive", "error"]


@dataclass(frozen=True)
class Finding:
    """What one metric says about the canary.

    `stable` and `canary` are the values compared, ready to be shown ("0.5 %", "31 ms"). `effect` is how much worse, with its interval, as
    text ("8.2 times the errors (3.1 to 22)"). `evidence` is for being worse, as a number that a healthy canary exceeds with probability
    at most 1/number, ever; `safety` the same for being no worse than tolerated.
    """

    metric: str
    word: Word
    stable: str
    canary: str
    effect: str
    evidence: float
    safety: float


@dataclass(frozen=True)
class Verdict:
    """The judge's word on a canary, and why.

    `reason` is one sentence. `needs_requests` and `needs_minutes` are for inconclusive: about how many more canary requests, and minutes at
    the present rate, a healthy canary still needs; None where that cannot be said. `hold`: not yet sure, but worse than it should be.
    """

    word: Word
    reason: str
    findings: tuple[Finding, ...] = ()
    stable_requests: int = 0
    canary_requests: int = 0
    minutes: int = 0
    hold: bool = False
    needs_requests: int | None = None
    needs_minutes: int | None = None

    def also(self, finding: Finding) -> "Verdict":
        """The verdict with one more finding, which may fail it, or leave it open, and cannot make it better."""
        both = replace(self, findings=(*self.findings, finding))
        worse = {"fail": 0, "error": 1, "inconclusive": 2, "pass": 3}
        if worse[finding.word] >= worse[self.word]:
            return both
        return replace(both, word=finding.word, reason=f"{finding.metric}: {finding.effect}.")
