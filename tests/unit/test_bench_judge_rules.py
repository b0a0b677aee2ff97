"""The rules of others, against what their own projects publish: test vectors, issues, documents. Each names its source."""

import json
import random
from collections import Counter
from math import sqrt
from pathlib import Path

import pytest

from aml_canary.domain.judge.minutes import Arm, Minute
from benchmarks.judge.kayenta import classify, failed_at_the_end, fails, score
from benchmarks.judge.mannwhitney import Comparison, Tied
from benchmarks.judge.thresholds import argo, argo_measurement, cloudwatch, flagger, flagger_check

VECTORS = json.loads((Path(__file__).parent / "fixtures" / "kayenta_mannwhitney.json").read_text())


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_mann_whitney_test_gives_the_figures_of_kayentas_own_suite(case):
    comparison = Comparison(case["canary"], case["stable"])
    assert comparison.interval(case["level"]) == pytest.approx(case["interval"], abs=1e-6)
    assert comparison.estimate() == pytest.approx(case["estimate"], abs=case["within"])  # as near as the suite itself demands
    for shift, deviate in case.get("deviates", []):
        assert comparison.deviate(shift) == pytest.approx(deviate, abs=1e-6)


def test_kayenta_passes_what_issue_6278_complains_of_with_the_figures_it_prints():
    """spinnaker/spinnaker#6278: seven of ten values are 100 times as high; "it fails as soon as I change the 8th value"."""
    stable = [1.0] * 10
    comparison = Comparison([100.0] * 7 + [1.0] * 3, stable)
    assert comparison.interval(0.98) == pytest.approx((6.825022991538781e-05, 99.0), abs=1e-15)
    assert comparison.estimate() == pytest.approx(98.99992904170193, abs=1e-12)
    assert classify([100.0] * 7 + [1.0] * 3, stable) == "Pass"
    assert classify([100.0] * 8 + [1.0] * 2, stable) == "High"


@pytest.mark.parametrize(
    ("issue", "canary", "stable"),
    [
        ("spinnaker/kayenta#426", [0.0, 1.0, 2.0, 1.0, 0.0, 0.0], [0.0] * 6),
        ("spinnaker/kayenta#799", [1.0, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0], [0.0] * 25),
        (
            "spinnaker/kayenta#780",
            [10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 17.0, 17.1, 17.2, 17.3, 17.4, 17.5, 17.6, 17.7],
            [1.0, 100.0, 4.0, 101.0, 5.0, 102.0, 6.0, 103.0, 7.0, 104.0, 8.0, 105.0, 9.0, 106.0, 17.0],
        ),
        ("spinnaker/spinnaker#5622", [0.0, 0.048, 0.0, 0.18, 0.089, 0.0, 0.098, 0.035, 0.0, 0.0], [0.0] * 10),
    ],
)
def test_kayenta_passes_what_its_users_say_it_should_not(issue, canary, stable):
    assert classify(canary, stable) == "Pass", issue


def test_kayenta_says_what_its_classifier_suite_says():
    """kayenta-judge, ClassifierSuite.scala: cases of default effect size and direction increase."""
    high, low = [20.0, 22.0, 21.0, 25.0, 30.0], [1.0, 2.2, 1.1, 2.5, 3.0]
    assert classify(high, low, level=0.95, tolerance=0.1) == "High"
    assert classify(low, high, level=0.95, tolerance=0.1) == "Pass"  # lower is no worse
    assert classify([10.0] * 5, [1.0] * 5, level=0.95, tolerance=0.1) == "High"  # "Tied Ranks"
    assert classify([10.0] * 5, [0.0] * 5, level=0.95, tolerance=0.1) == "High"  # "Tied Ranks With Zeros"
    assert classify([1.0, 1.0, 1.0, 1.0, 10.0], [1.0] * 5, level=0.95, tolerance=0.1) == "Pass"  # "Majority Tied Observations"
    assert classify([1.0, 1.0, 1.0], [1.0, 1.0]) == "Pass"  # "Tied Observations"
    assert classify([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == "Pass"  # "Identical Populations"
    assert classify([], [1.0, 2.0]) == "Nodata"  # "Missing Experiment Data"


def test_kayenta_scores_as_its_scorer_does():
    """kayenta-judge, WeightedSumScorer.scala, NODATA_THRESHOLD = 50."""
    assert score(["Pass", "Pass", "Pass"]) == 100
    assert score(["High", "Pass", "Pass"]) == pytest.approx(66.67, abs=0.01)
    assert score(["Nodata", "Pass", "Pass"]) == 100
    assert score(["Nodata", "Nodata", "Pass", "Pass"]) == 0
    assert score(["Error", "Error"]) == 100


def test_the_quick_deviate_is_the_plain_one_from_ranks():
    """Ranks are what MannWhitney.scala uses; counting pairs gives the same number."""
    chance = random.Random("ranks")
    for _ in range(50):
        canary = [float(chance.randint(0, 6)) for _ in range(chance.randint(1, 12))]
        stable = [float(chance.randint(0, 6)) for _ in range(chance.randint(1, 12))]
        for shift in (-2.0, -0.5, 0.0, 1.0):
            moved = [value - shift for value in canary]
            values = [*moved, *stable]
            ranks = [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]
            m, n = len(canary), len(stable)
            centred = sum(ranks[:m]) - m * (m + 1) / 2 - m * n / 2
            ties = sum(k**3 - k for k in Counter(values).values())
            variance = m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1)))
            comparison = Comparison(canary, stable)
            if variance <= 0:
                with pytest.raises(Tied):
                    comparison.deviate(shift)
            else:
                plain = (centred - 0.5 * ((centred > 0) - (centred < 0))) / sqrt(variance)
                assert comparison.deviate(shift) == pytest.approx(plain, abs=1e-12)


def minutes(*canary: Arm | None) -> list[Minute]:
    return [Minute(at, Arm({200: 100}, {50: 100.0, 90: 200.0, 95: 250.0, 99: 400.0}), arm) for at, arm in enumerate(canary)]


FINE = Arm({200: 100}, {50: 100.0, 90: 200.0, 95: 250.0, 99: 400.0})


def test_kayenta_fails_a_canary_nobody_asked():
    """All of its metrics are NODATA then: "50% or more metrics returned NODATA" is a score of 0."""
    assert fails(minutes(*[Arm()] * 30))
    assert failed_at_the_end(minutes(*[FINE] * 30)) is None
    assert failed_at_the_end(minutes(*[Arm({200: 50, 500: 50}, FINE.percentiles)] * 30)) == 30


def test_flagger_counts_failed_checks_as_its_scheduler_does():
    """fluxcd/flagger: docs/gitbook/usage/metrics.md (min 99, max 500 ms); scheduler.go: FailedChecks >= threshold; no values is a failed check."""
    assert flagger_check(FINE)
    assert flagger_check(Arm({200: 99, 500: 1}, {99: 500.9}))  # 99 is not below 99, and milliseconds are whole
    assert not flagger_check(Arm({200: 98, 500: 2}, {99: 400.0}))
    assert not flagger_check(Arm({200: 100}, {99: 501.0}))
    assert not flagger_check(Arm())
    assert not flagger_check(None)
    wrong = Arm({200: 50, 500: 50}, FINE.percentiles)
    assert flagger(minutes(wrong, FINE, wrong, FINE, wrong, wrong, FINE, wrong, FINE)) == 8  # the fifth; good ones between do not help
    assert flagger(minutes(wrong, wrong, wrong, wrong)) is None


def test_argo_counts_failed_measurements_as_its_analysis_does():
    """argoproj/argo-rollouts, analysis_test.go, TestAssessMetricStatusFailureLimit: 3 failed is too much for limit 2 and not for limit 3."""
    wrong = Arm({200: 90, 500: 10}, FINE.percentiles)
    assert argo(minutes(wrong, FINE, wrong, wrong), limit=2) == 4
    assert argo(minutes(wrong, FINE, wrong, wrong), limit=3) is None
    assert argo_measurement(Arm({200: 95, 500: 5}))
    assert not argo_measurement(Arm({200: 94, 500: 6}))
    assert argo_measurement(Arm())


def test_a_cloudwatch_alarm_looks_at_whole_periods():
    """AWS, "Create a CloudWatch alarm": one datapoint for each period, greater than the threshold; missing data is not breaching."""
    one = Arm({200: 97, 500: 3})
    assert cloudwatch(minutes(*[FINE] * 4, one)) is None  # 3 of 500
    assert cloudwatch(minutes(*[FINE] * 7, one, one, FINE)) == 10  # 6 of 500
    assert cloudwatch(minutes(one, one, one, FINE)) is None  # the period is not over
    assert cloudwatch(minutes(*[None] * 5, *[Arm()] * 5)) is None
