"""One MLClient for the life of a process, built from settings alone.

A process speaks to one Azure cloud: the SDK registers clouds by name, process-wide, and writes the name into the environment. So the cloud
is always passed explicitly. May import azure, `settings` and `errors`.
"""

from functools import cache
from typing import Any

from azure.ai.ml import MLClient
from azure.ai.ml.exceptions import MlException
from azure.identity import DefaultAzureCredential

from aml_canary.errors import Permanent
from aml_canary.settings import settings

# Without a hint from the service the SDK would ask only every 30 s whether an endpoint's update is done.
_POLLING_SECONDS = 5


def credential() -> DefaultAzureCredential:
    """Whatever identity this process has, as azure-identity finds it. Asks nothing yet."""
    # A cloud of one's own is not in the public directory that credentials would otherwise look it up in.
    return DefaultAzureCredential(disable_instance_discovery=settings().cloud_metadata is not None)


@cache
def client() -> MLClient:
    """The client for the workspace in the settings. Sends nothing yet. Raises Permanent where the settings are not right."""
    installed = settings()
    missing = [name for name in ("subscription_id", "resource_group", "workspace") if not getattr(installed, name)]
    if missing:
        names = ", ".join(f"AML_CANARY_{name.upper()}" for name in missing)
        raise Permanent(f"No Azure ML workspace is configured: set {names}.")
    cloud: dict[str, Any] = {"cloud": installed.cloud_name}
    if installed.cloud_metadata is not None:
        cloud["cloud_metadata"] = installed.cloud_metadata
    try:
        return MLClient(
            credential(),
            installed.subscription_id,
            installed.resource_group,
            installed.workspace,
            polling_interval=_POLLING_SECONDS,
            # One retry policy only, and it is not the SDK's: see tasks.retry.
            retry_total=0,
            enable_telemetry=False,
            **cloud,
        )
    except MlException as error:
        raise Permanent(
            f"AML_CANARY_CLOUD_NAME is {installed.cloud_name}, and Azure's SDK says: {error} "
            "Give one of AzureCloud, AzureChinaCloud and AzureUSGovernment, or all six addresses as AML_CANARY_CLOUD_METADATA."
        ) from error
