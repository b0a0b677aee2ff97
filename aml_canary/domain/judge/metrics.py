"""What each metric says: evidence for worse, evidence for safe, and the numbers for people. The word comes from `judging`.

May import `domain` and the standard library only.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from aml_canary.domain.judge import coarse, counts, limits, nearby, quality, ranks, safety, signed, tops
from aml_canary.domain.judge.betting import MOST
from aml_canary.domain.judge.coarse import Latency
from aml_canary.domain.judge.counts import Count
from aml_canary.domain.judge.minutes import Arm
from aml_canary.domain.judge.risk import Parts
from aml_canary.domain.manifest import Judge

Pair = tuple[Arm, Arm]  # canary and stable
Minutes = TypeVar("Minutes")

# What they weigh, when the risk of a false alarm is shared out.
ERRORS, LATENCY, SLOWEST = 7.2, 2.2, 0.6
# Of the risk of errors that cannot fail anybody, this part is for latency; the rest stays unspent, since not all its tests are exact.
SPARED = 0.5
# So many minutes a canary may have to warm up. With fewer than ENOUGH requests a minute that does not stand out, and each minute is needed.
WARM_UP, ENOUGH = 3, 3

# With all of the traffic, the canary is compared with another time: so many times what was then is still as good.
HOUR_ERRORS, HOUR_LATENCY = 2.0, 1.25


class Said(NamedTuple):
    """A metric's finding, as far as it goes without the other metrics.

    `weight` is its part of the risk, before all of them are scaled to 1; `worse` a sentence that holds if it fails. `safe` None: it has
    nothing to be passed on, and does not stand in the way of a pass. `suspicion` is evidence that counts for holding only.
    """

    metric: str
    weight: float
    stable: str
    canary: str
    effect: str
    worse: str
    against: float
    safe: float | None
    suspicion: float = 1.0


def joined(parts: Parts, evidence: float, chance: float | None) -> float:
    """One number from the looks at every minute and, when its time has come, the last look: exceeded by chance once in so many."""
    return min(MOST, max(parts.early * evidence, parts.last / chance if chance else 0.0))


def errors(found: Sequence[Count], whole: Sequence[Count] | None, rules: Judge, effect: float, plain: float, parts: Parts) -> Said:
    """Errors. `whole`: the minutes up to the last look, if its time has come. `effect`, `plain`: design effects to fail and to pass."""
    n, x = sum(one.canary for one in found), sum(one.canary_errors for one in found)
    m, y = sum(one.stable for one in found), sum(one.stable_errors for one in found)
    chance = counts.chance(whole, effect) if whole is not None else None
    evidence = counts.evidence(found, effect)
    against, more = joined(parts, evidence, chance), x * m > counts.TOLERATED * y * n
    limit = safety.too_many(y, m, rules.tolerated_error_percent)
    times = ratio(x, n, y, m, effect)
    return Said(
        "errors",
        ERRORS,
        percent(y, m),
        percent(x, n),
        times or "no errors in either",
        f"canary answers {(times.split(' (')[0] + ' as many errors as') if times else 'more errors than'} stable"
        f" ({percent(x, n)} against {percent(y, m)}, {x} of {n}",
        against if more else min(1.0, against),
        safety.of_errors(x, n, limit, plain) if n and m else None,
        evidence if more else 1.0,
    )


def ratio(x: int, n: int, y: int, m: int, effect: float) -> str:
    """ "8.2 times (3.1 to 22)": how many times stable's share of errors (y of m) the canary's is (x of n), with its 95 % interval."""
    if not (n and m and x + y):
        return ""
    middle = math.log((x + 0.5) / (n + 1)) - math.log((y + 0.5) / (m + 1))
    half = 1.96 * math.sqrt(effect * (1 / (x + 0.5) + 1 / (y + 0.5)))
    low, high = math.exp(middle - half), math.exp(min(middle + half, 50))
    most = short(high) if high < 1e4 else "any"
    return f"{short(math.exp(middle))} times ({short(low)} to {most})"


def short(number: float, digits: int = 2) -> str:
    """A number for people: so many digits that say something, and never an exponent."""
    if not number:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(number)))
    text = f"{round(number, places):.{max(0, min(places, 6))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(errors: float, requests: float) -> str:
    """A share, ready to be shown."""
    return f"{short(100 * errors / requests)} %" if requests else "none asked"


def spared(whole: Sequence[Count] | None, effect: float, parts: Parts, most: float) -> Parts:
    """The parts for latency: with some of errors at the last look, where there were so few errors that they could not have failed anybody.

    How many there were in all says nothing about whose they are, so a test that could not be sure, whoever they are of, needs no risk
    (Tarone 1990). `most` is the whole risk of a false alarm.
    """
    if whole is None or counts.least(whole, effect) <= most * parts.last:
        return parts
    return parts._replace(last=parts.last * (1 + SPARED * ERRORS / LATENCY))


def latency(found: Sequence[Pair], whole: Sequence[Pair] | None, rules: Judge, parts: Parts) -> Said | None:
    """Latency: by single requests where both arms have them, else by percentiles. None where no minute has either.

    The first minutes count in what is looked at every minute, but neither in the last look nor in whether it is felt: a canary may warm up.
    """
    if whole is not None and coarse.usual([coarsely(pair) for pair in whole]) >= ENOUGH:
        whole = warm(whole)
    if any(canary.durations and stable.durations for canary, stable in found):
        values = [(canary.durations, stable.durations) for canary, stable in found]
        later = None if whole is None else [(one.durations, other.durations) for one, other in whole]
        seen = [Latency(len(own), placed(own), len(others), placed(others)) for own, others in values if own and others]
        by = {50: single(values, later, parts)}
    else:
        seen = [both for both in map(coarsely, found) if both.canary and both.stable and both.canary_ms and both.stable_ms]
        if not seen:
            return None
        by = coarsely_against(seen, [coarsely(pair) for pair in whole] if whole is not None else None, parts)
    felt = {q: coarse.felt(shown(warm(seen), q)) for q in coarse.PERCENTS}
    most = max((by[q] for q in by if felt[q]), default=0.0)
    # The lowest percentile that is sure enough says most.
    worst = next((q for q in by if felt[q] and by[q] >= min(most, 1e4)), 50)
    # Evidence for what nobody feels is none.
    against = max(most, by[worst]) if most else min(1.0, by[worst])
    pairs = shown(seen, worst)
    canary, stable, text = middle([own for own, _ in pairs]), middle([other for _, other in pairs]), times_of(pairs)
    return Said(
        "latency",
        LATENCY,
        f"p{worst} {short(stable, 3)} ms",
        f"p{worst} {short(canary, 3)} ms",
        text,
        f"canary's p{worst} latency is {text.split(' (')[0]} stable's ({short(canary, 3)} ms against {short(stable, 3)} ms, over {len(pairs)} minutes",
        against,
        safety.of_latency(seen, rules.tolerated_slowdown, coarse.is_wide(seen)),
    )


def warm(minutes: Sequence[Minutes]) -> Sequence[Minutes]:
    """Without the minutes in which a canary may have to warm up; all of them while there are few."""
    return minutes[WARM_UP:] if len(minutes) > WARM_UP else minutes


def slowest(found: Sequence[Pair], whole: Sequence[Pair] | None, parts: Parts) -> Said | None:
    """The slowest requests, where percentiles tell them; judged at the last look only."""
    top = tops.tops([coarsely(pair) for pair in warm(whole or found)])
    if top is None or any(own.durations for own, _ in found):
        return None
    seen = f"{short(top.canary, 3)} ms against {short(top.stable, 3)} ms"
    return Said(
        "slowest requests",
        SLOWEST,
        f"{short(top.stable, 3)} ms",
        f"{short(top.canary, 3)} ms",
        f"{top.minutes} minutes of canary above all of stable's",
        f"canary has requests slower than all of stable's in {top.minutes} minutes ({seen}",
        min(MOST, parts.last / max(top.chance, 1 / MOST)) if whole is not None else 0.0,
        None,
    )


def shown(minutes: Sequence[Latency], q: int) -> list[tuple[float, float]]:
    """(canary, stable) milliseconds of one percentile, by minute."""
    return [(one.canary_ms[q], one.stable_ms[q]) for one in minutes if q in one.canary_ms and q in one.stable_ms]


def coarsely_against(found: Sequence[Latency], whole: Sequence[Latency] | None, parts: Parts) -> dict[int, float]:
    """Evidence for being slower, by percentile; the sum of their inverses is a healthy canary's risk."""
    evidence = coarse.evidence(found)
    chances: dict[int, float] = {}
    if whole is not None:
        chances = coarse.chance(whole)
        if coarse.usual(whole) < coarse.SINGLE:
            chances[50] = nearby.chance(whole)
        elif not coarse.is_wide(whole):
            chances[50] = signed.chance(signed.differences(whole))
    shares = coarse.shares(coarse.usual(found))
    return {q: joined(parts, evidence[q], chances.get(q)) * shares[q] for q in coarse.PERCENTS}


def coarsely(pair: Pair) -> Latency:
    """A minute's percentiles of both."""
    canary, stable = pair
    return Latency(canary.requests, canary.percentiles, stable.requests, stable.percentiles)


def placed(durations: ranks.Values) -> dict[int, float]:
    """Percentiles of single latencies, by the nearest rank."""
    ordered = sorted(durations)
    return {q: ordered[coarse.rank(len(ordered), q) - 1] for q in coarse.PERCENTS} if ordered else {}


def times_of(pairs: Sequence[tuple[float, float]]) -> str:
    """ "1.9 times (1.7 to 2.2)": the median over minutes of the canary's over stable's, with its 95 % interval."""
    found = sorted(own / other for own, other in pairs if other > 0)
    if not found:
        return "not comparable"
    far = min(len(found) // 2, max(0, math.floor((len(found) - 1.96 * math.sqrt(len(found))) / 2)))
    return f"{short(middle(found))} times ({short(found[far])} to {short(found[-1 - far])})"


def middle(values: Sequence[float]) -> float:
    """The median; 0 of nothing."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2 if ordered else 0.0


def single(
    found: Sequence[tuple[ranks.Values, ranks.Values]], whole: Sequence[tuple[ranks.Values, ranks.Values]] | None, parts: Parts
) -> float:
    """Evidence for single values of the canary being higher, of (canary, stable) by minute."""
    return joined(parts, ranks.evidence(found), ranks.chance(whole) if whole is not None else None)


def answers(
    found: Sequence[tuple[ranks.Values, ranks.Values]], whole: Sequence[tuple[ranks.Values, ranks.Values]] | None, parts: Parts
) -> Said | None:
    """Quality, of (canary, stable) by minute; higher is better. None where there is none."""
    seen = [pair for pair in found if pair[0] and pair[1]]
    if not seen:
        return None
    canary, stable = [value for own, _ in seen for value in own], [value for _, own in seen for value in own]
    mean, other = sum(canary) / len(canary), sum(stable) / len(stable)

    def turned(pairs: Sequence[tuple[ranks.Values, ranks.Values]]) -> list[tuple[ranks.Values, ranks.Values]]:
        return [(tuple(-value for value in own), tuple(-value for value in others)) for own, others in pairs]

    return Said(
        "quality",
        3,
        f"{other:.3g}",
        f"{mean:.3g}",
        f"{mean - other:+.2g}",
        f"canary's answers are worse than stable's (quality {mean:.3g} against {other:.3g}, over {len(canary)} answers",
        single(turned(seen), turned(whole) if whole is not None else None, parts),
        quality.safety(seen),
    )


def limit_of(name: str, asked: str, seen: str, against: float, weight: float = 1.5) -> Said:
    """An absolute limit; it can fail a canary, and what is not shown to exceed it does not stand in the way of a pass."""
    return Said(name, weight, asked, seen, "", f"canary exceeds {asked}: {seen}", against, None)


def absolute(arms: Sequence[Arm], rules: Judge, effect: float) -> list[Said]:
    """The limits of the manifest, of the canary alone."""
    said = []
    if rules.limits.error_percent is not None:
        most = rules.limits.error_percent / 100
        said.append(errors_alone("limit of errors", f"the limit of {rules.limits.error_percent:g} % errors", arms, most, effect))
    for q, ms in ((50, rules.limits.p50_ms), (95, rules.limits.p95_ms)):
        if ms is not None:
            said.append(latency_alone(f"limit of p{q}", f"the limit of p{q} {short(ms, 3)} ms", arms, q, ms))
    return said


def errors_alone(name: str, asked: str, arms: Sequence[Arm], most: float, effect: float, weight: float = 1.5) -> Said:
    """The canary's errors against a share (0 to 1)."""
    n, x = sum(arm.requests for arm in arms), sum(arm.errors for arm in arms)
    against = limits.of_errors([(arm.requests, arm.errors) for arm in arms], most, effect)
    return limit_of(name, asked, f"{percent(x, n)} ({x} of {n}", against, weight)


def latency_alone(name: str, asked: str, arms: Sequence[Arm], q: int, ms: float, weight: float = 1.5) -> Said:
    """The canary's percentile against milliseconds."""
    seen = [(len(arm.durations), placed(arm.durations)) if arm.durations else (arm.requests, arm.percentiles) for arm in arms]
    pairs = [(requests, by[q]) for requests, by in seen if q in by]
    against = limits.of_latency(pairs, q, ms)
    return limit_of(name, asked, f"p{q} {short(middle([value for _, value in pairs]), 3)} ms (over {len(pairs)} minutes", against, weight)


def alone(arms: Sequence[Arm], before: Sequence[Arm], rules: Judge, effect: float, plain: float) -> list[Said]:
    """The canary with all of the live traffic, against what stable did in the steps before; it may be another hour, so more is allowed."""
    n, x = sum(arm.requests for arm in arms), sum(arm.errors for arm in arms)
    m, y = sum(arm.requests for arm in before), sum(arm.errors for arm in before)
    if not m:
        return []
    most = min(0.98, safety.bounds(y, m)[1] * HOUR_ERRORS)
    said = errors_alone("errors", f"{HOUR_ERRORS:g} times the errors stable had before ({percent(y, m)})", arms, most, effect, 7)
    limit = safety.too_many(y, m, rules.tolerated_error_percent)
    found = [said._replace(stable=percent(y, m), canary=percent(x, n), safe=safety.of_errors(x, n, limit, plain) if n else None)]
    for q in (50, 95):
        was = middle([by[q] for by in (placed(arm.durations) or arm.percentiles for arm in before) if q in by])
        seen = any(q in (placed(arm.durations) or arm.percentiles) for arm in arms)
        if was and seen:
            asked = f"{HOUR_LATENCY:g} times the p{q} latency stable had before ({short(was, 3)} ms)"
            found.append(
                latency_alone(f"p{q} latency", asked, arms, q, max(was * HOUR_LATENCY, was + coarse.TOLERATED_MS), 2)._replace(
                    stable=f"p{q} {short(was, 3)} ms"
                )
            )
    return found
