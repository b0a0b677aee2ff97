"""The simulated canaries are what their families say: counts, percentiles, and the same again from the same seed."""

import math
import random
from collections import Counter

import pytest

from benchmarks.judge.draws import BELOW_ONE, binomial, geometric, percentiles, poisson
from benchmarks.judge.families import BAD_FAMILIES, FAMILIES, HEALTHY_FAMILIES, RATES, SHARES, at_odds, family
from benchmarks.judge.scores import at_most, interval, quantile, sign_test
from benchmarks.judge.traffic import Cell, bake

LOOKS = 20_000


@pytest.mark.parametrize(("trials", "chance"), [(7, 0.3), (60, 0.005), (600, 0.1), (3000, 0.9), (500, 0.5)])
def test_binomial_counts_have_their_distribution(trials, chance):
    stream = random.Random(f"binomial {trials} {chance}")
    drawn = Counter(binomial(stream, trials, chance) for _ in range(LOOKS))
    for count in (quantile(list(drawn.elements()), share) for share in (0.05, 0.5, 0.95)):
        expected = at_most(int(count), trials, chance)
        seen = sum(n for value, n in drawn.items() if value <= count) / LOOKS
        assert seen == pytest.approx(expected, abs=5 * math.sqrt(0.25 / LOOKS))


def test_counts_at_their_ends():
    stream = random.Random("ends")
    assert [binomial(stream, 10, chance) for chance in (0, 1, -0.1)] == [0, 10, 0]
    assert binomial(stream, 0, 0.5) == 0
    assert min(geometric(stream, 3.0) for _ in range(1000)) == 1
    assert sum(geometric(stream, 3.0) for _ in range(LOOKS)) / LOOKS == pytest.approx(3, abs=0.1)
    for mean in (0.06, 6, 6000):
        assert sum(poisson(stream, mean) for _ in range(LOOKS)) / LOOKS == pytest.approx(mean, abs=5 * math.sqrt(mean / LOOKS))


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_percentiles_are_distributed_as_those_of_single_values(size):
    """Against sorting single uniform numbers: same means, same joint order."""
    stream = random.Random(f"percentiles {size}")
    short = [percentiles(stream, size, lambda share: share) for _ in range(LOOKS // 4)]
    for percent in (50, 90, 95, 99):
        place = min(size, math.ceil(size * percent / 100))
        long = [sorted(stream.random() for _ in range(size))[place - 1] for _ in range(LOOKS // 4)]
        drawn = [one[percent] for one in short]
        assert sum(drawn) / len(drawn) == pytest.approx(place / (size + 1), abs=0.02)
        assert quantile(drawn, 0.1) == pytest.approx(quantile(long, 0.1), abs=0.03)
    assert all(one[50] <= one[90] <= one[95] <= one[99] <= BELOW_ONE for one in short)
    assert percentiles(stream, 0, lambda share: share) == {}


def test_a_bake_is_the_same_again_and_another_is_another():
    cell = Cell(family("healthy"), 60, 10)
    assert bake(cell, 3) == bake(cell, 3)
    assert bake(cell, 3) != bake(cell, 4)
    assert len(bake(cell, 3).minutes) == 30


def totals(name: str, rate: int = 6000, share: int = 50) -> tuple[float, float, float, float]:
    """Over ten bakes: the share of errors of stable and canary, and the mean p50 of both."""
    minutes = [minute for number in range(10) for minute in bake(Cell(family(name), rate, share), number).minutes]
    arms = [[arm for arm in side if arm is not None] for side in ([m.stable for m in minutes], [m.canary for m in minutes])]
    errors = [sum(a.errors for a in side) / sum(a.requests for a in side) for side in arms]
    medians = [sum(a.percentiles[50] for a in side) / len(side) for side in arms]
    return errors[0], errors[1], medians[0], medians[1]


@pytest.mark.parametrize("one", [*HEALTHY_FAMILIES, *BAD_FAMILIES], ids=lambda one: one.name)
def test_only_bad_canaries_are_worse(one):
    stable, canary, quick, slow = totals(one.name)
    worse = canary > stable * 1.15 + 0.0002 or slow > quick * 1.1
    assert worse == (one.bad and one.name != "tail only") or one.name in ("cold start", "clustered retries")


def test_the_faults_are_as_big_as_they_are_called():
    assert totals("errors x10")[1] == pytest.approx(at_odds(10), rel=0.05)
    assert at_odds(10) == pytest.approx(0.0478, abs=0.0001)
    assert totals("all errors")[1] == 1
    assert totals("latency x1.5")[3] == pytest.approx(150, rel=0.02)
    tail = bake(Cell(family("tail only"), 6000, 50), 0).minutes[0]
    assert tail.canary.percentiles[99] > 2.5 * tail.stable.percentiles[99]
    assert tail.canary.percentiles[90] == pytest.approx(tail.stable.percentiles[90], rel=0.1)
    late = bake(Cell(family("late onset"), 6000, 50), 0)
    assert [amount > 0 for amount in late.harm] == [False] * 10 + [True] * 20
    split = bake(Cell(family("broken split"), 6000, 10), 0).minutes
    asked = sum(m.canary.requests for m in split) / sum(m.canary.requests + m.stable.requests for m in split)
    assert asked == pytest.approx(0.308, abs=0.01)


def test_each_bad_family_has_its_healthy_one_and_there_is_a_cell_for_all():
    names = [one.name for one in FAMILIES]
    assert len(set(names)) == len(names)
    assert {one.healthy for one in BAD_FAMILIES} <= {one.name for one in HEALTHY_FAMILIES}
    assert len(RATES) * len(SHARES) == 16


def test_intervals_are_the_exact_ones():
    """Clopper and Pearson's, as in any table of them."""
    assert interval(0, 100) == pytest.approx((0.0, 0.036217), abs=1e-5)
    assert interval(10, 100) == pytest.approx((0.049005, 0.176223), abs=1e-5)
    assert interval(100, 100) == pytest.approx((0.963783, 1.0), abs=1e-5)
    assert interval(0, 0) == (0.0, 1.0)
    assert sign_test(0, 0) == 1
    assert sign_test(0, 6) == pytest.approx(2 / 64)
    assert sign_test(5, 5) == 1
