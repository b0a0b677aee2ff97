"""docs/metrics.md, as somebody follows it who sees to Azure Monitor, with Microsoft's command line."""

import json
import os
from pathlib import Path

import requests
from azure.ai.ml.entities import ManagedOnlineEndpoint

from aml_emulator.process import running_emulator
from examples.demo.stack import without_settings
from tests.e2e.azure_cli import MONITORING_READER, needs_az, signed_in
from tests.reader import Reader


@needs_az
def test_what_the_judge_reads_is_what_its_guide_has_somebody_look_at(tmp_path: Path) -> None:
    with running_emulator(tmp_path / "emulator") as azure, signed_in(azure, tmp_path) as (roles, env):
        endpoint = azure.ml_client().online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="churn", auth_mode="key")).result()
        for _ in range(3):
            assert requests.post(endpoint.scoring_uri, json={}, timeout=30).status_code == 401
        workspace = endpoint.id.partition("/onlineEndpoints/")[0]
        own = {
            "<identity>": azure.client_id,
            "<resource id of the workspace>": workspace,
            "<resource id of the endpoint>": endpoint.id,
        }
        with Reader("docs/metrics.md", tmp_path, without_settings(os.environ) | env, own) as reader:
            reader.read()
            [given] = roles.of_kind("roleAssignments")
            assert given["roleDefinitionId"].endswith(MONITORING_READER)
            assert given["principalId"] == roles.principals[azure.client_id]

            [metric] = json.loads(reader.read())["value"]
            [series] = metric["timeseries"]
            assert {said["name"]["value"].lower(): said["value"] for said in series["metadatavalues"]} == {
                "deployment": "N/A",
                "statuscode": "401",
            }
            assert sum(point.get("average") or 0 for point in series["data"]) == 3
            for _ in ("where Prometheus is", "what it is asked", "a function"):
                assert all(line.startswith("export ") for line in reader.lines())
