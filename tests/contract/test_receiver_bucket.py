"""How often somebody may knock at the door: no more than the rate, no less, and never at the cost of others. Pure values."""

import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aml_canary.receiver import bucket
from aml_canary.receiver.bucket import Bucket, Buckets, Rate, take

# A machine that is busy is no failure.
at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

RATES = st.builds(Rate, burst=st.integers(1, 20).map(float), per_second=st.floats(0.1, 50))
PAUSES = st.lists(st.floats(0, 5), max_size=60)
PLENTY = Rate(1e9, 1e9)


def knocks(rate: Rate, pauses: list[float]) -> list[float]:
    """When somebody got in who knocked after these pauses."""
    left, now, let_in = Bucket(rate.burst, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        left, wait = take(left, rate, now)
        assert 0 <= left.tokens <= rate.burst
        if wait == 0:
            let_in.append(now)
    return let_in


@at_leisure
@given(RATES, PAUSES)
def test_in_no_stretch_of_time_more_get_in_than_the_rate_allows(rate: Rate, pauses: list[float]) -> None:
    let_in = knocks(rate, pauses)
    for first, began in enumerate(let_in):
        for last in range(first, len(let_in)):
            assert last - first + 1 <= rate.burst + (let_in[last] - began) * rate.per_second + 1e-6


@at_leisure
@given(RATES, st.integers(1, 40))
def test_who_keeps_to_the_rate_always_gets_in(rate: Rate, times: int) -> None:
    assert len(knocks(rate, [1 / rate.per_second * (1 + 1e-9)] * times)) == times


@at_leisure
@given(RATES, PAUSES)
def test_who_waits_as_long_as_told_gets_in(rate: Rate, pauses: list[float]) -> None:
    left, now = Bucket(rate.burst, 0.0), 0.0
    for pause in pauses:
        now += pause
        left, wait = take(left, rate, now)
        if wait:
            assert wait <= 1 / rate.per_second
            assert take(left, rate, now + wait + 1e-9)[1] == 0


@at_leisure
@given(st.lists(st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2"]), st.floats(0, 0.2)), max_size=100))
def test_one_address_costs_another_nothing(steps: list[tuple[str, float]]) -> None:
    rate, now = Rate(3, 2), 0.0
    together, alone = Buckets(rate, PLENTY), Buckets(rate, PLENTY)
    for address, pause in steps:
        now += pause
        wait = together.wait(address, now)
        if address == "10.0.0.1":
            assert wait == alone.wait(address, now)


def test_all_together_have_a_rate_and_those_refused_for_their_own_do_not_use_it_up() -> None:
    buckets = Buckets(Rate(2, 1), Rate(5, 1))
    assert [buckets.wait("10.0.0.1", 0.0) for _ in range(50)] == [0, 0] + [1] * 48
    assert [buckets.wait(f"10.0.1.{n}", 0.0) for n in range(4)] == [0, 0, 0, 1]


def test_no_more_addresses_are_remembered_than_there_is_room_for() -> None:
    buckets = Buckets(Rate(1, 0.001), PLENTY)
    for n in range(bucket.ADDRESSES + 500):
        buckets.wait(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 0.0)
    assert len(buckets) == bucket.ADDRESSES
    # The last one is remembered, the first is not.
    last = bucket.ADDRESSES + 499
    assert buckets.wait(f"10.{last >> 16}.{last >> 8 & 255}.{last & 255}", 0.0) > 0
    assert buckets.wait("10.0.0.0", 0.0) == 0


def test_addresses_of_one_client_are_one() -> None:
    assert bucket.neighbourhood("2001:db8:1:2:3:4:5:6") == bucket.neighbourhood("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert bucket.neighbourhood("2001:db8:1:3::1") != bucket.neighbourhood("2001:db8:1:2::1")
    assert bucket.neighbourhood("::ffff:10.0.0.1") == bucket.neighbourhood("10.0.0.1") == "10.0.0.1"
    assert bucket.neighbourhood("") == ""


def test_the_wait_is_never_for_ever() -> None:
    assert math.isfinite(Buckets(Rate(1, 0.1), PLENTY).wait("x", 0.0))
