"""How the risk of failing a healthy canary is shared out: never more than all of it, and where it can do something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.judge import metrics, risk
from aml_canary.domain.judge.counts import Count

QUIET = [Count(1, 0, 5, 0)] * 30
ALL_IN_A_CANARY = 0.01


@given(requests=st.floats(0, 1e6))
def test_no_more_than_all_of_the_risk_is_taken(requests: float) -> None:
    parts = risk.parts(requests)
    assert parts.early > 0
    assert parts.last > 0
    assert sum(parts) <= 1


def test_with_few_requests_nearly_all_is_for_the_last_look() -> None:
    assert risk.parts(100).last > 0.9
    assert risk.parts(10_000).early > risk.parts(100).early


def test_what_errors_cannot_use_is_for_latency() -> None:
    spared = metrics.spared(QUIET, 1.0, risk.FEW, ALL_IN_A_CANARY)
    # With what errors have given away, it is still no more than the whole.
    assert risk.FEW.last < spared.last <= risk.FEW.last * (metrics.ERRORS + metrics.LATENCY) / metrics.LATENCY
    assert spared.early == risk.FEW.early


@pytest.mark.parametrize("errors", [2, 5, 30])
def test_errors_that_could_be_the_canarys_keep_their_part_whoever_they_are_of(errors: int) -> None:
    """By a canary that gets a fortieth of the traffic, two errors may be too many."""
    minutes = [Count(1, 0, 39, int(at < errors)) for at in range(30)]
    assert metrics.spared(minutes, 1.0, risk.FEW, ALL_IN_A_CANARY) == risk.FEW
    other = [one._replace(canary_errors=one.stable_errors, stable_errors=0) for one in minutes]
    assert metrics.spared(other, 1.0, risk.FEW, ALL_IN_A_CANARY) == risk.FEW


def test_before_the_last_look_nothing_is_given_away() -> None:
    assert metrics.spared(None, 1.0, risk.FEW, ALL_IN_A_CANARY) == risk.FEW
