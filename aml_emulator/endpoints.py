"""Online endpoints on the wire: create, read, replace, delete, keys and tokens.

A PUT replaces everything, as on Azure: one without traffic takes the traffic away.
May import: everything below the control plane, never `server` or `powers`.
"""

from __future__ import annotations

import asyncio
import time

from aml_emulator import errors, lists, rules, shapes
from aml_emulator.context import Context
from aml_emulator.identity import LIFETIME
from aml_emulator.state import Deployment, Endpoint, Operation, new_key
from aml_emulator.wire import Json, Reply, Request


class Endpoints:
    def __init__(self, context: Context):
        self.context = context
        self.settings, self.store, self.operations = context.settings, context.store, context.operations

    # --- reading ------------------------------------------------------------------------------------------------

    def find(self, request: Request) -> Endpoint:
        endpoint = self.store.endpoint(request.params["endpoint"])
        if endpoint is None:
            name = f"workspaces/{self.settings.workspace}/onlineEndpoints"
            raise errors.not_found(name, request.params["endpoint"], self.settings.resource_group)
        return endpoint

    async def get(self, request: Request) -> Reply:
        endpoint = self.find(request)
        if endpoint.stale:
            request.notes["stale"] = True
            return Reply(200, endpoint.stale.pop())
        return Reply(200, self.json(endpoint))

    async def list(self, request: Request) -> Reply:
        found = lists.endpoints(self.store.endpoints.values(), request)
        return Reply(200, self.context.page(request, [self.json(endpoint) for endpoint in found]))

    def url(self, endpoint: Endpoint) -> str:
        return f"{self.settings.arm_url}{self.id(endpoint)}?api-version=2022-02-01-preview"

    def id(self, endpoint: Endpoint) -> str:
        return f"{self.settings.workspace_id}/onlineEndpoints/{endpoint.name}"

    def json(self, endpoint: Endpoint) -> Json:
        properties = endpoint.properties
        bag = {**(properties.get("properties") or {}), "azureml.onlineendpointid": self.id(endpoint).lower()}
        if endpoint.operation is not None:
            bag["AzureAsyncOperationUri"] = self.operations.url(endpoint.operation)
        base = f"{self.settings.scoring_url}/{endpoint.name}" if endpoint.ever_succeeded else None
        return {
            "id": self.id(endpoint),
            "name": endpoint.name,
            "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
            "location": endpoint.location,
            "kind": endpoint.kind,
            "tags": endpoint.tags,
            "identity": endpoint.identity,
            "properties": {
                "authMode": properties["authMode"],
                "description": properties.get("description"),
                "keys": None,
                "properties": bag,
                "compute": properties.get("compute"),
                "traffic": properties.get("traffic") or {},
                "mirrorTraffic": properties.get("mirrorTraffic") or {},
                "publicNetworkAccess": properties.get("publicNetworkAccess") or "Enabled",
                "scoringUri": base and f"{base}/score",
                "swaggerUri": base and f"{base}/swagger.json",
                "provisioningState": endpoint.state,
            },
            "systemData": endpoint.system.json(),
        }

    # --- writing ------------------------------------------------------------------------------------------------

    async def put(self, request: Request) -> Reply:
        body = request.json()
        text = request.params["endpoint"]
        endpoint = self.store.endpoint(text)
        if endpoint is None:
            rules.name("endpoint", text)
            if len(self.store.endpoints) >= rules.MAX_ENDPOINTS:
                raise errors.out_of_limit(f"There are {rules.MAX_ENDPOINTS} endpoints, which is the limit.")
        else:
            rules.endpoint_free(endpoint)
        properties = rules.endpoint_body(body)
        rules.traffic(properties, endpoint.deployments if endpoint else {})
        for key in ("traffic", "mirrorTraffic"):
            properties[key] = rules.weights(properties, key)
        tags, identity = shapes.texts(body.get("tags"), "tags"), self._identity(body)
        created = endpoint is None
        if endpoint is None:
            first = {**properties, "traffic": {}, "mirrorTraffic": {}}
            endpoint = Endpoint(text, body["location"], first, tags, identity)
            given = shapes.texts(properties.get("keys"), "keys")
            for which in endpoint.keys:
                # Keys may be given once, at the beginning; afterwards they are only ever regenerated.
                endpoint.keys[which] = given.get(f"{which.lower()}Key") or endpoint.keys[which]
            self.store.endpoints[text.lower()] = endpoint
        answer, operation = self._change(request, endpoint, properties, tags, identity, created)
        return Reply(201 if created else 200, answer, self.operations.headers(operation, self.url(endpoint)))

    def _identity(self, body: Json) -> Json:
        identity: Json = dict(shapes.identity(body.get("identity"))) or {"type": "None"}
        if "SystemAssigned" in str(identity.get("type", "")):
            identity |= {"principalId": self.settings.client_id, "tenantId": self.settings.tenant_id}
        return identity

    def _change(
        self, request: Request, endpoint: Endpoint, properties: Json, tags: Json, identity: Json, created: bool
    ) -> tuple[Json, Operation]:
        before = self.json(endpoint)
        kind = "endpoint.create" if created else "endpoint.update"
        operation = self.store.new_operation(kind, self.id(endpoint), "oeidp")
        endpoint.operation, endpoint.state = operation, "Creating" if created else "Updating"
        fault = self.context.outcome_fault(request)
        # Until the operation has succeeded, readers see what is in force, not what was asked for.
        answer = self.json(endpoint)
        answer["properties"] |= {k: properties[k] for k in ("traffic", "mirrorTraffic", "authMode")}
        answer["tags"] = tags

        def succeed() -> None:
            endpoint.properties, endpoint.tags, endpoint.identity = properties, tags, identity
            self.context.in_force(endpoint, endpoint, before, fault)

        def fail() -> None:
            endpoint.state = "Failed"

        self.operations.begin(operation, None, succeed, fail, fault)
        return answer, operation

    async def patch(self, request: Request) -> Reply:
        endpoint = self.find(request)
        rules.endpoint_free(endpoint)
        body = request.json()
        if set(body) - {"tags", "identity"}:
            raise errors.malformed("an endpoint PATCH changes tags and identity only")
        tags = shapes.texts(body["tags"], "tags") if "tags" in body else endpoint.tags
        identity = self._identity(body) if "identity" in body else endpoint.identity
        _, operation = self._change(request, endpoint, endpoint.properties, tags, identity, False)
        return self.operations.accepted(operation)

    async def delete(self, request: Request) -> Reply:
        endpoint = self.store.endpoint(request.params["endpoint"])
        if endpoint is None:
            return Reply(204)
        rules.endpoint_free(endpoint)
        for deployment in endpoint.deployments.values():
            rules.deployment_free(deployment)
        operation = self.store.new_operation("endpoint.delete", self.id(endpoint), "oeidp")
        endpoint.operation, endpoint.state = operation, "Deleting"
        for deployment in endpoint.deployments.values():
            deployment.state = "Deleting"
        fault = self.context.outcome_fault(request)
        doomed: list[Deployment] = list(endpoint.deployments.values())

        async def work() -> None:
            # From here on nobody gets in; who is in is answered before the processes go.
            self.context.routing.withdraw(endpoint)
            await asyncio.gather(*(one.runtime.close() for one in doomed if one.runtime is not None))

        def succeed() -> None:
            self.store.endpoints.pop(endpoint.name.lower(), None)

        def fail() -> None:
            endpoint.state = "Failed"
            for deployment in endpoint.deployments.values():
                deployment.state = "Failed"

        self.operations.begin(operation, work, succeed, fail, fault)
        return self.operations.accepted(operation)

    # --- keys and tokens ----------------------------------------------------------------------------------------

    async def list_keys(self, request: Request) -> Reply:
        endpoint = self.find(request)
        if endpoint.properties["authMode"] != "Key":
            raise errors.invalid(f"Keys are not available: authentication mode is {endpoint.properties['authMode']}.")
        return Reply(200, {"primaryKey": endpoint.keys["Primary"], "secondaryKey": endpoint.keys["Secondary"]})

    async def regenerate_keys(self, request: Request) -> Reply:
        endpoint = self.find(request)
        rules.endpoint_free(endpoint)
        which = str(request.json().get("keyType", "")).capitalize()
        if which not in endpoint.keys:
            raise errors.malformed("keyType must be Primary or Secondary")
        operation = self.store.new_operation("endpoint.regenerate", self.id(endpoint), "oeidp")
        endpoint.operation, before = operation, endpoint.state
        endpoint.state = "Updating"

        def succeed() -> None:
            # The SDK sends the current key as keyValue; obeying it would make this a no-op.
            endpoint.keys[which], endpoint.state = new_key(), before
            self.context.routing.publish(endpoint)

        def fail() -> None:
            endpoint.state = "Failed"

        self.operations.begin(operation, None, succeed, fail, self.context.outcome_fault(request))
        return self.operations.accepted(operation)

    async def token(self, request: Request) -> Reply:
        endpoint = self.find(request)
        if endpoint.properties["authMode"] != "AMLToken":
            raise errors.invalid(f"Tokens are not available: authentication mode is {endpoint.properties['authMode']}.")
        expiry = int(time.time()) + LIFETIME
        token = self.context.identity.issue(self.context.routing.token_audience(endpoint.name))
        body: Json = {"accessToken": token, "tokenType": "Bearer", "expiryTimeUtc": expiry}
        return Reply(200, body | {"refreshAfterTimeUtc": expiry - LIFETIME // 2})
