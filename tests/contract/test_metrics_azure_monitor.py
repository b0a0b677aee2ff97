"""Azure Monitor as a source, by Microsoft's client against the emulator: what was really asked and answered is what the judge gets."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from aml_canary.domain.judge.minutes import Arm, Minute
from aml_canary.domain.observed import Facts
from aml_canary.errors import Permanent, Transient
from aml_canary.gateways import azureml
from aml_canary.gateways.metrics import newest_whole_minute, read_minutes
from aml_canary.gateways.metrics.azure_monitor import AzureMonitor
from aml_canary.gateways.scoring import Answer, score
from aml_emulator.process import RunningEmulator
from tests.contract.azure_world import NAME, create, endpoint, facts
from tests.contract.conftest import forget

BODY = b'{"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]}'
ARMS = ("blue", "green")


@pytest.fixture(scope="module")
def served(installation: dict[str, str], aml_emulator: RunningEmulator) -> Iterator[RunningEmulator]:
    """Blue answers, slow answers late, and broken answers with an error."""
    aml_emulator.reset()
    azureml.create_endpoint(endpoint(), Facts(commit="c"))
    create("blue", "v1")
    create("slow", "v2-slow", environment_variables={"SLOW_SECONDS": "0.1"})
    create("broken", "v2-broken")
    create("green", "v2")
    azureml.shift_traffic(azureml.observe(NAME), {"blue": 100}, {}, facts(), {})
    yield aml_emulator
    aml_emulator.reset()


@pytest.fixture
def emulator(served: RunningEmulator) -> Iterator[RunningEmulator]:
    """Nothing was asked yet."""
    served.call("DELETE", "stats")
    served.requests.clear()
    yield served
    served.faults.clear()
    served.call("POST", "pace", {"metrics_lag": 0})


def ask(deployment: str, times: int) -> list[Answer]:
    uri, access = azureml.observe(NAME).scoring_uri, azureml.scoring_access(NAME)
    return [score(uri, access, BODY, deployment=deployment) for _ in range(times)]


def minute() -> int:
    return int(time.time() // 60)


@pytest.fixture
def start(emulator: RunningEmulator) -> int:
    """The minute in which the test begins."""
    return minute()


def seen(start: int, *names: str) -> dict[str, dict[int, Arm | None]]:
    """As the source has it, up to the minute that is not over yet."""
    return AzureMonitor().minutes(NAME, names, start, minute())


def answers(arms: dict[int, Arm | None]) -> dict[int, int]:
    """Over all minutes, by status."""
    total: dict[int, int] = {}
    for arm in arms.values():
        for status, count in (arm.answers if arm is not None else {}).items():
            total[status] = total.get(status, 0) + count
    return total


def test_what_was_answered_is_counted_by_deployment_and_status(start):
    assert {a.status for a in ask("blue", 12)} == {200}
    assert {a.status for a in ask("broken", 3)} == {424}
    # Nobody's: no deployment was chosen for it.
    assert score(azureml.observe(NAME).scoring_uri, "wrong", BODY).status == 401
    found = seen(start, "blue", "broken")
    assert {name: answers(arms) for name, arms in found.items()} == {"blue": {200: 12}, "broken": {424: 3}}
    assert sum(arm.errors for arm in found["broken"].values() if arm) == 3


def test_percentiles_are_those_of_the_minutes_requests(emulator, start):
    ask("slow", 20)
    log = emulator.call("GET", f"scoring-log?endpoint={NAME}")["requests"]
    found = {at: arm for at, arm in seen(start, "slow")["slow"].items() if arm}
    assert sum(arm.requests for arm in found.values()) == 20
    for at, arm in found.items():
        durations = sorted(one["milliseconds"] for one in log if one["time"] // 60 == at)
        assert arm.requests == len(durations)
        assert set(arm.percentiles) == {50, 90, 95, 99}
        for percent, value in arm.percentiles.items():
            # By the nearest rank, and within the width of the classes that the emulator counts in.
            assert value == pytest.approx(durations[math.ceil(percent / 100 * len(durations)) - 1], rel=0.03)
            assert value > 95


def test_who_was_not_asked_while_others_were_had_no_request_and_no_latency(start):
    ask("blue", 8)
    found = seen(start, "blue", "green")
    busy = [at for at, arm in found["blue"].items() if arm is not None and arm.requests]
    assert busy
    assert [found["green"][at] for at in busy] == [Arm()] * len(busy)


def test_a_deployment_alone_is_known_by_what_the_others_answered(start):
    ask("blue", 8)
    assert Arm() in seen(start, "green")["green"].values()


def test_a_minute_without_anything_is_a_gap_on_a_busy_endpoint(start):
    ask("blue", 16)
    found = seen(start - 3, *ARMS)
    assert [found[name][at] for name in ARMS for at in range(start - 3, start)] == [None] * 6
    assert answers(found["blue"]) == {200: 16}


def test_a_minute_without_anything_is_a_minute_without_requests_on_a_quiet_endpoint(start):
    ask("blue", 3)
    found = seen(start - 3, *ARMS)
    assert [found[name][at] for name in ARMS for at in range(start - 3, start)] == [Arm()] * 6
    assert answers(found["blue"]) == {200: 3}


def test_a_time_without_anything_is_a_gap(emulator, start):
    found = AzureMonitor().minutes(NAME, ARMS, start - 2, start)
    assert found == {name: dict.fromkeys(range(start - 2, start + 1)) for name in ARMS}
    # Then there is no latency to ask for either.
    assert len(emulator.requests.list("endpoint.metrics")) == 1


def test_what_azure_does_not_show_yet_is_a_gap_and_not_zero(emulator, start):
    ask("blue", 12)
    emulator.call("POST", "pace", {"metrics_lag": 3600})
    assert [arm for arm in seen(start, "blue")["blue"].values() if arm is not None] == []
    emulator.call("POST", "pace", {"metrics_lag": 0})
    assert answers(seen(start, "blue")["blue"]) == {200: 12}


def test_only_whole_minutes_are_read_whatever_was_asked_for(start, monkeypatch):
    monkeypatch.setenv("AML_CANARY_METRICS_LAG_MINUTES", "0")
    forget()
    ask("blue", 3)
    earliest = minute() - 1
    found = read_minutes(NAME, "blue", "broken", start - 2, start + 60)
    assert earliest <= found[-1].at <= minute() - 1
    assert [m.at for m in found] == list(range(start - 2, found[-1].at + 1))
    # What was asked in the minute that is not over is not among it.
    assert [m for m in found if m.at < start] == [Minute(start - 2, None, None), Minute(start - 1, None, None)]
    forget()


@pytest.mark.parametrize(("lag", "newest"), [(None, 96), ("0", 99), ("5", 94)])
def test_a_minute_is_whole_when_it_is_over_and_the_lag_is_waited_out(emulator, monkeypatch, lag, newest):
    if lag is not None:
        monkeypatch.setenv("AML_CANARY_METRICS_LAG_MINUTES", lag)
    forget()
    assert newest_whole_minute(datetime.fromtimestamp(100 * 60, UTC)) == newest
    assert newest_whole_minute(datetime.fromtimestamp(100 * 60 + 59.9, UTC)) == newest
    assert newest_whole_minute(datetime.fromtimestamp(101 * 60, UTC)) == newest + 1
    forget()


def test_of_a_minute_that_is_not_whole_azure_is_not_asked(emulator, start):
    assert read_minutes(NAME, "blue", "green", start, start) == ()
    assert emulator.requests.list("endpoint.metrics") == []


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_work_in_a_moment_is_transient_and_asked_once(emulator, status):
    emulator.faults.add("endpoint.metrics", status=status, code="SomeCode", message="Later.", headers={"Retry-After": "7"}, count=None)
    with pytest.raises(
        Transient, match=rf"Azure failed to read the metrics of endpoint churn: HTTP {status} \(SomeCode\) Later\."
    ) as failure:
        seen(minute(), "blue")
    assert failure.value.retry_after == 7
    assert len(emulator.requests.list("endpoint.metrics")) == 1


def test_a_connection_that_breaks_is_transient(emulator):
    emulator.faults.add("endpoint.metrics", reset=True)
    with pytest.raises(Transient, match="could not be reached to read the metrics of endpoint churn"):
        seen(minute(), "blue")


def test_an_identity_that_may_not_read_metrics_is_told_which_role_it_needs(emulator):
    emulator.faults.add("endpoint.metrics", status=403, code="AuthorizationFailed", message="The client may not.", count=None)
    with pytest.raises(Permanent, match=r"\(AuthorizationFailed\) The client may not\. Give this identity the role Monitoring Reader"):
        seen(minute(), "blue")


def test_an_endpoint_that_is_not_there_is_permanent(emulator):
    with pytest.raises(Permanent, match="HTTP 404"):
        AzureMonitor().minutes("nobody", ("blue",), minute(), minute())
