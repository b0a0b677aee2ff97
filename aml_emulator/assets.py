"""The workspace and what is registered in it: datastore, codes, models, environments.

Not here: jobs, data, registries, components. May import: `context`, `errors`, `lists`, `settings`, `shapes`, `state`, `wire`.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import yaml

from aml_emulator import lists, shapes
from aml_emulator.context import Context
from aml_emulator.errors import AzureError, asset_not_found, malformed, not_implemented
from aml_emulator.settings import CONTAINER, WORKSPACE_GUID
from aml_emulator.state import Asset, SystemData, now
from aml_emulator.wire import Json, Reply, Request

DATASTORE = "workspaceblobstore"
MAX_CONDA = 256 * 1024
MAX_CONDA_DEPTH = 20
CONTAINER_FIELDS = ("isArchived", "tags", "properties", "description")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class Assets:
    def __init__(self, context: Context):
        self.context, self.settings, self.store, self.blobs = context, context.settings, context.store, context.blobs
        self._created = SystemData()

    # --- workspace and datastore --------------------------------------------------------------------------------

    async def workspace(self, _request: Request) -> Reply:
        s = self.settings
        base = f"/subscriptions/{s.subscription_id}/resourceGroups/{s.resource_group}/providers"
        body: Json = {
            "id": s.workspace_id,
            "name": s.workspace,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "location": s.location,
            "kind": "Default",
            "sku": {"name": "Basic", "tier": "Basic"},
            "tags": {},
            "identity": {"type": "SystemAssigned", "principalId": WORKSPACE_GUID, "tenantId": s.tenant_id},
            "properties": {
                "friendlyName": s.workspace,
                "workspaceId": WORKSPACE_GUID,
                "provisioningState": "Succeeded",
                "publicNetworkAccess": "Enabled",
                "discoveryUrl": f"{s.arm_url}/discovery",
                "mlFlowTrackingUri": f"azureml://127.0.0.1:{s.arm_port}/mlflow/v1.0{s.workspace_id}",
                "storageAccount": f"{base}/Microsoft.Storage/storageAccounts/aml",
                "keyVault": f"{base}/Microsoft.KeyVault/vaults/aml",
                "applicationInsights": f"{base}/Microsoft.Insights/components/aml",
                "tenantId": s.tenant_id,
            },
            "systemData": self._created.json(),
        }
        return Reply(200, body)

    def _datastore(self) -> Json:
        return {
            "id": f"{self.settings.workspace_id}/datastores/{DATASTORE}",
            "name": DATASTORE,
            "type": "Microsoft.MachineLearningServices/workspaces/datastores",
            "properties": {
                "datastoreType": "AzureBlob",
                "accountName": self.settings.account_name,
                "containerName": CONTAINER,
                "endpoint": "emulator",
                "protocol": "https",
                "isDefault": True,
                "credentials": {"credentialsType": "Sas"},
                "serviceDataAccessAuthIdentity": "None",
                "tags": {},
                "properties": {},
                "description": None,
            },
            "systemData": self._created.json(),
        }

    async def get_datastore(self, request: Request) -> Reply:
        self._check_datastore(request)
        return Reply(200, self._datastore())

    async def list_datastores(self, _request: Request) -> Reply:
        return Reply(200, {"value": [self._datastore()]})

    async def datastore_secrets(self, request: Request) -> Reply:
        self._check_datastore(request)
        return Reply(200, {"secretsType": "Sas", "sasToken": self.blobs.sas()})

    def _check_datastore(self, request: Request) -> None:
        if request.params["datastore"].lower() != DATASTORE:
            raise asset_not_found("datastore", request.params["datastore"])

    # --- versioned assets ---------------------------------------------------------------------------------------

    async def pending_upload(self, _request: Request) -> Reply:
        """Where a code goes: a container of its own, so that its name and version need not be known to storage."""
        container = f"{WORKSPACE_GUID}-{uuid.uuid4().hex[:24]}"
        uri = f"{self.settings.storage_url}/{container}"
        credential = {"credentialType": "SAS", "sasUri": f"{uri}?{self.blobs.sas()}"}
        reference = {"blobUri": uri, "storageAccountArmId": None, "credential": credential}
        return Reply(200, {"pendingUploadType": "TemporaryBlobReference", "blobReferenceForConsumption": reference})

    async def get_version(self, request: Request) -> Reply:
        kind, name, version = self._address(request)
        asset = self.store.asset(kind, name, version)
        if asset is None:
            raise asset_not_found(kind.removesuffix("s"), f"{name}:{version}")
        return Reply(200, self.json(asset))

    async def put_version(self, request: Request) -> Reply:
        kind, name, version = self._address(request)
        if not NAME.fullmatch(name) or not NAME.fullmatch(version):
            raise malformed(f"{name}:{version} is not a valid name and version")
        properties = request.json().get("properties")
        if not isinstance(properties, dict):
            raise malformed("properties must be an object")
        shapes.asset(properties)
        if kind == "environments":
            properties = _environment(properties)
        known = self.store.asset(kind, name, version)
        if known is not None and _content(known.properties) != _content(properties):
            text = f"A {kind.removesuffix('s')} with this name and version already exists: {name}:{version}."
            raise AzureError(409, "UserError", text)
        system = SystemData(known.system.created_at, now()) if known else SystemData()
        asset = Asset(kind, name, version, properties, system)
        new = self.store.put_asset(asset)
        return Reply(201 if new else 200, self.json(asset))

    async def list_versions(self, request: Request) -> Reply:
        kind, name = request.params["kind"].lower(), request.params["name"]
        digest = request.query.get("hash")
        found = self.store.versions(kind, name)
        if digest:
            # The real service finds the same content under any name; the SDK invents a new name for each upload.
            found = [asset for asset in self.store.all_assets(kind) if asset.hash == digest]
        if request.query.get("feed"):
            raise not_implemented(request.method, "assets of a feed (registry)")
        found = lists.versions(found, request)[request.number("offset", 0) :]
        return Reply(200, self.context.page(request, [self.json(asset) for asset in found]))

    async def get_container(self, request: Request) -> Reply:
        kind, name = request.params["kind"].lower(), request.params["name"]
        versions = self.store.versions(kind, name)
        if not versions:
            raise asset_not_found(kind.removesuffix("s"), name)
        return Reply(200, self._container(kind, name, versions))

    async def put_container(self, request: Request) -> Reply:
        """What is said of all versions together: archived or not, tags, description. Versions come by themselves."""
        kind, name = request.params["kind"].lower(), request.params["name"]
        versions = self.store.versions(kind, name)
        if not versions:
            raise not_implemented(request.method, f"{kind}/{name}, which has no versions yet")
        properties = shapes.mapping(request.json().get("properties"), "properties")
        shapes.asset(properties)
        self.store.put_container(kind, name, {key: properties[key] for key in CONTAINER_FIELDS if properties.get(key) is not None})
        return Reply(200, self._container(kind, name, versions))

    async def list_containers(self, request: Request) -> Reply:
        kind, wanted = request.params["kind"].lower(), lists.views(request)
        found = [self._container(kind, name, list(versions.values())) for name, versions in self.store.assets.get(kind, {}).items()]
        return Reply(200, self.context.page(request, [one for one in found if one["properties"]["isArchived"] in wanted]))

    def _container(self, kind: str, name: str, versions: list[Asset]) -> Json:
        numbers = [int(asset.version) for asset in versions if asset.version.isdigit()]
        properties: Json = {"latestVersion": versions[-1].version, "nextVersion": str(max(numbers, default=0) + 1)}
        properties |= {"isArchived": False, "tags": {}, "properties": {}, "description": None, **self.store.container(kind, name)}
        kind_type = f"Microsoft.MachineLearningServices/workspaces/{kind}"
        # Of the spelling that it was made with, however it is asked for.
        name = versions[0].name
        body: Json = {"id": f"{self.settings.workspace_id}/{kind}/{name}", "name": name, "type": kind_type}
        return body | {"properties": properties, "systemData": versions[0].system.json()}

    def _address(self, request: Request) -> tuple[str, str, str]:
        return request.params["kind"].lower(), request.params["name"], request.params["version"]

    def json(self, asset: Asset) -> Json:
        properties = {"tags": {}, "properties": {}, "description": None, "isArchived": False, **asset.properties}
        if asset.kind == "models":
            properties = {"flavors": {}, "jobName": None, "stage": None, **properties}
            properties["flavors"] = properties["flavors"] or {}
        return {
            "id": f"{self.settings.workspace_id}/{asset.kind}/{asset.name}/versions/{asset.version}",
            "name": asset.version,
            "type": f"Microsoft.MachineLearningServices/workspaces/{asset.kind}/versions",
            "properties": properties,
            "systemData": asset.system.json(),
        }


def _environment(properties: Json) -> Json:
    """As the real service gives it back: the conda file as JSON text, with the service's own fields."""
    result = {"environmentType": "UserCreated", "osType": "Linux", "stage": "Logged", **properties}
    if isinstance(properties.get("condaFile"), str):
        result["condaFile"] = json.dumps(_conda(properties["condaFile"]), indent=2, default=str)
    return result


def _conda(text: str) -> Any:
    """The conda file as a value; bounded, because a small YAML text can be a very large or very deep value."""
    if len(text) > MAX_CONDA:
        raise malformed(f"condaFile is longer than {MAX_CONDA} characters")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise malformed("condaFile must not use YAML aliases")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_CONDA_DEPTH:
                raise malformed("condaFile is nested too deeply")
        return yaml.load(text, Loader=LOADER)  # noqa: S506,RUF100  a safe loader, in C
    except (yaml.YAMLError, ValueError) as error:
        raise malformed(f"condaFile is not valid YAML: {error}") from None


def _content(properties: Json) -> Json:
    """What makes two versions the same thing; tags and descriptions may change."""
    keys = ("codeUri", "modelUri", "condaFile", "image", "build")
    return {key: properties[key] for key in keys if properties.get(key) is not None}
