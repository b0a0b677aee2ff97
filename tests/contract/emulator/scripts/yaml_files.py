"""The same from YAML files, as the command line's users have them."""

# ruff: noqa: T201  a script talks

import os
from pathlib import Path

from azure.ai.ml import MLClient, load_online_deployment, load_online_endpoint
from azure.identity import DefaultAzureCredential

ml_client = MLClient(
    DefaultAzureCredential(),
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZURE_RESOURCE_GROUP"],
    os.environ["AZUREML_WORKSPACE_NAME"],
)
Path("endpoint.yml").write_text("""
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: yaml-endpoint
auth_mode: key
""")
Path("blue.yml").write_text("""
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: yaml-endpoint
model:
  path: model
code_configuration:
  code: src
  scoring_script: score.py
environment:
  conda_file: conda.yml
  image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest
instance_type: Standard_DS3_v2
instance_count: 2
""")
ml_client.online_endpoints.begin_create_or_update(load_online_endpoint("endpoint.yml")).result()
ml_client.online_deployments.begin_create_or_update(load_online_deployment("blue.yml")).result()
endpoint = ml_client.online_endpoints.get("yaml-endpoint")
endpoint.traffic = {"blue": 100}
ml_client.begin_create_or_update(endpoint).result()
print(ml_client.online_endpoints.get("yaml-endpoint").traffic, ml_client.online_deployments.get("blue", "yaml-endpoint").instance_count)
print(ml_client.online_endpoints.invoke("yaml-endpoint", request_file="sample-request.json"))
