"""What docs/azure.md and docs/security.md promise: the role grants what is used and little else, and the door's bounds are the code's.

Which requests an operation of the SDK sends was watched on the emulator; which action Azure asks for each follows from how it names them.
Neither was seen on Azure.
"""

import json
import re

import pytest

from aml_canary.domain.checkup import NEEDED_ACTIONS, Permission
from aml_canary.domain.quota import with_reserve
from aml_canary.githosts import HOSTS
from aml_canary.receiver import app, server
from aml_emulator.routes import OPERATIONS, WS, Operation
from tests.unit.documents import ROOT, blocks

AZURE = (ROOT / "docs/azure.md").read_text()
SECURITY = (ROOT / "docs/security.md").read_text()
ROLE = next(json.loads(block.text) for block in blocks("json") if block.where == "docs/azure.md")
GRANTED = Permission(tuple(ROLE["Actions"]), tuple(ROLE["NotActions"]))

# Each call of the SDK in our gateway, and the operations of the emulator's coverage table that it was seen to ask for.
SENT = {
    "workspaces.get": {"workspace.get"},
    "online_endpoints.get": {"endpoint.get", "deployment.list"},
    "online_endpoints.list": {"endpoint.list"},
    "online_endpoints.begin_create_or_update": {"workspace.get", "endpoint.put", "endpoint.get"},
    "online_endpoints.begin_delete": {"endpoint.delete"},
    "online_endpoints.get_keys": {"endpoint.get", "endpoint.list_keys", "endpoint.token"},
    "online_deployments.get": {"deployment.get"},
    "online_deployments.list": {"deployment.list"},
    "online_deployments.begin_create_or_update": {
        "endpoint.get",
        "workspace.get",
        "asset.list_versions",
        "asset.get_version",
        "asset.put_version",
        "code.start_pending_upload",
        "datastore.get",
        "datastore.list_secrets",
        "deployment.put",
        "deployment.get",
    },
    "online_deployments.begin_delete": {"deployment.delete"},
    "online_deployments.get_logs": {"deployment.get_logs"},
    "metrics.list": {"endpoint.metrics"},
    # Of the subscription and not of the workspace: the document names a role of its own for them.
    "compute.list_usage": set(),
    "compute.list_sizes": set(),
}
USED = {name for names in SENT.values() for name in names}
# For scoring with a token of Microsoft Entra; it is no request to the resource manager.
SCORING = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"


def actions_of(operation: Operation) -> list[str]:
    """What Azure calls the permission for a request: the resource types of its path, and what is done."""
    [path] = [operation.path] if ":" not in operation.path else [operation.path.replace("{kind:codes|models|environments}", "{kind}")]
    _, _, last = path.rpartition("/providers/")
    words = [word for word in last.split("/") if not word.startswith("{") or word == "{kind}"]
    done = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete", "POST": "action"}[operation.method]
    name = "/".join([*words, done])
    return [name.replace("{kind}", kind) for kind in ("codes", "models", "environments")] if "{kind}" in name else [name]


def in_workspace(operation: Operation) -> bool:
    return operation.path.startswith(WS)


def test_every_call_of_the_sdk_in_the_gateway_is_in_the_list():
    room = (ROOT / "aml_canary/gateways/azureml").glob("*.py")
    called = {call for path in room for call in re.findall(r"client\(\)\)?\.([a-z_]+\.[a-z_]+)\(", path.read_text())}
    assert called == set(SENT)


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.name in USED], ids=lambda operation: operation.name)
def test_the_role_grants_what_is_used(operation):
    assert in_workspace(operation)
    assert [action for action in actions_of(operation) if not GRANTED.grants(action)] == []


def test_the_role_grants_what_doctor_looks_for_and_scoring():
    assert [action for action in (*NEEDED_ACTIONS, SCORING) if not GRANTED.grants(action)] == []


def test_every_action_of_the_role_is_used_by_something():
    used = [SCORING, *(action for one in OPERATIONS if one.name in USED for action in actions_of(one))]
    assert [pattern for pattern in ROLE["Actions"] if not any(Permission((pattern,)).grants(action) for action in used)] == []


@pytest.mark.parametrize(
    "action",
    [
        "Microsoft.MachineLearningServices/workspaces/write",
        "Microsoft.MachineLearningServices/workspaces/delete",
        "Microsoft.MachineLearningServices/workspaces/listKeys/action",
        "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/regenerateKeys/action",
        "Microsoft.MachineLearningServices/workspaces/models/versions/delete",
        "Microsoft.MachineLearningServices/workspaces/codes/versions/delete",
        "Microsoft.MachineLearningServices/workspaces/environments/versions/delete",
        "Microsoft.MachineLearningServices/workspaces/datastores/write",
        "Microsoft.MachineLearningServices/workspaces/computes/write",
        "Microsoft.MachineLearningServices/workspaces/jobs/write",
        "Microsoft.Authorization/roleAssignments/write",
    ],
)
def test_the_role_does_not_grant_what_is_never_done(action):
    assert not GRANTED.grants(action)


def test_the_role_is_in_the_form_that_azure_takes():
    assert ROLE.keys() == {"Name", "IsCustom", "Description", "Actions", "NotActions", "AssignableScopes"}
    assert f'--role "{ROLE["Name"]}"' in AZURE
    assert all(re.fullmatch(r"Microsoft\.\w+(/[\w*]+)+", action) for action in (*ROLE["Actions"], *ROLE["NotActions"]))
    assert all(scope.startswith("/subscriptions/") for scope in ROLE["AssignableScopes"])


def test_the_example_of_quota_counts_as_the_code_does():
    assert "two deployments of 5 instances need quota for 12 instances" in AZURE
    assert 2 * with_reserve(5) == 12


def test_every_git_host_is_in_the_table_of_the_door():
    assert set(re.findall(r"`/webhooks/([a-z-]+)`", AZURE)) == set(HOSTS)


def test_the_documented_bounds_are_those_of_the_door():
    rows = dict(re.findall(r"^\| ((?:body|time|head|connections|requests) [^|]*) \| ([^|]+) \|", SECURITY, re.MULTILINE))
    assert rows == {
        "body of a delivery": f"{app.BODY_BYTES // 2**20} MiB",
        "time for the body to come in": f"{app.BODY_SECONDS:.0f} s",
        "head of a request": f"{server.HEADER_BYTES // 2**10} KiB",
        "time for the head to come in": f"{server.HEADER_SECONDS:.0f} s",
        "connections at once": f"{server.CONNECTIONS}",
        "requests of one address": f"{app.EACH_ADDRESS.burst} at once, then {app.EACH_ADDRESS.per_second} a second",
        "requests of all addresses": f"{app.ALL_ADDRESSES.burst} at once, then {app.ALL_ADDRESSES.per_second} a second",
    }
