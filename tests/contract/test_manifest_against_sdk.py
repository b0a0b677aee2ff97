"""What is written for Azure, Azure's own SDK loads: each endpoint and deployment of the repository's manifests, and each kind of field."""

import io
from pathlib import Path

import pytest
import yaml
from azure.ai.ml import load_online_deployment, load_online_endpoint

from aml_canary.domain.azure_yaml import endpoint_to_azure_yaml, to_azure_yaml
from aml_canary.domain.manifest import CodeConfiguration, Deployment, Endpoint, Probe, RequestSettings
from aml_canary.domain.manifest_reader import discover, read_manifest, require
from aml_canary.domain.tree import MemoryTree

ROOT = Path(__file__).resolve().parents[2]
TREE = MemoryTree(
    {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for folder in ("configs", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
)
STAGES = [(f"{path}:{stage.name}", stage) for path in discover(TREE, ".") for stage in require(read_manifest(TREE, path)).stages]


def loaded(deployment: Deployment, root: Path = ROOT):
    return load_online_deployment(io.StringIO(yaml.safe_dump(to_azure_yaml(deployment, "churn", root))))


@pytest.mark.parametrize("stage", [stage for _, stage in STAGES], ids=[name for name, _ in STAGES])
def test_every_manifest_of_the_repository_is_loaded_by_the_sdk(stage):
    endpoint = load_online_endpoint(io.StringIO(yaml.safe_dump(endpoint_to_azure_yaml(stage.endpoint))))
    assert (endpoint.name, endpoint.auth_mode) == (stage.endpoint.name, stage.endpoint.auth_mode)
    assert {name: weight for name, weight in endpoint.traffic.items() if weight} == {
        n: w for n, w in (stage.endpoint.traffic or {}).items() if w
    }
    for wanted in stage.deployments.values():
        entity = loaded(wanted)
        assert (entity.name, entity.endpoint_name) == (wanted.name, "churn")
        assert (entity.instance_type, entity.instance_count) == (wanted.instance_type, wanted.instance_count)
        assert entity.request_settings.request_timeout_ms == wanted.request_settings.request_timeout_ms
        assert Path(str(entity.code_configuration.code)).is_dir()
        assert entity.code_configuration.scoring_script == wanted.code_configuration.scoring_script


def test_a_deployment_with_every_field_arrives_whole(tmp_path):
    for file in ("src/score.py", "env.yml", "weights/w.bin"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("name: x\ndependencies: [python]\n")
    entity = loaded(
        Deployment(
            name="blue",
            model={"path": "weights", "type": "custom_model"},
            code_configuration=CodeConfiguration(code="src", scoring_script="score.py"),
            environment={"image": "base:1", "conda_file": "env.yml"},
            environment_variables={"A": "1"},
            instance_type="Standard_F2s_v2",
            instance_count=3,
            request_settings=RequestSettings(request_timeout_ms=3000, max_concurrent_requests_per_instance=2, max_queue_wait_ms=100),
            liveness_probe=Probe(initial_delay=20),
            readiness_probe=Probe(failure_threshold=5),
            app_insights_enabled=True,
            egress_public_network_access="disabled",
            model_mount_path="/models",
            data_collector={"collections": {"model_inputs": {"enabled": True}}, "sampling_rate": 0.5, "rolling_rate": "hour"},
            description="words",
            tags={"a": "b"},
            properties={"c": "d"},
        ),
        tmp_path,
    )
    assert Path(str(entity.model.path)) == tmp_path / "weights"
    assert entity.environment.conda_file["name"] == "x"
    assert entity.environment_variables == {"A": "1"}
    assert entity.request_settings.max_concurrent_requests_per_instance == 2
    assert entity.liveness_probe.initial_delay == 20
    assert entity.readiness_probe.failure_threshold == 5
    assert (entity.app_insights_enabled, entity.egress_public_network_access, entity.model_mount_path) == (True, "disabled", "/models")
    assert entity.data_collector.sampling_rate == 0.5
    assert entity.data_collector.collections["model_inputs"].enabled == "true"
    assert (entity.description, entity.tags, entity.properties) == ("words", {"a": "b"}, {"c": "d"})


def test_registered_assets_and_build_folders_are_left_as_they_are(tmp_path):
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").write_text("FROM x")
    entity = loaded(Deployment(name="blue", model="azureml:m:1", environment={"build": {"path": "image"}}, instance_type="S"), tmp_path)
    assert entity.model == "m:1"
    assert Path(entity.environment.build.path) == tmp_path / "image"
    registry = "azureml://registries/r/environments/e/versions/1"
    assert loaded(Deployment(name="blue", environment=registry, instance_type="S")).environment == registry


def test_an_endpoint_with_every_field_arrives_whole():
    wanted = Endpoint(
        name="churn",
        auth_mode="aad_token",
        traffic={"blue": 100, "green": 0},
        mirror_traffic={"green": 10},
        description="words",
        tags={"a": "b"},
        properties={"c": "d"},
        identity={"type": "user_assigned", "user_assigned_identities": [{"resource_id": "x"}]},
        public_network_access="disabled",
    )
    entity = load_online_endpoint(io.StringIO(yaml.safe_dump(endpoint_to_azure_yaml(wanted))))
    assert (entity.auth_mode, entity.public_network_access, entity.description) == ("aad_token", "disabled", "words")
    assert (entity.tags, entity.mirror_traffic) == ({"a": "b"}, {"green": 10})
    assert entity.identity.type == "user_assigned"


def test_an_endpoint_that_leaves_traffic_alone_writes_none():
    assert "traffic" not in endpoint_to_azure_yaml(Endpoint(name="churn"))
    assert "traffic" not in endpoint_to_azure_yaml(Endpoint(name="churn", traffic={}))


def test_paths_become_absolute_and_the_manifests_own_value_stays_as_it_is():
    deployment = Deployment(name="blue", model={"path": "weights"}, instance_type="S")
    assert to_azure_yaml(deployment, "churn", "/repository")["model"] == {"path": "/repository/weights"}
    assert deployment.model == {"path": "weights"}
