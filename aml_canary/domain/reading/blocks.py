"""What Azure allows inside the blocks that the model keeps as plain mappings: inline model and environment, data collector, identity.

These classes say which keys there are, for findings and for the editors' JSON Schema; their values go no further. Azure's v2 YAML names.
May import pydantic and `domain.manifest`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from aml_canary.domain.manifest import Frozen


class InlineModel(Frozen):
    """A model given by its files, uploaded with the deployment; or name it by version: `azureml:<name>:<version>`."""

    path: str
    type: Literal["custom_model", "mlflow_model", "triton_model"] = "custom_model"
    name: str | None = None
    version: str | int | None = None
    description: str | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)
    properties: Mapping[str, str] = Field(default_factory=dict)


class Build(Frozen):
    """A folder that Azure builds the image from."""

    path: str
    dockerfile_path: str = "Dockerfile"


class Route(Frozen):
    """One HTTP route of a container that brings its own server."""

    port: Annotated[int, Field(ge=1, le=65535)]
    path: str


class InferenceConfig(Frozen):
    """The routes of a container that brings its own server."""

    liveness_route: Route
    readiness_route: Route
    scoring_route: Route


class InlineEnvironment(Frozen):
    """An environment given by image and conda file, or by a build folder; or name it by version: `azureml:<name>:<version>`."""

    image: str | None = None
    conda_file: str | Mapping[str, Any] | None = None
    build: Build | None = None
    inference_config: InferenceConfig | None = None
    os_type: Literal["linux", "windows"] | None = None
    name: str | None = None
    version: str | int | None = None
    description: str | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)
    properties: Mapping[str, str] = Field(default_factory=dict)


class Asset(Frozen):
    """Where collected data is written."""

    name: str | None = None
    path: str | None = None
    version: str | int | None = None
    data_id: str | None = None


class Collection(Frozen):
    """One kind of collected data: `model_inputs`, `model_outputs`, or a name of your own."""

    enabled: bool | Literal["true", "false", "True", "False"]
    data: str | Asset | None = None
    client_id: str | None = None


class RequestLogging(Frozen):
    """Which request headers are logged."""

    capture_headers: tuple[str, ...] = ()


class DataCollector(Frozen):
    """What Azure keeps of requests and answers."""

    collections: Mapping[str, Collection]
    rolling_rate: Literal["minute", "hour", "day"] | None = None
    sampling_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    request_logging: RequestLogging | None = None


class UserAssignedIdentity(Frozen):
    """An identity made beforehand."""

    resource_id: str
    client_id: str | None = None
    object_id: str | None = None


class Identity(Frozen):
    """As whom the endpoint reaches other Azure resources. It cannot be changed after the endpoint was created."""

    type: Literal["system_assigned", "user_assigned", "none"]
    user_assigned_identities: Annotated[tuple[UserAssignedIdentity, ...], Field(max_length=1)] = ()
