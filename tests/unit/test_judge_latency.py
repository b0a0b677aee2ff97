"""Latency by ranks: every formula against going through all cases, then false alarms where latencies are ugly."""

import math
from collections.abc import Callable
from itertools import combinations, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.judge import coarse, metrics, nearby, ranks, signed, tops
from aml_canary.domain.judge.coarse import Latency
from aml_canary.domain.judge.risk import Parts

Draw = Callable[[Random], float]
Percentile = Callable[[list[float], int], float]


@settings(deadline=None)
@given(canary=st.integers(1, 6), stable=st.integers(1, 6), data=st.data())
def test_how_likely_a_rank_is_above_a_rank_is_what_all_orders_say(canary: int, stable: int, data: st.DataObject) -> None:
    k, j = data.draw(st.integers(1, canary)), data.draw(st.integers(1, stable))
    orders = list(combinations(range(canary + stable), canary))
    above = sum(order[k - 1] > [at for at in range(canary + stable) if at not in order][j - 1] for order in orders)
    assert coarse.slower(canary, k, stable, j) == pytest.approx(above / len(orders))


@settings(deadline=None)
@given(canary=st.integers(1, 3000), stable=st.integers(1, 6000), percent=st.sampled_from(coarse.PERCENTS))
def test_a_place_has_scores_whose_factors_are_one_on_average(canary: int, stable: int, percent: int) -> None:
    points, chances = coarse.scores(canary, percent, stable, coarse.PERCENTS, False)
    assert list(points) == sorted(points)
    assert sum(chances) == pytest.approx(1)
    assert min(chances) >= -1e-12
    logs = [coarse.factors(coarse.Place(score, chances)) for score in range(len(chances))]
    for bet in range(len(coarse.BETS)):
        assert sum(chance * math.exp(log[bet]) for chance, log in zip(chances, logs, strict=True)) == pytest.approx(1)


@settings(deadline=None)
@given(values=st.lists(st.integers(-6, 6), min_size=1, max_size=9))
def test_the_signed_rank_test_is_what_all_signs_say(values: list[int]) -> None:
    sizes = sorted(abs(value) for value in values if value)
    rank = {size: 2 * sizes.index(size) + 1 + sizes.count(size) for size in sizes}
    seen = sum(rank[value] for value in values if value > 0)
    sums = [sum(rank[size] for size, up in zip(sizes, ups, strict=True) if up) for ups in product((False, True), repeat=len(sizes))]
    assert signed.chance([float(value) for value in values]) == pytest.approx(sum(one >= seen for one in sums) / len(sums))


@settings(deadline=None)
@given(scores=st.lists(st.floats(-2, 2), min_size=2, max_size=9), data=st.data(), strength=st.floats(0.05, 1))
def test_the_mean_over_all_choices_is_exact_or_a_bound_above_it(scores: list[float], data: st.DataObject, strength: float) -> None:
    chosen = data.draw(st.integers(1, len(scores)))
    sums = [math.exp(strength * sum(choice)) for choice in combinations(scores, chosen)]
    exact = math.log(sum(sums) / len(sums))
    assert ranks.log_mean(scores, chosen, strength) == pytest.approx(exact, abs=1e-9)
    assert chosen * math.log(sum(math.exp(strength * score) for score in scores) / len(scores)) >= exact - 1e-9


@settings(deadline=None, max_examples=30)
@given(values=st.lists(st.integers(0, 9), min_size=2, max_size=7), data=st.data())
def test_single_values_are_no_evidence_on_average_if_both_are_alike(values: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(values) - 1))
    choices = list(combinations(range(len(values)), size))
    rows = []
    for choice in choices:
        own = tuple(float(values[at]) for at in choice)
        others = tuple(float(values[at]) for at in range(len(values)) if at not in choice)
        rows.append([math.exp(log) for log in ranks.scored(own, others).logs])
    for bet in range(len(rows[0])):
        assert sum(row[bet] for row in rows) / len(rows) <= 1 + 1e-9


def test_equal_values_say_nothing() -> None:
    same = ((1.0,) * 5, (1.0,) * 20)
    assert ranks.evidence([same] * 30) == pytest.approx(1)
    assert ranks.chance([same] * 30) == 1.0
    assert signed.chance([0.0] * 30) == 1.0


def test_higher_values_are_found_and_lower_ones_are_not() -> None:
    random = Random("ranks")
    minutes = [(tuple(random.gauss(1, 1) for _ in range(6)), tuple(random.gauss(0, 1) for _ in range(50))) for _ in range(20)]
    turned = [(tuple(-value for value in own), tuple(-value for value in others)) for own, others in minutes]
    assert ranks.evidence(minutes) > 1000
    assert ranks.chance(minutes) < 1e-4
    assert ranks.evidence(turned) < 1
    assert ranks.chance(turned) > 0.99


def nearest(values: list[float], percent: int) -> float:
    return values[coarse.rank(len(values), percent) - 1]


def interpolated(values: list[float], percent: int) -> float:
    at = (len(values) - 1) * percent / 100
    low = int(at)
    return values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low])


def plain(random: Random) -> float:
    return 100 * math.exp(random.gauss(0, 0.6))


def two_modes(random: Random) -> float:
    """The median is where there is hardly a request: of 45 % of them it is ten times as high."""
    return (200 if random.random() < 0.45 else 20) * math.exp(random.gauss(0, 0.05))


def bake(random: Random, canary: int, stable: int, draw: Draw, percentile: Percentile, drift: float) -> list[Latency]:
    """Thirty minutes of two that are alike; what drifts, drifts in both."""
    minutes, level = [], 0.0
    for _ in range(30):
        level = 0.8 * level + random.gauss(0, drift)

        def arm(mean: int, level: float = level) -> tuple[int, dict[int, float]]:
            size = sum(random.random() < 0.5 for _ in range(2 * mean))
            values = sorted(draw(random) * math.exp(level) for _ in range(size))
            return size, {percent: percentile(values, percent) for percent in coarse.PERCENTS} if values else {}

        minutes.append(Latency(*arm(canary), *arm(stable)))
    return minutes


WORLDS: list[tuple[int, int, Draw, Percentile, float]] = [
    (1, 9, plain, nearest, 0.0),
    (1, 9, plain, nearest, 0.2),
    (1, 30, two_modes, nearest, 0.05),
    (4, 36, plain, nearest, 0.3),
    (4, 36, plain, interpolated, 0.0),
    (6, 60, two_modes, nearest, 0.0),
    (6, 60, two_modes, interpolated, 0.0),
    (30, 30, plain, interpolated, 0.3),
    (30, 30, two_modes, nearest, 0.0),
    (60, 30, plain, nearest, 0.0),
]
RUNS = 60


@pytest.mark.parametrize("world", WORLDS, ids=[f"{w[0]}-{w[1]}-{w[2].__name__}-{w[3].__name__}-{w[4]}" for w in WORLDS])
def test_a_canary_that_is_as_quick_is_seldom_called_slow(world: tuple[int, int, Draw, Percentile, float]) -> None:
    """At a risk of 5 % no more than 14 % of the runs: by chance less than once in 100, were it really 5 %."""
    random = Random(f"as quick: {world[:2]} {world[2].__name__} {world[3].__name__}")
    early = last = 0
    for _ in range(RUNS):
        minutes = bake(random, *world)
        early += sum(coarse.evidence(minutes)[q] * coarse.SHARES[q] for q in coarse.PERCENTS) >= 20
        last += last_look(minutes) <= 0.05
    assert early <= 8
    assert last <= 8


def last_look(minutes: list[Latency]) -> float:
    if coarse.usual(minutes) < coarse.SINGLE:
        return nearby.chance(minutes)
    return coarse.chance(minutes)[50] if coarse.is_wide(minutes) else signed.chance(signed.differences(minutes))


@pytest.mark.parametrize("size", [(1, 9), (4, 36), (30, 30)])
def test_a_canary_twice_as_slow_is_called_slow(size: tuple[int, int]) -> None:
    random = Random(f"slow {size}")
    found = 0
    for _ in range(20):
        minutes = bake(random, *size, plain, nearest, 0.0)
        slow = [one._replace(canary_ms={q: 2 * ms for q, ms in one.canary_ms.items()}) for one in minutes]
        found += last_look(slow) <= 0.01
    assert found >= 16


@given(canary=st.floats(0, 1000))
def test_percentiles_that_are_the_same_request_share_the_risk_once(canary: float) -> None:
    shares = coarse.shares(canary)
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share == 0 or share >= coarse.SHARES[q] for q, share in shares.items())
    used = [coarse.rank(max(1, round(canary)), q) for q, share in shares.items() if share]
    assert len(set(used)) == len(used)


def test_one_request_has_one_latency_and_hundred_have_four_percentiles() -> None:
    assert coarse.shares(1.2) == {50: 1.0, 90: 0.0, 95: 0.0, 99: 0.0}
    assert coarse.shares(100) == pytest.approx(coarse.SHARES)


def test_one_request_a_minute_is_judged_with_all_of_the_risk_of_latency() -> None:
    ms = dict.fromkeys(coarse.PERCENTS, 100.0)
    minutes = [Latency(1, dict.fromkeys(ms, 90.0 + 10 * (at % 4)), 9, {50: 95.0, 90: 105.0, 95: 115.0, 99: 115.0}) for at in range(30)]
    found = metrics.coarsely_against(minutes, minutes, Parts(0.0, 1.0))
    assert found == {50: pytest.approx(1 / nearby.chance(minutes)), 90: 0.0, 95: 0.0, 99: 0.0}


def test_percentiles_that_are_the_same_request_are_one_place() -> None:
    ms = dict.fromkeys(coarse.PERCENTS, 100.0)
    assert [list(found) for found in coarse.places([Latency(n, ms, 50, ms) for n in (1, 2, 50, 400)], False)] == [
        [50],
        [50, 90],
        [50, 90, 95, 99],
        [50, 90, 95, 99],
    ]


def test_what_nobody_feels_is_not_felt() -> None:
    assert not coarse.felt([(7.0, 5.0)] * 30)
    assert not coarse.felt([(103.0, 100.0)] * 30)
    assert not coarse.felt([])
    assert coarse.felt([(120.0, 100.0)] * 30)
    assert not coarse.felt([(5000.0, 100.0)] + [(100.0, 100.0)] * 29)


@settings(deadline=None)
@given(canary=st.integers(1, 3), stable=st.integers(1, 4), above=st.integers(1, 3))
def test_more_of_the_slowest_being_the_canarys_or_half_of_so_many_is_no_likelier_than_said(canary: int, stable: int, above: int) -> None:
    above = min(above, canary)
    orders = list(combinations(range(canary + stable), canary))
    own = [next(at for at in range(canary + 1) if canary + stable - 1 - at not in order) for order in orders]
    exact = sum((one >= above) + (one > above) for one in own) / 2 / len(orders)
    minutes = [Latency(1, {99: 100.0 + 900 * (at < above)}, 0, {}) for at in range(canary)] + [Latency(0, {}, stable, {99: 200.0})]
    found = tops.tops(minutes)
    assert found is not None
    assert found.minutes == above
    assert exact <= found.chance + 1e-9
    assert tops.tops([Latency(101, {99: 1.0}, 5, {99: 1.0})] * 9) is None
