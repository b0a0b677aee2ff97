"""Managed online deployments on the wire: create, read, replace, scale, delete, logs, skus.

Not here: processes (`runtime`), what they are made of (`provision`), rules (`rules`).
May import: everything below the control plane.
"""

from __future__ import annotations

import asyncio

from aml_emulator import errors, lists, rules, shapes
from aml_emulator.context import Context
from aml_emulator.endpoints import Endpoints
from aml_emulator.provision import Provision
from aml_emulator.runtime import Readiness, Runtime
from aml_emulator.state import Deployment, Endpoint, Operation
from aml_emulator.wire import Json, Reply, Request

# A change of any of these needs new processes; of anything else it does not.
MAKES_NEW_PROCESSES = ("codeConfiguration", "model", "environmentId", "environmentVariables", "instanceType")
DEFAULTS: Json = {
    "scaleSettings": {"scaleType": "Default"},
    "appInsightsEnabled": False,
    "egressPublicNetworkAccess": "Enabled",
    "description": None,
    "modelMountPath": None,
}
REQUEST_DEFAULTS: Json = {"maxConcurrentRequestsPerInstance": 1, "requestTimeout": "PT5S", "maxQueueWait": "PT0.5S"}
PROBE_DEFAULTS: Json = {
    "failureThreshold": 30,
    "initialDelay": "PT10S",
    "period": "PT10S",
    "successThreshold": 1,
    "timeout": "PT2S",
}


class Deployments:
    def __init__(self, context: Context, endpoints: Endpoints):
        self.context, self.endpoints = context, endpoints
        self.settings, self.store, self.operations = context.settings, context.store, context.operations
        self.provision = Provision(context)

    # --- reading ------------------------------------------------------------------------------------------------

    def find(self, request: Request) -> tuple[Endpoint, Deployment]:
        endpoint = self.endpoints.find(request)
        text = request.params["deployment"]
        deployment = endpoint.deployments.get(text.lower())
        if deployment is None:
            name = f"workspaces/{self.settings.workspace}/onlineEndpoints/{endpoint.name}/deployments"
            raise errors.not_found(name, text, self.settings.resource_group)
        return endpoint, deployment

    async def get(self, request: Request) -> Reply:
        _, deployment = self.find(request)
        if deployment.stale:
            request.notes["stale"] = True
            return Reply(200, deployment.stale.pop())
        return Reply(200, self.json(deployment))

    async def list(self, request: Request) -> Reply:
        endpoint = self.endpoints.find(request)
        found = lists.deployments(endpoint.deployments.values(), request)
        return Reply(200, self.context.page(request, [self.json(one) for one in found]))

    def id(self, deployment: Deployment) -> str:
        return f"{self.settings.workspace_id}/onlineEndpoints/{deployment.endpoint}/deployments/{deployment.name}"

    def json(self, deployment: Deployment) -> Json:
        given = deployment.properties
        bag = dict(given.get("properties") or {})
        if deployment.operation is not None:
            bag["AzureAsyncOperationUri"] = self.operations.url(deployment.operation)
        properties = {**DEFAULTS, **given, "properties": bag, "provisioningState": deployment.state}
        properties["endpointComputeType"] = "Managed"
        properties["requestSettings"] = {**REQUEST_DEFAULTS, **(given.get("requestSettings") or {})}
        for probe in ("livenessProbe", "readinessProbe"):
            properties[probe] = {**PROBE_DEFAULTS, **(given.get(probe) or {})}
        return {
            "id": self.id(deployment),
            "name": deployment.name,
            "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
            "location": deployment.location,
            "kind": "Managed",
            "tags": deployment.tags,
            "sku": deployment.sku,
            "properties": properties,
            "systemData": deployment.system.json(),
            # Microsoft's description allows its absence, but no null.
            **({"identity": deployment.identity} if deployment.identity else {}),
        }

    async def logs(self, request: Request) -> Reply:
        _, deployment = self.find(request)
        body = request.json()
        container = body.get("containerType") or "InferenceServer"
        if container not in ("InferenceServer", "StorageInitializer"):
            raise errors.malformed("containerType must be InferenceServer or StorageInitializer")
        tail = body.get("tail")
        if tail is not None and (isinstance(tail, bool) or not isinstance(tail, int) or tail < 0):
            raise errors.malformed("tail must be a whole number")
        if deployment.runtime is None:
            return Reply(200, {"content": ""})
        return Reply(200, {"content": await asyncio.to_thread(deployment.runtime.logs, container, tail)})

    async def skus(self, request: Request) -> Reply:
        self.find(request)
        capacity = {"minimum": 1, "maximum": rules.MAX_INSTANCES, "default": 1, "scaleType": "Automatic"}
        sku: Json = {"resourceType": "Microsoft.MachineLearning.Services/endpoints/deployments"}
        sku |= {"sku": {"name": "Default", "tier": "Standard"}, "capacity": capacity}
        return Reply(200, self.context.page(request, [sku]))

    # --- writing ------------------------------------------------------------------------------------------------

    async def put(self, request: Request) -> Reply:
        body = request.json()
        endpoint = self.endpoints.find(request)
        text = request.params["deployment"]
        deployment = endpoint.deployments.get(text.lower())
        rules.deployment_place(endpoint, deployment, text)
        properties = rules.deployment_body(body)
        sku = {"name": "Default", **shapes.mapping(body.get("sku"), "sku")}
        sku["capacity"] = rules.capacity(sku)
        tags = shapes.texts(body.get("tags"), "tags")
        self.provision.assets(properties)
        created = deployment is None
        if deployment is None:
            deployment = Deployment(text, endpoint.name, body["location"], properties, sku, tags, body.get("identity"))
            deployment.runtime = self.provision.runtime(deployment)
            endpoint.deployments[text.lower()] = deployment
        kind, state = ("deployment.create", "Creating") if created else ("deployment.update", "Updating")
        answer, operation = self._change(request, endpoint, deployment, kind, state, properties, sku, tags)
        return Reply(201 if created else 200, answer, self.operations.headers(operation, self._url(deployment)))

    def _url(self, deployment: Deployment) -> str:
        return f"{self.settings.arm_url}{self.id(deployment)}?api-version=2023-04-01-preview"

    async def patch(self, request: Request) -> Reply:
        endpoint, deployment = self.find(request)
        rules.deployment_place(endpoint, deployment, deployment.name)
        body = request.json()
        if set(body) - {"tags", "sku"}:
            raise errors.malformed("a deployment PATCH changes tags and sku only")
        sku = {**deployment.sku, **shapes.sku(body.get("sku"))}
        rules.capacity(sku)
        tags = shapes.texts(body["tags"], "tags") if "tags" in body else deployment.tags
        kind, state = ("deployment.scale", "Scaling") if "sku" in body else ("deployment.update", "Updating")
        _, operation = self._change(request, endpoint, deployment, kind, state, deployment.properties, sku, tags)
        return self.operations.accepted(operation)

    def _change(
        self,
        request: Request,
        endpoint: Endpoint,
        deployment: Deployment,
        kind: str,
        state: str,
        properties: Json,
        sku: Json,
        tags: Json,
    ) -> tuple[Json, Operation]:
        before = self.json(deployment)
        operation = self.store.new_operation(kind, self.id(deployment), "odidp")
        deployment.operation, deployment.state = operation, state
        fault = self.context.outcome_fault(request)
        runtime: Runtime = deployment.runtime
        old = deployment.properties
        # No version of it runs at first, and where it did not come up again after a restart.
        renew = runtime.spec is None or any(properties.get(k) != old.get(k) for k in MAKES_NEW_PROCESSES)
        limits, count = rules.limits(properties), int(sku["capacity"])
        answer = self.json(deployment) | {"sku": sku, "tags": tags}

        async def work() -> None:
            runtime.readiness = Readiness(*rules.probe_times(properties, "readinessProbe"))
            if renew:
                await runtime.replace(await self.provision.spec(runtime, properties), count, limits)
            else:
                await runtime.scale(count, limits)

        def succeed() -> None:
            deployment.properties, deployment.sku, deployment.tags = properties, sku, tags
            self.context.in_force(endpoint, deployment, before, fault)

        def fail() -> None:
            # After a first success the old version goes on serving, and its properties are the ones shown.
            deployment.state = "Failed"

        self.operations.begin(operation, work, succeed, fail, fault)
        return answer, operation

    def resume(self) -> set[asyncio.Task[None]]:
        """After a restart with `--state`: whatever once came up is started again, as it was last in force."""
        tasks: set[asyncio.Task[None]] = set()
        for endpoint in self.store.endpoints.values():
            for deployment in endpoint.deployments.values():
                deployment.runtime = self.provision.runtime(deployment)
                if deployment.ever_succeeded:
                    tasks.add(self._resume_one(deployment))
            self.context.routing.publish(endpoint)
        return tasks

    def _resume_one(self, deployment: Deployment) -> asyncio.Task[None]:
        runtime, properties = deployment.runtime, deployment.properties
        deployment.resumes_as, deployment.state = deployment.state, "Updating"
        # So many requests may already wait for it.
        runtime.pool.limits, runtime.pool.capacity = rules.limits(properties), deployment.capacity

        async def work() -> None:
            runtime.readiness = Readiness(*rules.probe_times(properties, "readinessProbe"))
            spec = await self.provision.spec(runtime, properties)
            await runtime.replace(spec, deployment.capacity, runtime.pool.limits)

        def succeed() -> None:
            deployment.state, deployment.resumes_as = deployment.resumes_as, ""

        def fail() -> None:
            deployment.state, deployment.resumes_as = "Failed", ""

        operation = self.store.new_operation("deployment.update", self.id(deployment), "odidp")
        return self.operations.begin(operation, work, succeed, fail)

    async def delete(self, request: Request) -> Reply:
        endpoint = self.store.endpoint(request.params["endpoint"])
        deployment = endpoint.deployments.get(request.params["deployment"].lower()) if endpoint else None
        if endpoint is None or deployment is None:
            return Reply(204)
        rules.deletable(endpoint, deployment)
        operation = self.store.new_operation("deployment.delete", self.id(deployment), "odidp")
        deployment.operation, deployment.state = operation, "Deleting"
        doomed = deployment

        async def work() -> None:
            # Out of the routes first; requests that already chose it are answered before its processes go.
            self.context.routing.publish(endpoint)
            await doomed.runtime.close()

        def succeed() -> None:
            key = doomed.name.lower()
            endpoint.deployments.pop(key, None)
            for field in ("traffic", "mirrorTraffic"):
                left = {k: v for k, v in (endpoint.properties.get(field) or {}).items() if k.lower() != key}
                endpoint.properties = {**endpoint.properties, field: left}
            self.context.routing.publish(endpoint)

        def fail() -> None:
            doomed.state = "Failed"
            self.context.routing.publish(endpoint)

        self.operations.begin(operation, work, succeed, fail, self.context.outcome_fault(request))
        return self.operations.accepted(operation)
