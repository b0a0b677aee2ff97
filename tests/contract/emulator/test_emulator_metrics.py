"""Azure Monitor, asked by Microsoft's own clients: what the door counted, by deployment and status, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.monitor import MonitorManagementClient
from azure.monitor.querymetrics import MetricAggregationType, MetricsClient

SPAN = "PT10M"
NAMESPACE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"


@pytest.fixture(scope="module")
def counted(served: Any) -> Any:
    """12 requests to blue, 3 to green, 2 that broke, and one without a key."""
    served.deploy("broken", "v2-broken")
    served.emulator.call("DELETE", "stats")
    answers = [served.score() for _ in range(12)] + [served.score("green") for _ in range(3)] + [served.score("broken") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200] * 15 + [424] * 2
    key, served.key = served.key, "wrong"
    assert served.score().status_code == 401
    served.key = key
    return served


@pytest.fixture
def monitor(counted: Any) -> MonitorManagementClient:
    url = counted.emulator.arm_url
    return MonitorManagementClient(
        counted.emulator.credential(),
        counted.emulator.subscription_id,
        base_url=url,
        credential_scopes=[f"{url}/.default"],
        connection_verify=counted.emulator.ca_bundle,
        retry_total=0,
    )


@pytest.fixture
def endpoint(counted: Any) -> str:
    return str(counted.client.online_endpoints.get("canary").id)


def totals(response: Any, aggregation: str = "total") -> dict[tuple[str, ...], float]:
    """The sum over all minutes, by the values of the dimensions."""
    [metric] = response.value
    return {
        tuple(one.value for one in series.metadatavalues): sum(getattr(point, aggregation) or 0 for point in series.data)
        for series in metric.timeseries
    }


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, {(): 18}),
        ("deployment eq 'green'", {("green",): 3}),
        ("deployment eq '*'", {("blue",): 12, ("green",): 3, ("broken",): 2, ("N/A",): 1}),
        ("Deployment eq 'BLUE' or deployment eq 'green'", {("blue",): 12, ("green",): 3}),
        ("deployment eq 'broken' and statusCodeClass ne '2xx'", {("broken", "4xx"): 2}),
        ("deployment eq 'green' and statusCodeClass ne '2xx'", {}),
        ("statusCode eq '*' and modelStatusCode eq '*'", {("200", "200"): 15, ("424", "500"): 2, ("401", "N/A"): 1}),
        ("deployment sw 'b'", {("blue",): 12, ("broken",): 2}),
        ("deployment ne 'blue' and deployment ne 'N/A'", {("green",): 3, ("broken",): 2}),
    ],
)
def test_the_arm_client_gets_requests_split_as_the_filter_says(
    monitor: MonitorManagementClient, endpoint: str, asked: str | None, expected: Any
) -> None:
    response = monitor.metrics.list(
        endpoint, timespan=SPAN, interval="PT1M", metricnames="RequestsPerMinute", aggregation="Total,Average", filter=asked
    )
    assert totals(response) == expected
    [metric] = response.value
    assert (metric.name.value, metric.unit, response.namespace, response.interval) == (
        "RequestsPerMinute", "Count", NAMESPACE, "PT1M",
    )  # fmt: skip
    assert all(len(series.data) >= 10 for series in metric.timeseries)


def test_times_may_be_given_in_full_and_minutes_be_put_together(monitor: MonitorManagementClient, endpoint: str) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    span = f"{(end - timedelta(minutes=61)).isoformat()}/{end.isoformat()}"
    response = monitor.metrics.list(endpoint, timespan=span, interval="PT1H", metricnames="RequestsPerMinute", aggregation="total")
    assert totals(response) == {(): 18}
    assert len(response.value[0].timeseries[0].data) <= 3
    point = next(point for point in response.value[0].timeseries[0].data if point.total)
    assert (point.average, point.count) == (None, None)
    # Before anything was asked, there is nothing.
    past = f"{(end - timedelta(hours=9)).isoformat()}/{(end - timedelta(hours=8)).isoformat()}"
    assert totals(monitor.metrics.list(endpoint, timespan=past, aggregation="total")) == {(): 0}
    # As `az monitor metrics list` has it: escaped once more than needed.
    assert totals(monitor.metrics.list(endpoint, timespan=quote(span, safe=""), aggregation="total")) == {(): 18}


def test_latencies_have_an_average_and_percentiles(monitor: MonitorManagementClient, endpoint: str) -> None:
    names = "RequestLatency,RequestLatency_P50,RequestLatency_P90,RequestLatency_P95,RequestLatency_P99"
    response = monitor.metrics.list(endpoint, timespan=SPAN, metricnames=names, filter="deployment eq 'blue'")
    highest = {}
    for metric in response.value:
        assert metric.unit == "MilliSeconds"
        [series] = metric.timeseries
        highest[metric.name.value] = max(point.average or 0 for point in series.data)
    assert list(highest) == names.split(",")
    assert 0 < highest["RequestLatency_P50"] <= highest["RequestLatency_P90"] <= highest["RequestLatency_P99"]


def test_a_deployment_has_metrics_of_its_own(monitor: MonitorManagementClient, endpoint: str) -> None:
    response = monitor.metrics.list(
        f"{endpoint}/deployments/broken", timespan=SPAN, metricnames="RequestsPerMinute", aggregation="Total",
        filter="envoy_response_code eq '*'", metricnamespace=f"{NAMESPACE}/deployments",
    )  # fmt: skip
    assert totals(response) == {("424",): 2}


def test_the_batch_client_gets_several_resources_at_once(counted: Any, endpoint: str) -> None:
    url = counted.emulator.arm_url
    client = MetricsClient(url, counted.emulator.credential(), connection_verify=counted.emulator.ca_bundle, retry_total=0)
    for asked, expected in ((None, {(): 18}), ("deployment eq 'green' and statusCodeClass eq '2xx'", {("green", "2xx"): 3})):
        [result] = client.query_resources(
            resource_ids=[endpoint],
            metric_namespace=NAMESPACE,
            metric_names=["RequestsPerMinute"],
            timespan=timedelta(minutes=10),
            granularity=timedelta(minutes=1),
            aggregations=[MetricAggregationType.TOTAL],
            filter=asked,
        )
        [metric] = result.metrics
        assert {
            tuple(series.metadata_values.values()): sum(point.total or 0 for point in series.data) for series in metric.timeseries
        } == expected
    both = client.query_resources(
        resource_ids=[f"{endpoint}/deployments/{name}" for name in ("blue", "green")],
        metric_namespace=f"{NAMESPACE}/deployments",
        metric_names=["RequestLatency_P95"],
        timespan=timedelta(minutes=10),
    )
    assert [any(point.average for point in one.metrics[0].timeseries[0].data) for one in both] == [True, True]


def test_what_was_counted_may_come_late(counted: Any, monitor: MonitorManagementClient, endpoint: str) -> None:
    def seen() -> float:
        return totals(monitor.metrics.list(endpoint, timespan=SPAN, aggregation="Total"))[()]

    assert counted.emulator.call("POST", "pace", {"metrics_lag": 3600})["metrics_lag"] == 3600
    assert seen() == 0
    counted.emulator.call("POST", "pace", {"metrics_lag": 0})
    assert seen() == 18
    assert counted.emulator.call("GET", "pace")["metrics_lag"] == 0


@pytest.mark.parametrize("audience", ["https://metrics.monitor.azure.com", "https://management.azure.com"])
def test_a_token_for_metrics_opens_metrics_only(counted: Any, session_arm: Any, endpoint: str, audience: str) -> None:
    token = counted.emulator.credential().get_token(f"{audience}/.default").token
    headers = {"Authorization": f"Bearer {token}"}
    subscription = endpoint.split("/resourceGroups")[0]
    batch = session_arm.call("POST", f"{subscription}/metrics:getBatch", {"resourceids": [endpoint]}, headers=headers)
    assert batch.status_code == 200
    assert session_arm.call("GET", endpoint, headers=headers).status_code == (401 if "metrics" in audience else 200)


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        ({"metricnames": "Nonsense"}, 400, "Failed to find metric configuration"),
        ({"metricnames": "CpuUtilizationPercentage"}, 501, "CpuUtilizationPercentage"),
        ({"filter": "deployment eq green"}, 400, "Invalid filter"),
        ({"filter": "color eq 'green'"}, 400, "does not support requested dimension"),
        ({"filter": "deployment eq 'a' or statusCode eq '200'"}, 400, "cannot separate"),
        ({"filter": "deployment eq 'a' and"}, 400, "Invalid filter"),
        ({"filter": "(" * 4000}, 400, "Invalid filter"),
        ({"filter": "x" * 5000}, 400, "too long"),
        ({"interval": "PT7M"}, 400, "Invalid time grain"),
        ({"aggregation": "Median"}, 400, "Invalid aggregation"),
        ({"timespan": "yesterday/today"}, 400, "Invalid time"),
        ({"timespan": "P999D"}, 400, "30 days"),
        ({"timespan": "PT1H/0001-01-01T00:00:00Z"}, 400, "Invalid timespan"),
        ({"timespan": "2026-01-01T00:00:00Z/9999-12-31T23:59:59-14:00"}, 400, "Invalid time"),
        ({"top": "\u00b2"}, 400, "top must be"),
        ({"metricnames": ",".join(["RequestsPerMinute"] * 21)}, 400, "At most 20 metrics"),
        ({"timespan": "P30D", "metricnames": ",".join(["RequestsPerMinute"] * 20)}, 400, "too many data points"),
        ({"timespan": "2026-01-02T00:00:00Z/2026-01-01T00:00:00Z"}, 400, "before end"),
        ({"metricnamespace": "Microsoft.Web/sites"}, 400, "Invalid metric namespace"),
        ({"rollupby": "deployment"}, 501, "rollupby"),
    ],
)
def test_what_cannot_be_answered_is_refused(monitor: MonitorManagementClient, endpoint: str, options: Any, status: int, text: str) -> None:
    if "top" in options:
        # The client takes numbers only.
        options = {"params": options}
    with pytest.raises(HttpResponseError) as caught:
        monitor.metrics.list(endpoint, **{"timespan": SPAN, **options})
    assert caught.value.status_code == status
    assert text in str(caught.value)


def test_resources_that_are_not_there_are_not_found(monitor: MonitorManagementClient, endpoint: str, session_arm: Any) -> None:
    for resource, status in ((endpoint + "x", 404), (f"{endpoint}/deployments/purple", 404), (endpoint.rpartition("/")[0], 501)):
        with pytest.raises(HttpResponseError) as caught:
            monitor.metrics.list(resource)
        assert caught.value.status_code == status
    subscription = endpoint.split("/resourceGroups")[0]
    span = "starttime=2026-11-01T00:00:00Z&endtime=2026-11-25T00:00:00Z"
    far = session_arm.call("POST", f"{subscription}/metrics:getBatch?{span}", {"resourceids": [endpoint] * 50})
    assert (far.status_code, "too many data points" in far.text) == (400, True)
    for body in ({}, {"resourceids": []}, {"resourceids": "x"}, {"resourceids": ["/x"]}, {"resourceids": [3]}):
        assert session_arm.call("POST", f"{subscription}/metrics:getBatch", body).status_code == 400
