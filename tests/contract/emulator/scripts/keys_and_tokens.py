"""The three ways to authenticate to an endpoint, with plain HTTP requests."""

# ruff: noqa: T201  a script talks

import json
import os
from pathlib import Path

import requests
from azure.ai.ml import MLClient
from azure.ai.ml.entities import CodeConfiguration, Environment, ManagedOnlineDeployment, ManagedOnlineEndpoint, Model
from azure.identity import DefaultAzureCredential

credential = DefaultAzureCredential()
ml_client = MLClient(
    credential, os.environ["AZURE_SUBSCRIPTION_ID"], os.environ["AZURE_RESOURCE_GROUP"], os.environ["AZUREML_WORKSPACE_NAME"]
)
data = json.loads(Path("sample-request.json").read_text())


def serve(name, auth_mode):
    endpoint = ml_client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode=auth_mode)).result()
    deployment = ManagedOnlineDeployment(
        name="blue",
        endpoint_name=name,
        model=Model(path="model"),
        environment=Environment(image="mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference", conda_file="conda.yml"),
        code_configuration=CodeConfiguration(code="src", scoring_script="score.py"),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    ml_client.online_deployments.begin_create_or_update(deployment).result()
    endpoint.traffic = {"blue": 100}
    return ml_client.online_endpoints.begin_create_or_update(endpoint).result().scoring_uri


def score(uri, secret):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {secret}"}
    response = requests.post(uri, json=data, headers=headers, timeout=30)
    return response.status_code, response.headers.get("azureml-model-deployment")


uri = serve("with-key", "key")
keys = ml_client.online_endpoints.get_keys(name="with-key")
print("key", score(uri, keys.primary_key), score(uri, keys.secondary_key), score(uri, "wrong")[0])
ml_client.online_endpoints.begin_regenerate_keys(name="with-key", key_type="primary").result()
renewed = ml_client.online_endpoints.get_keys(name="with-key")
print("renewed", score(uri, renewed.primary_key)[0], score(uri, keys.primary_key)[0], renewed.secondary_key == keys.secondary_key)

uri = serve("with-aml-token", "aml_token")
token = ml_client.online_endpoints.get_keys(name="with-aml-token")
print("aml_token", score(uri, token.access_token), token.expiry_time_utc > token.refresh_after_time_utc > 0)

uri = serve("with-aad-token", "aad_token")
token = credential.get_token("https://ml.azure.com/.default").token
print("aad_token", score(uri, token), ml_client.online_endpoints.get_keys(name="with-aad-token").access_token is not None)
