"""What is told beforehand about verdicts: how long they take, and what would be quicker."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.expected import Traffic, expectations, traffic_of
from aml_canary.domain.judge.minutes import Arm
from aml_canary.domain.manifest import Judge
from aml_canary.domain.steps import Bake, SmokeInvoke

TEN = Bake("green", {"blue": 90, "green": 10})
ALL = Bake("green", {"green": 100})


def test_a_busy_endpoint_has_its_verdict_in_the_least_time():
    (told,) = expectations((SmokeInvoke("green"), TEN, ALL), Traffic(6000, 0.001), Judge())
    assert told == "bake-green-10: a verdict takes about 5 minutes at 6000 requests a minute."


def test_a_quiet_one_is_told_what_would_be_quicker():
    (told,) = expectations((TEN,), Traffic(20, 0.001), Judge(longest_minutes=30))
    found = re.fullmatch(
        r"bake-green-10: a verdict takes about (\d+) minutes at 20 requests a minute, longer than longest_minutes \(30\); "
        r"with (\d+) % it takes about (\d+)\.",
        told,
    )
    assert found, told
    assert int(found[1]) > 30 >= int(found[3])
    assert int(found[2]) > 10


def test_what_cannot_be_known_is_said():
    assert "no metrics" in expectations((TEN,), None, Judge())[0]
    assert "nobody asked" in expectations((TEN,), Traffic(0, 0), Judge())[0]
    assert "no step would be quick enough" in expectations((TEN,), Traffic(0.01, 0), Judge())[0]
    assert expectations((SmokeInvoke("green"), ALL), None, Judge()) == (), "at 100 % there is nothing to choose"


def test_a_gap_is_not_a_minute_without_requests():
    busy = Arm({200: 57, 500: 3})
    assert traffic_of([[busy], [None], [None]]) == Traffic(60, 0.05)
    assert traffic_of([[busy], [Arm()]]) == Traffic(30, 0.05)
    assert traffic_of([[busy, Arm({200: 60})], [None, None]]) == Traffic(120, 0.025), "all deployments together"
    assert traffic_of([[None]]) is None


@settings(deadline=None)
@given(st.floats(0.1, 1e5), st.floats(0, 0.5), st.integers(1, 99), st.sampled_from(["careful", "normal", "fast"]))
def test_a_proposed_step_is_larger_and_quick_enough(rate, errors, share, confidence):
    rules = Judge(confidence=confidence)
    (told,) = expectations((Bake("green", {"blue": 100 - share, "green": share}),), Traffic(rate, errors), rules)
    if proposed := re.search(r"with (\d+) % it takes about (\d+)\.", told):
        assert int(proposed[1]) > share
        assert int(proposed[2]) <= rules.longest_minutes
