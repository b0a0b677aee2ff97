"""A function as a source: what it returns is checked before it is judged, and paired up minute by minute."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aml_canary.domain.judge.minutes import Arm, Minute
from aml_canary.errors import Permanent, Superseded, Transient
from aml_canary.gateways.metrics import newest_whole_minute, read_minutes, source
from aml_canary.settings import settings

MODULE = """
told = {}
asked = []

def minutes(endpoint, deployments, first, last):
    asked.append((endpoint, deployments, first, last))
    if isinstance(told, Exception):
        raise told
    return told
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], Any]]:
    """A function in a module of its own, and what it returns or raises."""
    (tmp_path / "acme_metrics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AML_CANARY_FUNCTIONS", '["acme_metrics"]')
    monkeypatch.setenv("AML_CANARY_METRICS", "acme_metrics.minutes")
    settings.cache_clear()

    def put(value: Any) -> Any:
        source()
        module: Any = sys.modules["acme_metrics"]
        module.told = value
        return module

    yield put
    sys.modules.pop("acme_metrics", None)
    settings.cache_clear()


def test_minutes_of_both_deployments_are_paired_and_what_is_not_there_is_a_gap(told):
    module = told({"blue": {10: Arm({200: 5}), 12: Arm()}, "green": {11: {"answers": {200: 3, 503: 1}, "durations": [12.5, 3]}}})
    assert read_minutes("churn", "blue", "green", 10, 13) == (
        Minute(10, Arm({200: 5}), None),
        Minute(11, None, Arm({200: 3, 503: 1}, durations=(12.5, 3.0))),
        Minute(12, Arm(), None),
        Minute(13, None, None),
    )
    assert module.asked == [("churn", ("blue", "green"), 10, 13)]


def test_without_stable_only_the_canary_is_asked_for(told):
    module = told({"blue": {10: Arm()}, "green": {10: Arm({200: 1})}})
    assert read_minutes("churn", None, "green", 10, 10) == (Minute(10, None, Arm({200: 1})),)
    assert module.asked[-1][1] == ("green",)


def test_a_minute_that_is_not_whole_is_not_asked_for(told):
    module = told({})
    newest = newest_whole_minute(datetime.now(UTC))
    assert [m.at for m in read_minutes("churn", "blue", "green", newest - 1, newest + 100)][:2] == [newest - 1, newest]
    assert read_minutes("churn", "blue", "green", newest + 100, newest + 200) == ()
    assert len(module.asked) == 1
    assert read_minutes("churn", "blue", "green", 12, 11) == ()


@pytest.mark.parametrize(("lag", "newest"), [(None, 98), ("0", 99), ("7", 92)])
def test_a_minute_is_whole_when_the_lag_is_over(told, monkeypatch, lag, newest):
    if lag is not None:
        monkeypatch.setenv("AML_CANARY_METRICS_LAG_MINUTES", lag)
        settings.cache_clear()
    assert newest_whole_minute(datetime.fromtimestamp(100 * 60 + 59.9, UTC)) == newest
    assert newest_whole_minute(datetime.fromtimestamp(101 * 60, UTC)) == newest + 1


def test_everything_an_arm_has_may_be_told(told):
    fields = {"answers": {200: 2.0, 0: 1}, "percentiles": {50: 1, 99.0: 2.5}, "durations": (1,), "quality": [0.5, -1]}
    told({"blue": {10: fields}})
    assert source().minutes("churn", ["blue"], 10, 10) == {"blue": {10: Arm({200: 2, 0: 1}, {50: 1.0, 99: 2.5}, (1.0,), (0.5, -1.0))}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "a mapping by deployment is wanted, not NoneType"),
        ([("blue", {})], "a mapping by deployment is wanted, not list"),
        ({"blue": [1]}, "for blue, a mapping by minute is wanted, not list"),
        ({"blue": {10: 5}}, "a minute is an Arm, None, or a mapping"),
        ({"blue": {10: {"errors": 5}}}, "a minute is an Arm, None, or a mapping"),
        ({"blue": {10: {"answers": {200: -1}}}}, "whole numbers from 0, not -1"),
        ({"blue": {10: {"answers": {200: 1.5}}}}, r"whole numbers from 0, not 1\.5"),
        ({"blue": {10: {"answers": {200: True}}}}, "a finite number is wanted, not True"),
        ({"blue": {10: {"answers": {"200": 1}}}}, "a finite number is wanted, not '200'"),
        ({"blue": {10: {"answers": {700: 1}}}}, "an HTTP status is below 600, not 700"),
        ({"blue": {10: Arm({200: -4})}}, "whole numbers from 0, not -4"),
        ({"blue": {10: Arm({200: 1}, durations=(math.nan,))}}, "a finite number is wanted, not nan"),
        ({"blue": {10: {"durations": [-1]}}}, r"no duration is -1\.0 ms"),
        ({"blue": {10: {"durations": 4}}}, "not iterable"),
        ({"blue": {10: {"percentiles": {0.5: 3}}}}, r"whole numbers from 0, not 0\.5"),
        ({"blue": {10: {"percentiles": {100: 3}}}}, "percentiles are milliseconds by percent"),
        ({"blue": {10: {"percentiles": {50: -3}}}}, "percentiles are milliseconds by percent"),
        ({"blue": {10: {"quality": [math.inf]}}}, "a finite number is wanted, not inf"),
        ({"blue": {10: {"answers": 7}}}, "returned something else"),
    ],
)
def test_what_is_no_minute_is_permanent_and_says_what_is_wrong(told, value, reason):
    told(value)
    with pytest.raises(Permanent, match=reason) as failure:
        source().minutes("churn", ["blue"], 10, 10)
    assert "acme_metrics.minutes returned something else than minutes of churn" in str(failure.value)


@pytest.mark.parametrize("error", [ConnectionError("refused"), TimeoutError("late"), Transient("later")])
def test_what_could_not_be_reached_is_transient(told, error):
    told(error)
    with pytest.raises(Transient, match=str(error)):
        source().minutes("churn", ["blue"], 10, 10)


@pytest.mark.parametrize("error", [KeyError("blue"), ZeroDivisionError("by zero"), Superseded("newer")])
def test_any_other_failure_is_permanent(told, error):
    told(error)
    with pytest.raises(Permanent, match=str(error)):
        source().minutes("churn", ["blue"], 10, 10)


def test_a_source_that_is_not_allowed_is_refused(told, monkeypatch):
    monkeypatch.setenv("AML_CANARY_METRICS", "os.path.join")
    settings.cache_clear()
    with pytest.raises(Permanent, match=r"os\.path\.join may not be called"):
        read_minutes("churn", "blue", "green", 10, 10)
