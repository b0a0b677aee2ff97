"""A deployment that does not come up, and the logs that say why; then one that does."""

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
ml_client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="logs-endpoint", auth_mode="key")).result()


def deploy(code):
    deployment = ManagedOnlineDeployment(
        name="blue",
        endpoint_name="logs-endpoint",
        model=Model(path="model"),
        environment=Environment(image="mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference", conda_file="conda.yml"),
        code_configuration=CodeConfiguration(code=code, scoring_script="score.py"),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    return ml_client.online_deployments.begin_create_or_update(deployment).result()


try:
    deploy("src-broken")
except HttpResponseError as error:
    print(error.error.code)
logs = ml_client.online_deployments.get_logs(name="blue", endpoint_name="logs-endpoint", lines=200)
print([line.strip() for line in logs.splitlines() if "ZeroDivisionError" in line][-1])

ml_client.online_deployments.begin_delete(name="blue", endpoint_name="logs-endpoint").result()
print(deploy("src").provisioning_state == "Succeeded")
print("Container events:" in ml_client.online_deployments.get_logs(name="blue", endpoint_name="logs-endpoint", lines=100))
storage = ml_client.online_deployments.get_logs(name="blue", endpoint_name="logs-endpoint", lines=50, container_type="storage-initializer")
print("Downloaded" in storage)
