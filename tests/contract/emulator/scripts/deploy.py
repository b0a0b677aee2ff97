"""Deploy a registered model behind a new endpoint and ask it something; then take everything away."""

# ruff: noqa: T201  a script talks

import os

from azure.ai.ml import MLClient
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import (
    CodeConfiguration,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    OnlineRequestSettings,
    ProbeSettings,
)
from azure.identity import DefaultAzureCredential

ml_client = MLClient(
    DefaultAzureCredential(),
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZURE_RESOURCE_GROUP"],
    os.environ["AZUREML_WORKSPACE_NAME"],
)

model = ml_client.models.create_or_update(
    Model(path="model", type=AssetTypes.CUSTOM_MODEL, name="weighted-sum", description="Weights of a sum", tags={"kind": "demo"})
)
environment = ml_client.environments.create_or_update(
    Environment(name="weighted-sum", image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest", conda_file="conda.yml")
)

endpoint = ManagedOnlineEndpoint(name="my-endpoint", description="This is a sample endpoint", auth_mode="key", tags={"foo": "bar"})
ml_client.online_endpoints.begin_create_or_update(endpoint).result()

deployment = ManagedOnlineDeployment(
    name="blue",
    endpoint_name="my-endpoint",
    model=f"azureml:{model.name}:{model.version}",
    environment=f"{environment.name}@latest",
    code_configuration=CodeConfiguration(code="src", scoring_script="score.py"),
    environment_variables={"GREETING": "hello"},
    instance_type="Standard_DS3_v2",
    instance_count=1,
    request_settings=OnlineRequestSettings(request_timeout_ms=3000, max_concurrent_requests_per_instance=2),
    liveness_probe=ProbeSettings(initial_delay=10, period=10),
)
ml_client.online_deployments.begin_create_or_update(deployment).result()
endpoint.traffic = {"blue": 100}
ml_client.online_endpoints.begin_create_or_update(endpoint).result()

for found in ml_client.online_endpoints.list():
    print(found.name, found.provisioning_state == "Succeeded", found.traffic, found.scoring_uri is not None)
print(ml_client.online_endpoints.invoke(endpoint_name="my-endpoint", deployment_name="blue", request_file="sample-request.json"))

# Three instances instead of one, as one changes it in place.
blue = ml_client.online_deployments.get(name="blue", endpoint_name="my-endpoint")
blue.instance_count = 3
ml_client.online_deployments.begin_create_or_update(blue).result()
print(ml_client.online_deployments.get(name="blue", endpoint_name="my-endpoint").instance_count, "instances")

ml_client.online_endpoints.begin_delete(name="my-endpoint").result()
print(len(list(ml_client.online_endpoints.list())), "endpoints left")
