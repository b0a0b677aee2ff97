"""Microsoft's command line, `az`, as whoever follows a document has it: signed in to a cloud on this machine.

What it asks about subscriptions, endpoints and metrics, the emulator answers. Roles are none of the emulator's matters, so here is
somebody who keeps role definitions and assignments as Azure's documents describe them; nobody is refused anything by them.
Not here: tests. May import: the standard library, requests, trustme, the emulator.
"""

import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import requests
import trustme

from aml_emulator.process import RunningEmulator

AZ = shutil.which("az")
needs_az = pytest.mark.skipif(AZ is None, reason="Microsoft's command line is not installed (pip install azure-cli)")
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
MONITORING_READER = "43d0d8ad-25c7-4714-9337-8ba259a9fe05"
KEPT = re.compile(r"(?P<scope>.*)/providers/Microsoft\.Authorization/(?P<kind>roleDefinitions|roleAssignments)(/(?P<name>[^/]+))?")


class Roles:
    """Role definitions and assignments by their ids, and the principals that may be named by the id of their application."""

    def __init__(self, azure: RunningEmulator) -> None:
        self.azure = azure
        self.principals = {azure.client_id: str(uuid4())}
        self.kept: dict[str, dict[str, Any]] = {}
        self.keep(f"/providers/Microsoft.Authorization/roleDefinitions/{MONITORING_READER}", {"roleName": "Monitoring Reader"})

    def keep(self, path: str, properties: dict[str, Any]) -> dict[str, Any]:
        self.kept[path] = {"id": path, "name": path.rpartition("/")[2], "properties": properties}
        return self.kept[path]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The properties of each, in the order in which they were made."""
        return [one["properties"] for path, one in self.kept.items() if f"/{kind}/" in path]

    def answer(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Of roles and principals what is kept; of everything else what the emulator says."""
        asked = urlsplit(url)
        [said] = parse_qs(asked.query).get("$filter", [""])
        if found := KEPT.fullmatch(asked.path):
            if method == "PUT":
                return 201, json.dumps(self.keep(asked.path, json.loads(body)["properties"])).encode()
            wanted = [
                one for path, one in self.kept.items() if f"/{found['kind']}/" in path and one["properties"].get("roleName", "") in said
            ]
            return 200, json.dumps({"value": wanted}).encode()
        if asked.path == "/v1.0/servicePrincipals":
            known = [{"id": principal, "appId": app} for app, principal in self.principals.items() if app in said]
            return 200, json.dumps({"value": known}).encode()
        answer = requests.request(method, self.azure.arm_url + url, data=body, headers=headers, verify=self.azure.ca_bundle, timeout=60)
        return answer.status_code, answer.content


@contextmanager
def signed_in(azure: RunningEmulator, folder: Path) -> Iterator[tuple[Roles, dict[str, str]]]:
    """Sign `az` in as the emulator's client; who keeps the roles, and what a shell needs so that its `az` is that one."""
    authority, roles = trustme.CA(), Roles(azure)
    with _serving(roles, authority) as url:
        bundle = folder / "az-bundle.pem"
        bundle.write_bytes(Path(azure.ca_bundle).read_bytes() + authority.cert_pem.bytes())
        ours = {
            "AZURE_CONFIG_DIR": str(folder / "az"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            # Else it asks Microsoft whether the authority is one.
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "REQUESTS_CA_BUNDLE": str(bundle),
        }
        cloud = ["--name", "here", "--endpoint-resource-manager", url, "--endpoint-microsoft-graph-resource-id", url]
        secret = ["--username", azure.client_id, "--password", azure.client_secret, "--tenant", azure.tenant_id]
        for words in (["cloud", "register", *cloud], ["cloud", "set", "--name", "here"], ["login", "--service-principal", *secret]):
            subprocess.run([str(AZ), *words], env=azure.exports() | ours, check=True, capture_output=True)
        yield roles, ours


@contextmanager
def _serving(roles: Roles, authority: trustme.CA) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            status, answer = roles.answer(self.command, self.path, body, headers)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do  # noqa: N815  so the standard library calls them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
