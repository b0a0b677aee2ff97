"""The only room that speaks Azure: Microsoft's `azure.ai.ml.MLClient`, unmodified, behind a few verbs of ours.

It returns our values and raises our errors; what Azure's own classes are called is known nowhere else. Scoring is not here
(`gateways.scoring`), because the SDK's `invoke` keeps the routing header of one call for the next. Metrics come by
`azure.mgmt.monitor`'s client, with the same identity.
May import azure, `domain`, `settings` and `errors`.
"""

from aml_canary.gateways.azureml.access import read_permissions, read_workspace
from aml_canary.gateways.azureml.deployments import create_deployment, delete_deployment, scale_deployment
from aml_canary.gateways.azureml.endpoints import (
    create_endpoint,
    delete_endpoint,
    endpoint_names,
    endpoints_from,
    glance,
    observe,
    put_traffic_back,
    scoring_access,
    shift_traffic,
)
from aml_canary.gateways.azureml.monitor import Series, read_series
from aml_canary.gateways.azureml.quota import read_quota

__all__ = [
    "Series",
    "create_deployment",
    "create_endpoint",
    "delete_deployment",
    "delete_endpoint",
    "endpoint_names",
    "endpoints_from",
    "glance",
    "observe",
    "put_traffic_back",
    "read_permissions",
    "read_quota",
    "read_series",
    "read_workspace",
    "scale_deployment",
    "scoring_access",
    "shift_traffic",
]
