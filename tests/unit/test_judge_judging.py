"""What the judge says, in words: every verdict, what is missing told apart from zero, and each metric on its own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.judge import metrics, outlook, quality
from aml_canary.domain.judge.judging import judge
from aml_canary.domain.judge.minutes import Arm, Minute
from aml_canary.domain.judge.risk import Parts
from aml_canary.domain.judge.verdict import Verdict
from aml_canary.domain.manifest import Judge, Limits

RULES = Judge(longest_minutes=30)
QUICK = {50: 30.0, 90: 60.0, 95: 80.0, 99: 120.0}
SLOW = {percent: 2 * ms for percent, ms in QUICK.items()}
TENFOLD = {percent: 10 * ms for percent, ms in QUICK.items()}
FIRST = 29_000_000


def arm(requests: int, errors: int = 0, ms: dict[int, float] | None = None, **more: object) -> Arm:
    answers = {status: count for status, count in ((200, requests - errors), (500, errors)) if count}
    return Arm(answers, (QUICK if ms is None else ms) if requests else {}, **more)  # type: ignore[arg-type]


def bake(*pairs: tuple[Arm | None, Arm | None]) -> list[Minute]:
    """Minutes of (canary, stable)."""
    return [Minute(FIRST + at, stable, canary) for at, (canary, stable) in enumerate(pairs)]


def jittered(minute: int, ms: dict[int, float] | None = None) -> dict[int, float]:
    return {percent: value * (1 + 0.02 * ((minute * 7) % 5 - 2)) for percent, value in (QUICK if ms is None else ms).items()}


def said(minutes: list[Minute], share: float = 0.1, rules: Judge = RULES, **more: object) -> Verdict:
    return judge(minutes, rules, share, **more)  # type: ignore[arg-type]


def test_a_healthy_canary_with_traffic_passes_as_soon_as_it_may() -> None:
    pairs = [(arm(60, at % 3 == 0, jittered(at)), arm(540, 3, jittered(at + 2))) for at in range(30)]
    assert said(bake(*pairs[:4])).word == "inconclusive"
    assert "5 minutes are the least" in said(bake(*pairs[:4])).reason or "too little" in said(bake(*pairs[:4])).reason
    passing = next(at for at in range(1, 31) if said(bake(*pairs[:at])).word == "pass")
    assert 5 <= passing <= 8


def test_with_six_requests_a_minute_a_pass_takes_about_twenty_minutes() -> None:
    pairs = [(arm(6, 0, jittered(at)), arm(54, at % 4 == 0, jittered(at + 2))) for at in range(30)]
    passing = next(at for at in range(1, 31) if said(bake(*pairs[:at])).word == "pass")
    assert 12 <= passing <= 25


def test_errors_fail_and_the_reason_is_one_line() -> None:
    verdict = said(bake(*[(arm(60, 4), arm(540, 3))] * 12))
    assert verdict.word == "fail"
    assert verdict.hold
    assert verdict.reason.startswith("canary answers 12 times as many errors as stable (6.7 % against 0.56 %, 48 of 720; wrong once in ")
    assert "\n" not in verdict.reason
    assert (verdict.canary_requests, verdict.stable_requests, verdict.minutes) == (720, 6480, 12)
    assert [finding.word for finding in verdict.findings if finding.metric == "errors"] == ["fail"]


def test_errors_where_stable_has_none_fail() -> None:
    """Rank tests on shares of errors pass this, because most minutes have none (kayenta#426, spinnaker#5622)."""
    pairs = [(arm(6, int(at % 4 == 1)), arm(54)) for at in range(30)]
    assert said(bake(*pairs)).word == "fail"


def test_a_slow_canary_fails_and_a_slower_one_at_once() -> None:
    twice = [(arm(60, 0, jittered(at, SLOW)), arm(540, 3, jittered(at + 2))) for at in range(15)]
    verdict = said(bake(*twice))
    assert verdict.word == "fail"
    assert verdict.reason.startswith("canary's p50 latency is 2 times stable's (60 ms against 30 ms, over 15 minutes; wrong once in ")
    grossly = [(arm(60, 0, dict.fromkeys(QUICK, 1550.0)), arm(540, 3)) for _ in range(4)]
    assert said(bake(*grossly)).word == "fail"
    assert said(bake(*grossly[:1])).word == "inconclusive"  # anybody has a bad minute


def test_where_no_errors_could_fail_anybody_latency_may_be_a_little_surer_of_itself() -> None:
    """A canary with one request a minute is slow in 17 of 30 minutes. With errors about, that is not enough."""

    def pairs(errors: int) -> list[tuple[Arm, Arm]]:
        slow = [at * 7 % 30 < 17 for at in range(30)]
        return [(arm(1, 0, dict.fromkeys(QUICK, 100.0 if slow[at] else 20.0)), arm(9, int(at < errors))) for at in range(30)]

    assert said(bake(*pairs(0))).word == "fail"
    assert said(bake(*pairs(3))).word != "fail"


@pytest.mark.parametrize("requests", [4, 40])
def test_the_last_look_does_not_see_the_warming_up(requests: int) -> None:
    later = [
        (arm(requests, 0, {q: 10 * ms * (0.9, 1.3, 1.2)[at % 3] for q, ms in QUICK.items()}), arm(9 * requests, 0, TENFOLD))
        for at in range(27)
    ]
    cold = (arm(requests, 0, {q: 30 * ms for q, ms in QUICK.items()}), arm(9 * requests, 0, TENFOLD))
    warm = (arm(requests, 0, TENFOLD), arm(9 * requests, 0, TENFOLD))
    looks = [metrics.latency(pairs, pairs, RULES, Parts(0.0, 1.0)) for pairs in ([cold] * 3 + later, [warm] * 3 + later)]
    assert looks[0] is not None
    assert looks[1] is not None
    assert looks[0].against == looks[1].against
    assert looks[0].against > 1


def test_a_canary_that_was_slow_while_it_warmed_up_is_not_failed() -> None:
    warming = {0: 3.0, 1: 1.9, 2: 1.5}
    later = (1.02, 1.02, 0.99)  # a little slower, as chance would have it; nobody feels it
    pairs = [
        (arm(600, 3, {q: 10 * ms * warming.get(at, later[at % 3]) for q, ms in QUICK.items()}), arm(600, 3, TENFOLD)) for at in range(30)
    ]
    assert all(said(bake(*pairs[:at]), share=0.5).word != "fail" for at in range(1, 31))


def test_a_difference_nobody_feels_does_not_fail_however_sure_it_is() -> None:
    seven = dict.fromkeys(QUICK, 7.0)
    five = dict.fromkeys(QUICK, 5.0)
    assert said(bake(*[(arm(300, 0, seven), arm(2700, 3, five))] * 30)).word == "pass"


def test_a_tail_that_is_slow_fails() -> None:
    tail = QUICK | {99: 900.0}
    assert said(bake(*[(arm(600, 3, tail), arm(5400, 27))] * 30)).word == "fail"


@pytest.mark.parametrize("requests", [6, 60, 600])
def test_a_canary_that_answers_nothing_right_fails_at_once(requests: int) -> None:
    verdict = said(bake(*[(arm(requests, requests), arm(9 * requests))] * 2))
    assert verdict.word == "fail"
    assert "canary is broken" in verdict.reason


def test_single_requests_that_all_fail_are_enough() -> None:
    pairs = [(arm(0), arm(6)), (arm(1, 1), arm(5))] * 4
    assert said(bake(*pairs)).word == "fail"
    assert said(bake(*pairs[:4])).word == "inconclusive"


@pytest.mark.parametrize("errors", [30, 48, 60])
def test_an_outage_of_both_is_not_called_the_canarys(errors: int) -> None:
    pairs = [(arm(60, errors), arm(540, 9 * errors))] * 6
    assert all(said(bake(*pairs[:at])).word == "inconclusive" for at in range(1, 7))


def test_an_incident_of_both_fails_nobody() -> None:
    pairs = [(arm(60, 12 if 8 <= at < 14 else 0), arm(540, 108 if 8 <= at < 14 else 3)) for at in range(30)]
    assert all(said(bake(*pairs[:at])).word != "fail" for at in range(1, 31))


def test_one_client_that_tries_again_and_again_fails_nobody() -> None:
    pairs = [(arm(20, 14) if at == 9 else arm(6), arm(540, 3)) for at in range(30)]
    assert all(said(bake(*pairs[:at])).word != "fail" for at in range(1, 31))


def test_a_fault_that_begins_late_undoes_a_pass() -> None:
    pairs = [(arm(60, 0 if at < 15 else 5), arm(540, 3)) for at in range(22)]
    assert said(bake(*pairs[:15])).word == "pass"
    assert said(bake(*pairs)).word == "fail"


def test_no_traffic_is_not_known_and_is_no_pass() -> None:
    verdict = said(bake(*[(Arm(), Arm())] * 30))
    assert verdict.word == "inconclusive"
    assert verdict.reason == "no traffic in 30 minutes"
    assert said(bake(*[(Arm(), arm(6))] * 5)).reason == "the canary was not asked anything in 5 minutes"


def test_missing_is_not_zero() -> None:
    assert said([]).word == "inconclusive"
    assert said(bake(*[(None, None)] * 30)).word == "error"
    assert said(bake(*[(None, None)] * 2)).word == "inconclusive"
    half = [(arm(60), arm(540)), (None, arm(540)), (arm(60), None)] * 10
    verdict = said(bake(*half))
    assert verdict.word == "inconclusive"
    assert verdict.reason == "no data in 20 of 30 minutes"
    few = [(None, None) if at in (3, 9) else (arm(60), arm(540, 3)) for at in range(30)]
    assert said(bake(*few)).word == "pass"


def test_without_percentiles_a_pass_says_what_is_not_known() -> None:
    verdict = said(bake(*[(arm(60, 0, {}), arm(540, 3, {}))] * 30))
    assert verdict.word == "pass"
    assert verdict.reason.endswith("nothing is known of latency")


def test_a_split_that_is_not_what_was_asked_is_an_error() -> None:
    verdict = said(bake(*[(arm(31), arm(69))] * 10))
    assert verdict.word == "error"
    assert verdict.reason.startswith("the split is broken: 10 % asked, 31 % seen")
    assert said(bake(*[(arm(11), arm(89))] * 30)).word != "error"


def test_too_little_says_how_much_is_missing() -> None:
    verdict = said(bake(*[(arm(1), arm(5))] * 10))
    assert verdict.word == "inconclusive"
    assert verdict.needs_requests is not None
    assert verdict.needs_minutes is not None
    assert 20 <= verdict.needs_requests <= 300
    assert verdict.needs_minutes >= verdict.needs_requests


def test_what_is_suspected_is_held() -> None:
    verdict = said(bake(*[(arm(6, int(at in (2, 5, 8))), arm(54)) for at in range(9)]))
    assert verdict.word == "inconclusive"
    assert verdict.hold
    assert verdict.reason.startswith("not sure yet, but canary answers more errors") or "times as many errors" in verdict.reason


def test_limits_fail_a_canary_that_is_no_worse_than_stable() -> None:
    pairs = bake(*[(arm(60, 6), arm(540, 54))] * 30)
    assert said(pairs).word != "fail"
    verdict = said(pairs, rules=Judge(longest_minutes=30, limits=Limits(error_percent=2)))
    assert verdict.word == "fail"
    assert verdict.reason.startswith("canary exceeds the limit of 2 % errors: 10 % (180 of 1800; wrong once in ")
    slow = said(bake(*[(arm(60), arm(540))] * 25), rules=Judge(longest_minutes=30, limits=Limits(p95_ms=50)))
    assert slow.word == "fail"
    assert "the limit of p95 50" in slow.reason
    well = said(bake(*[(arm(60), arm(540))] * 15), rules=Judge(longest_minutes=30, limits=Limits(error_percent=2, p50_ms=40, p95_ms=100)))
    assert well.word == "pass"


def test_worse_answers_fail_and_as_good_ones_pass() -> None:
    def values(size: int, add: float) -> tuple[float, ...]:
        return tuple(0.8 + 0.01 * ((at * 7) % 11) + add for at in range(size))

    good = [(arm(60, quality=values(20, 0)), arm(540, quality=values(100, 0)))] * 15
    bad = [(arm(60, quality=values(20, -0.06)), arm(540, quality=values(100, 0)))] * 15
    assert said(bake(*good)).word == "pass"
    verdict = said(bake(*bad))
    assert verdict.word == "fail"
    assert verdict.reason.startswith("canary's answers are worse than stable's (quality ")


def test_single_latencies_count_instead_of_percentiles() -> None:
    def values(size: int, times: float) -> tuple[float, ...]:
        return tuple(times * (20 + (at * 37) % 50) for at in range(size))

    same = [(arm(30, durations=values(30, 1)), arm(100, durations=values(100, 1)))] * 12
    slow = [(arm(30, ms=QUICK, durations=values(30, 1.6)), arm(100, ms=QUICK, durations=values(100, 1)))] * 12
    assert said(bake(*same), share=0.25).word == "pass"
    assert said(bake(*slow), share=0.25).word == "fail"


def test_with_all_of_the_traffic_stable_is_what_it_was_before() -> None:
    before = bake(*[(arm(60), arm(540, 3))] * 20)
    after = [Minute(FIRST + 100 + at, None, arm(600, 4, jittered(at))) for at in range(20)]
    assert said(after, share=1.0, before=before).word == "pass"
    broken = [Minute(FIRST + 100 + at, Arm(), arm(600, 30)) for at in range(20)]
    verdict = said(broken, share=1.0, before=before)
    assert verdict.word == "fail"
    assert "stable had before (0.56 %)" in verdict.reason
    slow = [Minute(FIRST + 100 + at, None, arm(600, 4, SLOW)) for at in range(20)]
    assert said(slow, share=1.0, before=before).word == "fail"
    assert said(after, share=1.0).word == "inconclusive"


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="share of live traffic"):
        said(bake((arm(1), arm(1))), share=0)


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(
        st.tuples(
            st.none() | st.tuples(st.integers(0, 40), st.integers(0, 40)), st.none() | st.tuples(st.integers(0, 40), st.integers(0, 40))
        ),
        max_size=35,
    ),
    share=st.sampled_from([0.01, 0.1, 0.5, 0.9, 1.0]),
    words=st.sampled_from(["careful", "normal", "fast"]),
)
def test_whatever_there_is_there_is_a_verdict(
    pairs: list[tuple[tuple[int, int] | None, tuple[int, int] | None]], share: float, words: str
) -> None:
    def made(one: tuple[int, int] | None) -> Arm | None:
        return None if one is None else arm(max(one), min(one))

    minutes = bake(*((made(own), made(other)) for own, other in pairs))
    rules = Judge(longest_minutes=30, confidence=words)  # type: ignore[arg-type]
    verdict = judge(minutes, rules, share, before=minutes[:5])
    assert verdict.reason
    assert "\n" not in verdict.reason
    assert verdict == judge(minutes[::-1], rules, share, before=minutes[:5])
    if verdict.word == "pass":
        assert verdict.canary_requests > 0
        assert len(minutes) >= rules.least_minutes


@settings(deadline=None)
@given(rate=st.floats(0, 1e5), errors=st.floats(0, 1), share=st.sampled_from([0.01, 0.05, 0.1, 0.5, 1.0]))
def test_more_traffic_is_never_a_longer_outlook(rate: float, errors: float, share: float) -> None:
    now, then = (outlook.minutes_to_verdict(one, errors, share, RULES) for one in (rate, 2 * rate))
    assert now is None or now >= RULES.least_minutes
    if now is not None and errors < 0.01:
        assert then is not None
        assert then <= now * 1.01


def test_the_outlook_is_about_what_the_judge_then_needs() -> None:
    assert outlook.minutes_to_verdict(0, 0.005, 0.1, RULES) is None
    assert 12 <= (outlook.minutes_to_verdict(60, 0.005, 0.1, RULES) or 0) <= 30
    assert (outlook.minutes_to_verdict(6000, 0.005, 0.1, RULES) or 0) <= 6
    assert (outlook.minutes_to_verdict(6, 0.005, 0.1, RULES) or 1e9) > 60


def test_a_quicker_step_is_proposed_only_where_one_is_needed_and_there_is_one() -> None:
    assert outlook.quicker_step(6000, 0.005, 10, RULES) is None
    step = outlook.quicker_step(60, 0.005, 1, RULES)
    assert step is not None
    assert 5 <= step <= 20
    assert outlook.quicker_step(1, 0.005, 10, RULES) is None


def test_agreement_below_the_least_fails_and_above_it_passes() -> None:
    assert quality.agreement(100, 100, 95, 0.01).word == "pass"
    assert quality.agreement(70, 100, 95, 0.01).word == "fail"
    assert quality.agreement(93, 100, 95, 0.01).word == "inconclusive"
    assert quality.agreement(0, 0, 95, 0.01).word == "inconclusive"
