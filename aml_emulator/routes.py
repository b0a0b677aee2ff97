"""Every operation the emulator knows, one line each: the documentation of the control plane, and what faults match on.

`{name}` takes one path segment, `{name*}` the rest of the path. Literal segments are case-insensitive, as ARM's are.
May import: nothing of the emulator but `wire`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from aml_emulator.wire import Reply, Request

Handler = Callable[[Request], Awaitable[Reply]]

SUB = "/subscriptions/{subscription}"
ML = "/providers/Microsoft.MachineLearningServices"
WS = SUB + "/resourceGroups/{group}" + ML + "/workspaces/{workspace}"
EP = WS + "/onlineEndpoints/{endpoint}"
DEP = EP + "/deployments/{deployment}"
OPS = SUB + ML + "/locations/{location}"
METRICS = "/providers/Microsoft.Insights/metrics"
BLOB = "/{account}/{container}/{blob*}"


class Operation(NamedTuple):
    name: str
    method: str
    path: str


OPERATIONS = (
    Operation("endpoint.list", "GET", WS + "/onlineEndpoints"),
    Operation("endpoint.put", "PUT", EP),
    Operation("endpoint.get", "GET", EP),
    Operation("endpoint.patch", "PATCH", EP),
    Operation("endpoint.delete", "DELETE", EP),
    Operation("endpoint.list_keys", "POST", EP + "/listKeys"),
    Operation("endpoint.regenerate_keys", "POST", EP + "/regenerateKeys"),
    Operation("endpoint.token", "POST", EP + "/token"),
    Operation("deployment.list", "GET", EP + "/deployments"),
    Operation("deployment.put", "PUT", DEP),
    Operation("deployment.get", "GET", DEP),
    Operation("deployment.patch", "PATCH", DEP),
    Operation("deployment.delete", "DELETE", DEP),
    Operation("deployment.get_logs", "POST", DEP + "/getLogs"),
    Operation("deployment.skus", "GET", DEP + "/skus"),
    Operation("endpoint.metrics", "GET", EP + METRICS),
    Operation("deployment.metrics", "GET", DEP + METRICS),
    Operation("metrics.batch", "POST", SUB + "/metrics:getBatch"),
    Operation("operation.get", "GET", OPS + "/mfeOperationsStatus/{operation}"),
    Operation("operation.result", "GET", OPS + "/mfeOperationResults/{operation}"),
    Operation("subscription.list", "GET", "/subscriptions"),
    Operation("workspace.get", "GET", WS),
    Operation("datastore.list", "GET", WS + "/datastores"),
    Operation("datastore.get", "GET", WS + "/datastores/{datastore}"),
    Operation("datastore.list_secrets", "POST", WS + "/datastores/{datastore}/listSecrets"),
    Operation("code.start_pending_upload", "POST", WS + "/codes/{name}/versions/{version}/startPendingUpload"),
    # For each of codes, models and environments.
    Operation("asset.list", "GET", WS + "/{kind:codes|models|environments}"),
    Operation("asset.get", "GET", WS + "/{kind:codes|models|environments}/{name}"),
    Operation("asset.put", "PUT", WS + "/{kind:codes|models|environments}/{name}"),
    Operation("asset.list_versions", "GET", WS + "/{kind:codes|models|environments}/{name}/versions"),
    Operation("asset.get_version", "GET", WS + "/{kind:codes|models|environments}/{name}/versions/{version}"),
    Operation("asset.put_version", "PUT", WS + "/{kind:codes|models|environments}/{name}/versions/{version}"),
    Operation("identity.discovery", "GET", "/{tenant}/v2.0/.well-known/openid-configuration"),
    Operation("identity.token", "POST", "/{tenant}/oauth2/v2.0/token"),
    Operation("identity.managed", "GET", "/msi/token"),
    Operation("identity.clouds", "GET", "/metadata/endpoints"),
    Operation("emulator.page", "GET", "/_emulator"),
    Operation("emulator.overview", "GET", "/_emulator/overview"),
    Operation("emulator.health", "GET", "/_emulator/health"),
    Operation("emulator.requests", "GET", "/_emulator/requests"),
    Operation("emulator.clear_requests", "DELETE", "/_emulator/requests"),
    Operation("emulator.stats", "GET", "/_emulator/stats"),
    Operation("emulator.clear_stats", "DELETE", "/_emulator/stats"),
    Operation("emulator.scoring_log", "GET", "/_emulator/scoring-log"),
    Operation("emulator.minutes", "GET", "/_emulator/minutes"),
    Operation("emulator.faults", "GET", "/_emulator/faults"),
    Operation("emulator.add_fault", "POST", "/_emulator/faults"),
    Operation("emulator.clear_faults", "DELETE", "/_emulator/faults"),
    Operation("emulator.remove_fault", "DELETE", "/_emulator/faults/{number}"),
    Operation("emulator.pace", "GET", "/_emulator/pace"),
    Operation("emulator.set_pace", "POST", "/_emulator/pace"),
    Operation("emulator.processes", "GET", "/_emulator/processes"),
    Operation("emulator.kill", "POST", "/_emulator/kill"),
    Operation("emulator.reset", "POST", "/_emulator/reset"),
    # Last, because these match any path of two or three segments.
    Operation("blob.list", "GET", "/{account}/{container}"),
    Operation("blob.head", "HEAD", BLOB),
    Operation("blob.get", "GET", BLOB),
    Operation("blob.put", "PUT", BLOB),
)

# These need no bearer token: they hand tokens out, carry a signature of their own, or are the test's own powers.
OPEN = ("identity.", "blob.", "emulator.")


@dataclass(frozen=True, slots=True)
class Match:
    operation: Operation
    handler: Handler
    params: dict[str, str]


class Router:
    def __init__(self, handlers: dict[str, Handler]):
        missing = {operation.name for operation in OPERATIONS} ^ set(handlers)
        if missing:
            raise LookupError(f"operations without a handler, or handlers without an operation: {sorted(missing)}")
        self._table = [(operation, _segments(operation.path), handlers[operation.name]) for operation in OPERATIONS]

    def match(self, method: str, path: str) -> Match | None:
        parts = path.strip("/").split("/")
        for operation, segments, handler in self._table:
            if operation.method == method:
                params = _match(segments, parts)
                if params is not None:
                    return Match(operation, handler, params)
        return None


def _segments(path: str) -> tuple[str, ...]:
    return tuple(segment if segment.startswith("{") else segment.lower() for segment in path.strip("/").split("/"))


def _match(segments: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    if len(parts) < len(segments) or (len(parts) > len(segments) and not segments[-1].endswith("*}")):
        return None
    params: dict[str, str] = {}
    for index, segment in enumerate(segments):
        if not segment.startswith("{"):
            if parts[index].lower() != segment:
                return None
        elif segment.endswith("*}"):
            params[segment[1:-2]] = "/".join(parts[index:])
        else:
            name, _, choices = segment[1:-1].partition(":")
            if choices and parts[index].lower() not in choices.split("|"):
                return None
            params[name] = parts[index]
    return params
