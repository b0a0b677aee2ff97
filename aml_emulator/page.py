"""The page at /_emulator/ and the facts it shows: endpoints, deployments, weights, requests.

The page asks for the facts again and again; it loads nothing from anywhere else.
May import: `context`, `arm`, `stats`, `state`, `wire`.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from aml_emulator import __version__
from aml_emulator.arm import Log
from aml_emulator.context import Context
from aml_emulator.state import Deployment, Endpoint
from aml_emulator.stats import Stats
from aml_emulator.wire import Json, Reply, Request

HTML = Path(__file__).with_name("page.html")
LINES = 12
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


class Page:
    def __init__(self, context: Context, log: Log, stats: Stats):
        self.context, self.log, self.stats = context, log, stats

    async def html(self, _request: Request) -> Reply:
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        return Reply(200, HTML.read_bytes(), headers, "text/html; charset=utf-8")

    async def overview(self, _request: Request) -> Reply:
        counts = self.stats.json()["endpoints"]
        found = sorted(self.context.store.endpoints.values(), key=lambda endpoint: endpoint.name)
        # Reads of operations and uploads are most of a log and say little.
        told = (entry for entry in reversed(self.log.entries) if not entry["operation"].startswith(("operation.", "blob.")))
        body: Json = {
            "version": __version__,
            "workspace": self.context.settings.workspace,
            "pace": self.context.operations.pace.name,
            "faults": sum(1 for fault in self.context.faults.active if fault.count is None or fault.hits < fault.count),
            "endpoints": [_endpoint(endpoint, counts.get(endpoint.name, {})) for endpoint in found],
            "log": [_line(entry) for entry in islice(told, LINES)],
        }
        return Reply(200, body)


def _endpoint(endpoint: Endpoint, counts: Json) -> Json:
    served, mirrored = counts.get("deployments", {}), counts.get("mirrored", {})
    return {
        "name": endpoint.name,
        "state": endpoint.state,
        "auth_mode": endpoint.properties["authMode"],
        "requests": counts.get("total", 0),
        "refused": sum(served.get("", {}).values()),
        "deployments": [_deployment(endpoint, one, served, mirrored) for one in endpoint.deployments.values()],
    }


def _deployment(endpoint: Endpoint, deployment: Deployment, served: Json, mirrored: Json) -> Json:
    statuses = served.get(deployment.name, {})
    return {
        "name": deployment.name,
        "state": deployment.state,
        "weight": endpoint.traffic.get(deployment.name.lower(), 0),
        "mirror": endpoint.mirror.get(deployment.name.lower(), 0),
        "instances": deployment.capacity,
        "running": len(deployment.runtime.pool.instances) if deployment.runtime else 0,
        "requests": sum(statuses.values()),
        "errors": sum(number for status, number in statuses.items() if not status.startswith("2")),
        "mirrored": sum(mirrored.get(deployment.name, {}).values()),
    }


def _line(entry: Json) -> Json:
    tail: str = entry["path"].split("/workspaces/")[-1]
    name = tail if tail.startswith("/") else tail.partition("/")[2] or tail
    return {"seq": entry["seq"], "operation": entry["operation"], "name": name, "status": entry["status"]}
