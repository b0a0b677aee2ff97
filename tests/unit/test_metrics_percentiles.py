"""Percentiles out of a histogram's buckets, against the requests that are in them."""

import math

from hypothesis import given
from hypothesis import strategies as st

from aml_canary.gateways.metrics.prometheus import PERCENTS, percentiles_of

BOUNDS = (5.0, 10.0, 25.0, 50.0, 100.0)
latencies = st.lists(st.floats(0.001, 200), min_size=1, max_size=50)


def counted(durations: list[float]) -> dict[float, float]:
    return {bound: float(sum(d <= bound for d in durations)) for bound in (*BOUNDS, math.inf)}


@given(latencies)
def test_a_percentile_is_in_the_bucket_of_the_request_that_it_is_of(durations):
    found = percentiles_of(counted(durations))
    assert tuple(found) == PERCENTS
    for percent, value in found.items():
        exact = sorted(durations)[math.ceil(percent / 100 * len(durations)) - 1]
        upper = next((bound for bound in BOUNDS if exact <= bound), math.inf)
        lower = max((bound for bound in (0.0, *BOUNDS) if bound < upper), default=0.0)
        assert lower <= value <= min(upper, BOUNDS[-1])


@given(latencies)
def test_higher_percentiles_are_no_lower(durations):
    found = list(percentiles_of(counted(durations)).values())
    assert found == sorted(found)


# By powers of two, which change no number's digits: on the edge of a bucket the last digit decides.
@given(latencies, st.sampled_from((0.5, 2.0, 1024.0)))
def test_only_shares_count(durations, times):
    once = percentiles_of(counted(durations))
    often = percentiles_of({bound: times * count for bound, count in counted(durations).items()})
    assert once == often


@given(st.lists(st.floats(0, 100), min_size=6, max_size=6))
def test_whatever_is_counted_a_percentile_is_between_zero_and_the_highest_bound(counts):
    found = percentiles_of(dict(zip((*BOUNDS, math.inf), counts, strict=True)))
    assert all(0 <= value <= BOUNDS[-1] for value in found.values())


def test_a_bucket_below_a_smaller_one_counts_as_that_one():
    found = percentiles_of({10.0: 40.0, 20.0: 39.0, 30.0: 90.0, math.inf: 100.0})
    assert found == {50: 22.0, 90: 30.0, 95: 30.0, 99: 30.0}


def test_without_requests_bounds_or_a_total_there_is_none():
    assert percentiles_of({}) == {}
    assert percentiles_of({math.inf: 3.0}) == {}
    assert percentiles_of({1.0: 3.0}) == {}
    assert percentiles_of({1.0: 0.0, math.inf: 0.0}) == {}
