"""Is the canary worse than stable? All metrics together, one verdict. Pure; may import `domain` and the standard library only.

The risk of failing a healthy canary is shared out: among the metrics, and in each between looking every minute and one look at the longest
minute. So the sum over a whole bake is what `confidence` promises, however often `judge` is asked.
"""

import math
from collections.abc import Callable, Sequence

from aml_canary.domain.judge import catastrophe, metrics, outlook, risk, safety, split
from aml_canary.domain.judge.counts import Count, design_effects
from aml_canary.domain.judge.metrics import Pair, Said
from aml_canary.domain.judge.minutes import Arm, Minute
from aml_canary.domain.judge.verdict import Finding, Verdict, Word
from aml_canary.domain.manifest import Judge

# A chance of one in so many that the canary is healthy holds a promotion, though it does not fail it.
HOLD = 10


def judge(minutes: Sequence[Minute], rules: Judge, share: float, *, before: Sequence[Minute] = ()) -> Verdict:
    """The verdict on whole minutes since the traffic step, the oldest first.

    `share` is the canary's part of live traffic (above 0, to 1). With 1 there is no stable to compare with; then stable's arms in `before`,
    the minutes of the earlier steps, stand for it. Otherwise `before` only tells how errors come in clusters.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share of live traffic {share}: more than 0 and at most 1")
    ordered = sorted(minutes, key=lambda minute: minute.at)
    pairs = [(one.canary, one.stable or Arm()) for one in ordered if one.canary is not None and (one.stable is not None or share >= 1)]
    if not pairs:
        return _nothing(len(ordered), rules)
    past = [minute.stable for minute in before if minute.stable is not None]
    return _Bake(ordered, [(own, other) for own, other in pairs if own is not None], past, rules, share).verdict()


def _nothing(minutes: int, rules: Judge) -> Verdict:
    if not minutes:
        return Verdict("inconclusive", "no whole minute since the traffic step yet")
    word: Word = "error" if minutes >= rules.least_minutes else "inconclusive"
    return Verdict(
        word, f"no data: the source of metrics has nothing of canary and stable in {minutes} {_minutes(minutes)}", minutes=minutes
    )


class _Bake:
    def __init__(self, ordered: Sequence[Minute], pairs: Sequence[Pair], past: Sequence[Arm], rules: Judge, share: float) -> None:
        self.minutes, self.pairs, self.past, self.rules, self.share = len(ordered), pairs, past, rules, share
        self.gaps = len(ordered) - len(pairs)
        self.risk = risk.risk(rules)
        self.age = ordered[-1].at - ordered[0].at + 1
        # The minutes of the last look; None before its time.
        self.whole: list[Pair] | None = None
        if self.age >= rules.longest_minutes and share < 1:
            early = [one for one in ordered if one.at - ordered[0].at < rules.longest_minutes]
            self.whole = [(one.canary, one.stable) for one in early if one.canary is not None and one.stable is not None]
        self.counts = _counts(pairs)
        arms = [[(one.requests, one.errors) for one in arm] for arm in ([own for own, _ in pairs], [other for _, other in pairs], past)]
        self.effect, self.plain = design_effects(arms)
        self.canary = sum(own.requests for own, _ in pairs)
        self.stable = sum(other.requests for _, other in pairs)

    def verdict(self) -> Verdict:
        said = self._said()
        scale = sum(one.weight for one in said)
        findings = tuple(self._finding(one, scale) for one in said)
        hold = any(sum(one.weight / scale * what for one, what in zip(said, sort, strict=True)) >= HOLD for sort in _doubts(said))

        def so(word: Word, reason: str, requests: int | None = None, minutes: int | None = None) -> Verdict:
            return Verdict(word, reason, findings, self.stable, self.canary, self.minutes, hold or word == "fail", requests, minutes)

        plain = catastrophe.broken(self.counts, self.effect, self.risk.fail) if self.share < 1 else None
        if plain:
            return so("fail", f"canary is broken: {plain[0]} of its newest {plain[1]} answers are errors, while stable is well")
        failed = [one for one, finding in zip(said, findings, strict=True) if finding.word == "fail"]
        if failed:
            worst = max(failed, key=lambda one: one.against * one.weight)
            return so("fail", f"{worst.worse}; wrong once in {_once(worst.against)})")
        if self.share < 1:
            pairs = [(own.requests + other.requests, own.requests) for own, other in self.pairs]
            if split.evidence(pairs, self.share) >= 10 / self.risk.fail:
                seen = 100 * self.canary / max(1, self.canary + self.stable)
                return so(
                    "error",
                    f"the split is broken: {100 * self.share:.3g} % asked, {seen:.2g} % seen ({self.canary} of {self.canary + self.stable})",
                )
        if 2 * self.gaps > self.minutes:
            return so("inconclusive", f"no data in {self.gaps} of {self.minutes} minutes")
        if not self.canary:
            who = "the canary was not asked anything" if self.stable else "no traffic"
            return so("inconclusive", f"{who} in {self.minutes} {_minutes(self.minutes)}")
        return self._without_fault(said, hold, so)

    def _without_fault(self, said: Sequence[Said], hold: bool, so: Callable[..., Verdict]) -> Verdict:
        known = [one for one in said if one.safe is not None]
        open_ = [one.metric for one in known if (one.safe or 0) < 1 / self.risk.passing]
        unseen = [name for name in ("errors", "latency") if not any(name in one.metric for one in said if one.weight > 1)]
        lack = f"; nothing is known of {' and '.join(unseen)}" if unseen else ""
        tried = f"{self.canary} requests in {self.minutes} {_minutes(self.minutes)}"
        if known and not open_ and not hold and self.minutes - self.gaps >= self.rules.least_minutes:
            within = f"errors less than {self.rules.tolerated_error_percent:g} points above stable's"
            if "latency" not in unseen:
                within += f", latency less than {self.rules.tolerated_slowdown:g} times,"
            return so("pass", f"canary is as good as stable: {within} after {tried}{lack}")
        requests, minutes = self._needs(known)
        if hold:
            suspect = max(said, key=lambda one: one.weight * one.against)
            return so("inconclusive", f"not sure yet, but {suspect.worse}; by chance once in {_once(suspect.against)})", requests, minutes)
        if known and not open_:
            rest = self.rules.least_minutes - (self.minutes - self.gaps)
            return so("inconclusive", f"good so far, after {tried}; {self.rules.least_minutes} minutes are the least", 0, rest)
        what = " and ".join(open_) or "canary"
        more = f"; about {requests} more requests ({minutes} min) would do" if requests is not None and minutes is not None else ""
        return so("inconclusive", f"too little is known of {what} after {tried}{more}{lack}", requests, minutes)

    def _said(self) -> list[Said]:
        arms = [own for own, _ in self.pairs]
        if self.share >= 1:
            return metrics.alone(arms, self.past, self.rules, self.effect, self.plain) + metrics.absolute(arms, self.rules, self.effect)
        parts = risk.parts(self.canary / len(self.pairs) * self.rules.longest_minutes)
        whole = _counts(self.whole) if self.whole is not None else None
        said = [metrics.errors(self.counts, whole, self.rules, self.effect, self.plain, parts)]
        rest = metrics.spared(whole, self.effect, parts, self.risk.fail) if parts is risk.FEW else parts
        slow = metrics.latency(self.pairs, self.whole, self.rules, rest)
        slowest = metrics.slowest(self.pairs, self.whole, parts)
        later = None if self.whole is None else [(own.quality, other.quality) for own, other in self.whole]
        good = metrics.answers([(own.quality, other.quality) for own, other in self.pairs], later, parts)
        return [*said, *(one for one in (slow, slowest, good) if one), *metrics.absolute(arms, self.rules, self.effect)]

    def _finding(self, said: Said, scale: float) -> Finding:
        word: Word = "inconclusive"
        if said.weight / scale * said.against >= 1 / self.risk.fail:
            word = "fail"
        elif said.safe is not None and said.safe >= 1 / self.risk.passing:
            word = "pass"
        return Finding(said.metric, word, said.stable, said.canary, said.effect, said.against, 1.0 if said.safe is None else said.safe)

    def _needs(self, known: Sequence[Said]) -> tuple[int | None, int | None]:
        rate = self.canary / max(1, len(self.pairs))
        x, m = sum(one.stable_errors for one in self.counts), max(1, self.stable)
        needed: list[float] = [rate * max(0, self.rules.least_minutes - self.minutes)]
        for one in known:
            if one.metric == "errors":
                limit = safety.too_many(x, m, self.rules.tolerated_error_percent)
                requests = outlook.requests_to_pass(min(x / m, limit / 2), limit, one.safe or 1.0, self.rules)
            else:
                minutes = outlook.latency_minutes(rate, self.rules)
                left = math.log(1 / self.risk.passing / max(1e-9, one.safe or 1.0)) / math.log(1 / self.risk.passing)
                requests = None if minutes is None else minutes * max(0.0, left) * rate
            if requests is None:
                return None, None
            needed.append(requests)
        return math.ceil(max(needed)), math.ceil(max(needed) / rate)


def _doubts(said: Sequence[Said]) -> tuple[list[float], list[float]]:
    return [one.against for one in said], [one.suspicion for one in said]


def _counts(pairs: Sequence[Pair]) -> list[Count]:
    return [Count(own.requests, own.errors, other.requests, other.errors) for own, other in pairs]


def _minutes(number: int) -> str:
    return "minute" if number == 1 else "minutes"


def _once(evidence: float) -> str:
    return f"{evidence:.0f}" if evidence < 1e4 else f"{evidence:.0e}".replace("e+0", "e").replace("e+", "e")
