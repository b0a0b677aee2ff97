"""Everything that differs between one installation and another, read from the environment once.

Real Azure differs from an emulator only here: cloud metadata, credential variables, CA bundle. May import pydantic and `domain`.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from aml_canary.domain.freeze import Window


class Settings(BaseSettings):
    """Environment variables `AML_CANARY_<NAME>`; lists and mappings are written as JSON.

    The Azure credential itself is azure-identity's business (AZURE_CLIENT_ID, managed identity, `az login`, and so on).
    """

    model_config = SettingsConfigDict(env_prefix="AML_CANARY_", frozen=True)

    subscription_id: str = Field("", description="Azure subscription of the workspace.")
    resource_group: str = Field("", description="Azure resource group of the workspace.")
    workspace: str = Field("", description="Azure ML workspace whose endpoints are rolled out to.")
    cloud_name: str = Field("AzureCloud", description="Azure cloud; a name of your own goes with cloud_metadata.")
    cloud_metadata: dict[str, str] | None = Field(None, description="The six addresses MLClient wants for a cloud of its own.")

    repositories: dict[str, str] = Field(
        default_factory=dict,
        description='Followed repositories: the name the git host uses, and the URL to read from, such as {"acme/models": "https://..."}.',
    )
    branch: str = Field("main", description="The branch that says what shall be live.")
    manifests: str = Field("configs", description="Folder in the repository below which manifests are looked for.")
    webhook_secrets: tuple[SecretStr, ...] = Field(
        (), description="Secrets of the git host's webhook; several while one is being replaced."
    )

    prune: Literal["confirm", "report"] = Field(
        "confirm", description="An endpoint whose manifest is no longer in git: ask whether to delete it, or only say so."
    )
    freeze: tuple[Window, ...] = Field(
        (), description='Freeze windows of all endpoints, such as [{"start": "Fri 16:00", "end": "Mon 08:00"}].'
    )

    home: Path = Field(Path.home() / ".aml-canary", description="Where git mirrors are kept. May be deleted at any time.")
    retries: Annotated[int, Field(ge=0, le=20)] = Field(6, description="How often a stage is tried again after a transient failure.")
    retry_delay_seconds: Annotated[float, Field(gt=0)] = Field(5.0, description="The first pause before another try; it doubles each time.")
    operation_timeout_seconds: Annotated[float, Field(gt=0)] = Field(3600.0, description="How long one Azure operation may take.")


def problem_with_settings(error: ValueError) -> str:
    """Which environment variables are wrong, and how; empty where the error is about something else."""
    if isinstance(error, SettingsError):
        return f"The environment is not right: {error}. Lists and mappings are written as JSON."
    if isinstance(error, ValidationError) and error.title == Settings.__name__:
        wrong = (f"AML_CANARY_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors(include_input=False))
        return "\n".join(wrong)
    return ""


@cache
def settings() -> Settings:
    """The installation's settings, the same object for the life of the process. Raises pydantic's ValidationError."""
    return Settings()
