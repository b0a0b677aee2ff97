"""What this identity may do in the workspace, as far as Azure tells. Asks only.

May import azure, requests, `settings`, `errors`, `domain` and its neighbours.
"""

from typing import Any, Final

import requests

from aml_canary.domain.checkup import Permission
from aml_canary.errors import Transient
from aml_canary.gateways.azureml.client import client, credential
from aml_canary.gateways.azureml.failures import translated
from aml_canary.settings import settings

# "Permissions - List For Resource", of the Authorization resource provider.
_VERSION: Final = "2022-04-01"
_MANAGERS: Final = {
    "AzureCloud": "https://management.azure.com",
    "AzureChinaCloud": "https://management.chinacloudapi.cn",
    "AzureUSGovernment": "https://management.usgovcloudapi.net",
}
_SECONDS: Final = 15.0


def read_workspace() -> str:
    """The workspace's region, which takes a credential and an address that are right. Raises Transient or Permanent."""
    with translated(f"read workspace {settings().workspace}"):
        found: Any = client().workspaces.get(settings().workspace)
    return str(found.location)


def read_permissions() -> tuple[tuple[Permission, ...], str]:
    """What this identity's roles grant on the workspace, nothing where Azure does not say; and the Date header of Azure's answer.

    Raises Permanent where no token can be had, Transient where Azure did not answer.
    """
    installed = settings()
    metadata = installed.cloud_metadata or {}
    manager = (metadata.get("resource_manager") or _MANAGERS.get(installed.cloud_name, "")).rstrip("/")
    with translated("get a token"):
        token = credential().get_token(f"{manager}/.default").token
    url = (
        f"{manager}/subscriptions/{installed.subscription_id}/resourceGroups/{installed.resource_group}/providers"
        f"/Microsoft.MachineLearningServices/workspaces/{installed.workspace}/providers/Microsoft.Authorization/permissions"
    )
    found, page, date = list[Permission](), f"{url}?api-version={_VERSION}", ""
    while page.startswith(f"{manager}/"):
        try:
            answer = requests.get(page, headers={"Authorization": f"Bearer {token}"}, timeout=_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise Transient(f"Azure could not be reached to read the permissions ({type(error).__name__}).") from error
        date = answer.headers.get("Date", "")
        if answer.status_code != 200:
            return (), date
        said = answer.json()
        found += [Permission(tuple(role.get("actions", ())), tuple(role.get("notActions", ()))) for role in said.get("value", ())]
        page = str(said.get("nextLink") or "")
    return tuple(found), date
