"""Errors by counts: every formula against going through all cases, and what must be so whatever the counts are."""

import math
from itertools import product
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.judge import betting, counts
from aml_canary.domain.judge.counts import Count

SMALL = st.integers(0, 12)


@st.composite
def minute(draw: st.DrawFn, most: int = 12) -> Count:
    canary, stable = draw(st.integers(1, most)), draw(st.integers(1, most))
    return Count(canary, draw(st.integers(0, canary)), stable, draw(st.integers(0, stable)))


@settings(deadline=None)
@given(canary=st.integers(1, 12), stable=st.integers(1, 12), errors=st.integers(0, 24))
def test_how_many_errors_are_the_canarys_is_what_counting_all_choices_says(canary: int, stable: int, errors: int) -> None:
    errors = min(errors, canary + stable)
    found = counts.chances(canary, stable, errors, 1.0)
    ways = [comb(canary, k) * comb(stable, errors - k) for k in range(len(found))]
    assert found == pytest.approx([way / comb(canary + stable, errors) for way in ways])


@settings(deadline=None)
@given(canary=st.integers(1, 40), stable=st.integers(1, 40), errors=st.integers(0, 80))
def test_a_factor_is_one_on_average_if_both_are_alike(canary: int, stable: int, errors: int) -> None:
    errors = min(errors, canary + stable)
    chances = counts.chances(canary, stable, errors, 1.0)
    factors = [counts.factors(Count(canary, k, stable, errors - k)) if chance else (0.0,) * 5 for k, chance in enumerate(chances)]
    for bet in range(len(counts.ODDS)):
        assert sum(chance * math.exp(one[bet]) for chance, one in zip(chances, factors, strict=True)) == pytest.approx(1)


@settings(deadline=None)
@given(canary=st.integers(1, 40), stable=st.integers(1, 40), errors=st.integers(0, 80))
def test_without_what_is_too_much_at_once_a_factor_is_no_more_than_one_on_average(canary: int, stable: int, errors: int) -> None:
    errors = min(errors, canary + stable)
    chances = counts.chances(canary, stable, errors, 1.0)
    mean = 0.0
    for k, chance in enumerate(chances):
        if chance:
            mean += chance * sum(math.exp(log) for log in counts.factors(counts.capped(Count(canary, k, stable, errors - k)))) / 5
    assert mean <= 1 + 1e-9


@settings(deadline=None)
@given(one=minute(40))
def test_one_more_error_of_stable_is_never_more_evidence_against_the_canary(one: Count) -> None:
    if one.stable_errors < one.stable:
        milder = one._replace(stable_errors=one.stable_errors + 1)
        for bet in range(len(counts.ODDS)):
            assert counts.factors(milder)[bet] <= counts.factors(one)[bet] + 1e-9
        assert counts.burst([milder], 1.0) >= counts.burst([one], 1.0) - 1e-9 or counts.capped(milder) != counts.capped(one)


@settings(deadline=None)
@given(size=st.integers(1, 40), more=st.integers(1, 30), share=st.floats(0.001, 0.02))
def test_clusters_of_any_size_are_no_evidence_where_only_whether_there_were_errors_counts(size: int, more: int, share: float) -> None:
    """One arm or the other has a cluster in a minute, in proportion to its requests; the factors are at most 1 on average."""
    canary, stable = 10, 10 * more
    for bet in range(len(counts.ODDS)):
        mean = 1.0
        for count, rate in ((Count(canary, min(size, canary), stable, 0), canary), (Count(canary, 0, stable, min(size, stable)), stable)):
            mean += share / 40 * rate * (math.exp(counts.factors(counts.single(count))[bet]) - 1)
        assert mean <= 1 + 1e-9


@settings(deadline=None, max_examples=50)
@given(minutes=st.lists(minute(4), min_size=1, max_size=3))
def test_the_last_look_is_what_going_through_all_choices_says(minutes: list[Count]) -> None:
    used = counts.pooled([counts.single(one) for one in minutes]) if counts.few(minutes) else [counts.capped(one) for one in minutes]
    seen = sum(one.canary_errors for one in used)
    more = just = 0.0
    parts = [counts.chances(one.canary, one.stable, one.canary_errors + one.stable_errors, 1.0) for one in used]
    for choice in product(*(range(len(part)) for part in parts)):
        chance = math.prod(part[k] for part, k in zip(parts, choice, strict=True))
        more += chance * (sum(choice) > seen)
        just += chance * (sum(choice) == seen)
    assert counts.chance(minutes, 1.0) == pytest.approx(more + just / 2, abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(minutes=st.lists(minute(5), min_size=1, max_size=4))
def test_of_few_errors_the_later_count_more_and_the_chance_is_what_all_choices_say(minutes: list[Count]) -> None:
    worth = [counts.FIRST + round(counts.FIRST * at / max(1, len(minutes) - 1)) for at in range(len(minutes))]
    assert (worth[0], worth[-1]) == (counts.FIRST, counts.FIRST * (2 if len(minutes) > 1 else 1))
    seen = sum(each * one.canary_errors for each, one in zip(worth, minutes, strict=True))
    parts = [counts.chances(one.canary, one.stable, one.canary_errors + one.stable_errors, 1.0) for one in minutes]
    more = just = 0.0
    for choice in product(*(range(len(part)) for part in parts)):
        chance = math.prod(part[k] for part, k in zip(parts, choice, strict=True))
        total = sum(each * k for each, k in zip(worth, choice, strict=True))
        more += chance * (total > seen)
        just += chance * (total == seen)
    assert counts.rising(minutes) == pytest.approx(more + just / 2, abs=1e-9)


def test_errors_at_the_end_are_more_than_as_many_at_the_beginning() -> None:
    well, ill = [Count(6, 0, 54, 1)] * 25, [Count(6, 1, 54, 0)] * 3
    assert counts.few(well + ill)
    assert counts.chance(well + ill, 1.0) < counts.chance(ill + well, 1.0) / 2


@settings(deadline=None)
@given(minutes=st.lists(minute(), min_size=1, max_size=8), effect=st.floats(1, 4))
def test_no_last_look_is_surer_than_the_one_at_errors_that_are_all_the_canarys(minutes: list[Count], effect: float) -> None:
    assert counts.least(minutes, effect) <= counts.chance(minutes, effect) + 1e-12
    most = [one._replace(canary_errors=1, stable_errors=0) for one in minutes]
    assert counts.least(most, 1.0) == pytest.approx(counts.chance(most, 1.0))


@settings(deadline=None)
@given(minutes=st.lists(minute(), min_size=1, max_size=8), data=st.data())
def test_the_order_of_minutes_is_nothing_to_the_last_look(minutes: list[Count], data: st.DataObject) -> None:
    assert counts.burst(data.draw(st.permutations(minutes)), 2.0) == pytest.approx(counts.burst(minutes, 2.0))


def test_a_long_look_is_the_exact_one_in_good_approximation() -> None:
    plenty = [Count(60, 2, 540, 5)] * 150 + [Count(60, 0, 540, 7)] * 50
    parts = [counts.chances(one.canary, one.stable, one.canary_errors + one.stable_errors, 1.0) for one in plenty]
    seen = sum(one.canary_errors for one in plenty)
    exact = (betting.chance_of_sum(parts, seen) + betting.chance_of_sum(parts, seen + 1)) / 2
    assert counts.chance(plenty, 1.0) == pytest.approx(exact, rel=0.05)


def test_minutes_without_errors_or_without_one_of_both_say_nothing() -> None:
    nothing = [Count(100, 0, 900, 0), Count(0, 0, 900, 12), Count(10, 3, 0, 0)]
    assert counts.evidence(nothing, 1.0) == pytest.approx(1)
    assert counts.chance(nothing, 1.0) >= 0.5


def test_errors_that_come_alone_are_no_clusters_and_errors_that_come_together_are() -> None:
    alone = [(60, int(at % 6 == 0)) for at in range(30)]
    together = [(60, 6 * int(at % 6 == 0)) for at in range(30)]
    assert counts.design_effect([alone]) < 1.2
    assert counts.design_effect([together]) > 4
    assert counts.design_effect([]) == pytest.approx(3)
    assert counts.design_effect([], cautious=False) == 1


def test_one_number_is_not_enough_to_know_that_many_errors_come_alone() -> None:
    few, many = [(3000, 14), (3000, 16)], [(3000, 12 + at % 5) for at in range(30)]
    assert counts.design_effect([few, few]) > 2
    assert counts.design_effect([many, many]) < 1.5
    assert counts.design_effect([few, few], cautious=False) == 1


def test_an_incident_of_six_minutes_is_no_clustering() -> None:
    quiet, loud = [540, 3], [540, 108]
    series = [(n, x + at % 3) for at, (n, x) in enumerate([quiet] * 12 + [loud] * 6 + [quiet] * 12)]
    assert counts.design_effect([series]) < 4


@settings(deadline=None)
@given(start=st.integers(0, 25))
def test_a_fault_that_begins_late_is_found_soon_after_it_began(start: int) -> None:
    well, ill = Count(60, 0, 540, 3), Count(60, 6, 540, 3)
    minutes = [well] * start + [ill] * 6
    assert counts.evidence(minutes, 1.3) > 1000


@settings(deadline=None)
@given(logs=st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), max_size=40), power=st.floats(0.1, 1), late=st.floats(0, 0.9))
def test_winnings_are_the_mean_over_all_bets_and_starts(logs: list[tuple[float, float]], power: float, late: float) -> None:
    size = len(logs)
    mean = late / size if size else 1.0
    for start in range(size):
        stake = late / (start * (start + 1)) if start else 1 - late
        mean += stake * sum(math.exp(power * sum(row[bet] for row in logs[start:])) for bet in (0, 1)) / 2
    assert betting.winnings(logs, power, late=late) == pytest.approx(min(mean, betting.MOST), rel=1e-6)
