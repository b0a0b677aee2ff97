"""The only room that speaks Azure: Microsoft's `azure.ai.ml.MLClient`, unmodified, behind a few verbs of ours.

It returns our values and raises our errors; what Azure's own classes are called is known nowhere else. Scoring is not here
(`gateways.scoring`), because the SDK's `invoke` keeps the routing header of one call for the next. Metrics come by
`azure.mgmt.monitor`'s client, with the same identity.
May import azure, `domain`, `settings` and `errors`.

Azure's SDK takes a second of processor time to import, so a verb is imported when it is first asked for.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# Which cloud this process speaks to is said by the settings. Azure's SDK would read it here, already while it is imported, and fail where
# it does not know that cloud. Once it is imported the variable is its own: it writes the cloud of its client there.
if "azure.ai.ml" not in sys.modules:
    os.environ.pop("AZUREML_CURRENT_CLOUD", None)

_WHERE = {
    **dict.fromkeys(("create_deployment", "delete_deployment", "scale_deployment"), "deployments"),
    **dict.fromkeys(("read_permissions", "read_workspace"), "access"),
    **dict.fromkeys(("Series", "read_series"), "monitor"),
    "read_quota": "quota",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE.get(name, 'endpoints')}"), name)
