"""Metrics of an endpoint as Azure Monitor keeps them: one value a minute, in one series for each combination of dimensions.

Microsoft's `azure.mgmt.monitor`, unmodified, with the credential, cloud and CA bundle of the MLClient. What the series mean is not here
(`gateways.metrics.azure_monitor`). May import azure, `settings`, `errors` and its neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from azure.ai.ml import MLClient
from azure.core import AzureClouds
from azure.mgmt.monitor import MonitorManagementClient

from aml_canary.errors import Permanent, Transient
from aml_canary.gateways.azureml.client import client, credential
from aml_canary.gateways.azureml.failures import translated
from aml_canary.settings import settings

# As MLClient calls the clouds that azure-core knows by itself.
_CLOUDS = {
    "AzureCloud": AzureClouds.AZURE_PUBLIC_CLOUD,
    "AzureChinaCloud": AzureClouds.AZURE_CHINA_CLOUD,
    "AzureUSGovernment": AzureClouds.AZURE_US_GOVERNMENT,
}
# Azure returns ten series where nobody says how many: two deployments with five statuses each. An endpoint has at most 20 deployments.
_MOST_SERIES = 1000


@dataclass(frozen=True)
class Series:
    """One metric for one combination of dimensions: names of dimensions in lower case, values by minutes since the epoch.

    A minute that Azure has no value for is not in `values`.
    """

    metric: str
    dimensions: Mapping[str, str]
    values: Mapping[int, float]


def read_series(endpoint: str, metrics: tuple[str, ...], filters: str, first: int, last: int) -> list[Series]:
    """The series of these metrics in the minutes `first` to `last`, split by the dimensions that `filters` names.

    The value of a minute is Azure's `average`, which is what these metrics are documented to have, and is asked for minute by minute.
    Raises Transient, or Permanent with the role that is missing.
    """
    doing = f"read the metrics of endpoint {endpoint}"
    try:
        with translated(doing):
            answer = _monitor(client()).metrics.list(
                _resource_id(endpoint),
                timespan=f"{_moment(first)}/{_moment(last + 1)}",
                interval="PT1M",
                metricnames=",".join(metrics),
                aggregation="Average",
                filter=filters,
                top=_MOST_SERIES,
            )
    except Permanent as error:
        if getattr(error.__cause__, "status_code", None) == 403:
            raise Permanent(f"{error} Give this identity the role Monitoring Reader on the workspace.") from error
        raise
    return [one for metric in answer.value for one in _series(metric, first, last, doing)]


def _series(metric: Any, first: int, last: int, doing: str) -> list[Series]:
    if (metric.error_code or "Success") != "Success":
        raise Transient(f"Azure failed to {doing}: {metric.name.value}: ({metric.error_code}) {metric.error_message or 'no reason given'}")
    if len(metric.timeseries) >= _MOST_SERIES:
        raise Permanent(f"Azure has {_MOST_SERIES} series or more to {doing}; those that were left out are not known.")
    return [
        Series(
            metric.name.value,
            {str(one.name.value).lower(): str(one.value) for one in series.metadatavalues or ()},
            {
                minute: float(point.average)
                for point in series.data or ()
                if point.average is not None and first <= (minute := int(point.time_stamp.timestamp() // 60)) <= last
            },
        )
        for series in metric.timeseries
    ]


@lru_cache(maxsize=1)
def _monitor(beside: MLClient) -> MonitorManagementClient:
    """The metrics client that goes with this MLClient. Sends nothing yet."""
    installed = settings()
    where: dict[str, Any] = {}
    if installed.cloud_metadata is not None:
        manager = installed.cloud_metadata["resource_manager"].rstrip("/")
        where = {"base_url": manager, "credential_scopes": [f"{manager}/.default"]}
    elif installed.cloud_name in _CLOUDS:
        where = {"cloud_setting": _CLOUDS[installed.cloud_name]}
    else:
        raise Permanent(f"AML_CANARY_CLOUD_NAME is {installed.cloud_name}: give AML_CANARY_CLOUD_METADATA, or one of {', '.join(_CLOUDS)}.")
    return MonitorManagementClient(credential(), beside.subscription_id, retry_total=0, **where)


def _resource_id(endpoint: str) -> str:
    installed = settings()
    return (
        f"/subscriptions/{installed.subscription_id}/resourceGroups/{installed.resource_group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{installed.workspace}/onlineEndpoints/{endpoint}"
    )


def _moment(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
