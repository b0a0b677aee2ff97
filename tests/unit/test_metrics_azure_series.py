"""What Azure Monitor's series say of a minute, where an emulator would not show it: explicit zeros, odd statuses, every cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.mgmt.core.tools import get_arm_endpoints

from aml_canary.domain.judge.minutes import Arm
from aml_canary.errors import Permanent
from aml_canary.gateways.azureml import Series, monitor
from aml_canary.gateways.azureml.client import client
from aml_canary.gateways.metrics import azure_monitor
from aml_canary.gateways.metrics.azure_monitor import AzureMonitor, known_minutes
from aml_canary.settings import settings


def requests(deployment: str, status: str, values: dict[int, float]) -> Series:
    return Series("RequestsPerMinute", {"deployment": deployment, "statuscode": status}, values)


def test_a_minute_with_an_explicit_zero_is_known_however_busy_the_endpoint_is():
    assert known_minutes([requests("blue", "200", {10: 900.0, 11: 0.0, 13: 900.0})], 10, 13) == {10, 11, 13}


@pytest.mark.parametrize(("count", "known"), [(7.0, {10}), (6.0, {10, 11, 12})])
def test_seven_requests_in_an_average_minute_make_silence_a_gap(count, known):
    assert known_minutes([requests("blue", "200", {10: count})], 10, 12) == known


def test_all_deployments_make_an_endpoint_busy_and_a_minute_known():
    found = [requests("blue", "200", {10: 4.0}), requests("red", "200", {10: 4.0}), requests("N/A", "401", {12: 8.0})]
    assert known_minutes(found, 10, 12) == {10, 12}


@pytest.fixture
def series(monkeypatch: pytest.MonkeyPatch) -> list[Series]:
    """What Azure is taken to have answered."""
    told: list[Series] = []

    def read(_endpoint: str, metrics: tuple[str, ...], *_: object) -> list[Series]:
        return [one for one in told if one.metric in metrics]

    monkeypatch.setattr(azure_monitor, "read_series", read)
    return told


def test_a_status_that_azure_does_not_know_is_a_request_all_the_same(series):
    series += [requests("Blue", "N/A", {10: 2.0}), requests("blue", "200", {10: 5.0}), requests("blue", "unknown", {10: 1.0})]
    arm = AzureMonitor().minutes("churn", ["blue"], 10, 10)["blue"][10]
    assert arm == Arm({0: 3, 200: 5})
    assert (arm.requests, arm.errors) == (8, 0)


def test_a_status_without_a_request_is_not_among_the_answers_and_brings_no_latency(series):
    series += [requests("blue", "200", {10: 0.0}), Series("RequestLatency_P50", {"deployment": "blue"}, {10: 12.0})]
    assert AzureMonitor().minutes("churn", ["blue"], 10, 10) == {"blue": {10: Arm()}}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SUBSCRIPTION_ID", "RESOURCE_GROUP", "WORKSPACE"):
        monkeypatch.setenv(f"AML_CANARY_{name}", "x")
    # The SDK writes the cloud's name there.
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")
    monkeypatch.delenv("AML_CANARY_CLOUD_METADATA", raising=False)
    yield
    settings.cache_clear()
    client.cache_clear()


@pytest.mark.parametrize("cloud", sorted(monitor._CLOUDS))
def test_metrics_are_asked_of_the_cloud_that_the_workspace_is_in(installed, monkeypatch, cloud):
    monkeypatch.setenv("AML_CANARY_CLOUD_NAME", cloud)
    settings.cache_clear()
    client.cache_clear()
    asked = monitor._monitor(client())
    there = get_arm_endpoints(monitor._CLOUDS[cloud])
    assert asked._client._base_url == there["resource_manager"]
    assert asked._config.credential_scopes == there["credential_scopes"]
    # The SDK for the workspace has its own list.
    assert client()._base_url.rstrip("/") == there["resource_manager"].rstrip("/")


def test_a_cloud_that_nobody_knows_is_refused(installed, monkeypatch):
    monkeypatch.setenv("AML_CANARY_CLOUD_NAME", "AzureCloud")
    settings.cache_clear()
    client.cache_clear()
    beside = client()
    monkeypatch.setenv("AML_CANARY_CLOUD_NAME", "MoonCloud")
    settings.cache_clear()
    monitor._monitor.cache_clear()
    with pytest.raises(Permanent, match=r"AML_CANARY_CLOUD_NAME is MoonCloud: give AML_CANARY_CLOUD_METADATA"):
        monitor._monitor(beside)
