"""Bring out a new version beside the old one: try it, copy traffic to it, give it a little, give it everything."""

# ruff: noqa: T201  a script talks

import os

from azure.ai.ml import MLClient
from azure.ai.ml.entities import CodeConfiguration, Environment, ManagedOnlineDeployment, ManagedOnlineEndpoint, Model
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential

ml_client = MLClient(
    DefaultAzureCredential(),
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZURE_RESOURCE_GROUP"],
    os.environ["AZUREML_WORKSPACE_NAME"],
)
online_endpoint_name = "rollout-endpoint"
endpoint = ManagedOnlineEndpoint(name=online_endpoint_name, auth_mode="key")
endpoint = ml_client.online_endpoints.begin_create_or_update(endpoint).result()


def deployment(name, code):
    return ManagedOnlineDeployment(
        name=name,
        endpoint_name=online_endpoint_name,
        model=Model(path="model"),
        environment=Environment(image="mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference", conda_file="conda.yml"),
        code_configuration=CodeConfiguration(code=code, scoring_script="score.py"),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )


def invoke(**where):
    return ml_client.online_endpoints.invoke(endpoint_name=online_endpoint_name, request_file="sample-request.json", **where)


ml_client.online_deployments.begin_create_or_update(deployment("blue", "src")).result()
endpoint.traffic = {"blue": 100}
ml_client.online_endpoints.begin_create_or_update(endpoint).result()
print("blue alone:", invoke())

ml_client.online_deployments.begin_create_or_update(deployment("green", "src-next")).result()
print("green by name:", invoke(deployment_name="green"))

endpoint.mirror_traffic = {"green": 10}
ml_client.online_endpoints.begin_create_or_update(endpoint).result()
print("mirrored:", ml_client.online_endpoints.get(online_endpoint_name).mirror_traffic)

endpoint.mirror_traffic = {"green": 0}
endpoint.traffic = {"blue": 90, "green": 10}
ml_client.online_endpoints.begin_create_or_update(endpoint).result()
print("a little:", ml_client.online_endpoints.get(online_endpoint_name).traffic)

try:
    ml_client.online_deployments.begin_delete(name="blue", endpoint_name=online_endpoint_name).result()
except HttpResponseError as error:
    print("too early:", error.error.code)

endpoint.traffic = {"blue": 0, "green": 100}
ml_client.online_endpoints.begin_create_or_update(endpoint).result()
ml_client.online_deployments.begin_delete(name="blue", endpoint_name=online_endpoint_name).result()
print("left:", [found.name for found in ml_client.online_deployments.list(endpoint_name=online_endpoint_name)], invoke())
ml_client.online_endpoints.begin_delete(name=online_endpoint_name).result()
