"""Shadow testing: a new version gets copies of live requests, and nobody gets its answers."""

# ruff: noqa: T201  a script talks

import os
import time

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
online_endpoint_name = "shadow-endpoint"
endpoint = ml_client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=online_endpoint_name, auth_mode="key")).result()
for name, code in (("blue", "src"), ("green", "src-next")):
    deployment = ManagedOnlineDeployment(
        name=name,
        endpoint_name=online_endpoint_name,
        model=Model(path="model"),
        environment=Environment(image="mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference", conda_file="conda.yml"),
        code_configuration=CodeConfiguration(code=code, scoring_script="score.py"),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    ml_client.online_deployments.begin_create_or_update(deployment).result()


def update(traffic, mirror_traffic):
    endpoint.traffic, endpoint.mirror_traffic = traffic, mirror_traffic
    try:
        ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    except HttpResponseError as error:
        return error.error.code
    return ml_client.online_endpoints.get(online_endpoint_name).mirror_traffic


def asked(deployment_name):
    logs = ml_client.online_deployments.get_logs(name=deployment_name, endpoint_name=online_endpoint_name, lines=200)
    return logs.count("POST /score")


print("too much:", update({"blue": 100}, {"green": 60}))
print("live as well:", update({"blue": 90, "green": 10}, {"green": 10}))
print("mirrored:", update({"blue": 100}, {"green": 50}))

answers = {ml_client.online_endpoints.invoke(endpoint_name=online_endpoint_name, request_file="sample-request.json") for _ in range(40)}
print("answers:", answers)
deadline = time.monotonic() + 60
while asked("green") == 0 and time.monotonic() < deadline:
    time.sleep(0.2)
print("blue was asked", asked("blue"), "times, green less often:", 0 < asked("green") < 40)

print("off again:", update({"blue": 100}, {"green": 0}))
ml_client.online_endpoints.begin_delete(name=online_endpoint_name).result()
