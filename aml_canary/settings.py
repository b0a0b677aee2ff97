"""Everything that differs between one installation and another, read from the environment once.

Real Azure differs from an emulator only here: cloud metadata, credential variables, CA bundle. May import pydantic, `domain` and `githosts`.
"""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from aml_canary.domain.freeze import Window
from aml_canary.githosts import HOSTS

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def one_word(token: SecretStr) -> SecretStr:
    """The token, if it can stand in a header. Raises ValueError."""
    # Whatever else is in a header's value ends the header, or is refused with the value in the message.
    if not re.fullmatch(r"[!-~]*", token.get_secret_value()):
        raise ValueError("the token has to be one word of printable ASCII, without spaces or line ends.")
    return token


class GitHostAccess(BaseModel):
    """Where a repository's statuses and comments are written, and with which token.

    `api` empty: the host's public API. `token` empty: nothing is written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str
    api: str = ""
    token: SecretStr = SecretStr("")

    @field_validator("host")
    @classmethod
    def _known(cls, host: str) -> str:
        if host not in HOSTS:
            raise ValueError(f"there is no git host {host!r} here; there is {', '.join(HOSTS)}.")
        return host

    @field_validator("token")
    @classmethod
    def _one_word(cls, token: SecretStr) -> SecretStr:
        return one_word(token)

    @model_validator(mode="after")
    def _addressed(self) -> Self:
        if not self.base:
            raise ValueError(f"{self.host} has no public API: give `api`, such as https://git.example.com/api/v1.")
        if not re.fullmatch(r"https?://[^\s@?#]+", self.base):
            raise ValueError("`api` has to be an http(s) URL without credentials, query or fragment.")
        return self

    @property
    def base(self) -> str:
        """The base of the API, without a slash at its end."""
        return (self.api or HOSTS[self.host].API).rstrip("/")


class Settings(BaseSettings):
    """Environment variables `AML_CANARY_<NAME>`; lists and mappings are written as JSON.

    The Azure credential itself is azure-identity's business (AZURE_CLIENT_ID, managed identity, `az login`, and so on).
    """

    model_config = SettingsConfigDict(env_prefix="AML_CANARY_", frozen=True, hide_input_in_errors=True)

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
        (),
        description="Secrets of the git host's webhook; several while one is being replaced. Workers check answers by comment with them.",
    )
    git_hosts: dict[str, GitHostAccess] = Field(
        default_factory=dict,
        description="Where statuses and reviews are written, by repository, "
        'such as {"acme/models": {"host": "github", "token": "..."}}; "api" is for a host of your own.',
    )

    notify: tuple[str, ...] = Field(
        (), description='Prefect notification blocks that are told when a rollout waits or has ended, such as ["slack-webhook/ml-oncall"].'
    )

    prune: Literal["confirm", "report"] = Field(
        "confirm", description="An endpoint whose manifest is no longer in git: ask whether to delete it, or only say so."
    )
    freeze: tuple[Window, ...] = Field(
        (), description='Freeze windows of all endpoints, such as [{"start": "Fri 16:00", "end": "Mon 08:00"}].'
    )

    metrics: str = Field(
        "azure-monitor",
        description="Where the judge's minutes come from: `azure-monitor`, `prometheus`, or the dotted name of a function.",
    )
    metrics_lag_minutes: Annotated[int, Field(ge=0, le=60)] | None = Field(
        None, description="How many minutes after its end a minute is judged; unset: what the source needs, 3 on Azure."
    )
    functions: tuple[str, ...] = Field(
        (), description='Python modules whose functions settings and manifests may name, with those below them, such as ["acme.quality"].'
    )
    prometheus_url: str = Field("", description="Where Prometheus answers, without /api/v1.")
    prometheus_token: SecretStr | None = Field(None, description="Bearer token for it, if it wants one.")
    prometheus_requests: str = Field(
        'sum by (deployment, code) (increase(http_requests_total{endpoint="$endpoint", deployment=~"$deployments"}[75s])) * 60 / 75',
        description="PromQL for the requests of the minute before, by `deployment` and `code`; as it is, for one scrape every 15 s.",
    )
    prometheus_latency: str = Field(
        "sum by (deployment, le) "
        '(increase(http_request_duration_seconds_bucket{endpoint="$endpoint", deployment=~"$deployments"}[75s])) * 60 / 75',
        description="PromQL for the latencies of that minute: buckets by `deployment` and `le`, or percentiles by `quantile`; or empty.",
    )
    prometheus_latency_unit: Literal["seconds", "milliseconds"] = Field(
        "seconds", description="What `le`, or the value of a quantile, is in."
    )

    home: Path = Field(Path.home() / ".aml-canary", description="Where git mirrors are kept. May be deleted at any time.")
    retries: Annotated[int, Field(ge=0, le=20)] = Field(6, description="How often a stage is tried again after a transient failure.")
    retry_delay_seconds: Annotated[float, Field(gt=0)] = Field(5.0, description="The first pause before another try; it doubles each time.")
    silence_seconds: Annotated[float, Field(ge=90)] = Field(
        600.0, description="After how long without a heartbeat a running rollout counts as dead; more than three of Prefect's heartbeats."
    )
    operation_timeout_seconds: Annotated[float, Field(gt=0)] = Field(3600.0, description="How long one Azure operation may take.")

    @field_validator("metrics")
    @classmethod
    def _a_source(cls, metrics: str) -> str:
        if metrics not in ("azure-monitor", "prometheus") and not re.fullmatch(rf"{_NAME}(\.{_NAME})+", metrics):
            raise ValueError(
                "this is neither azure-monitor, nor prometheus, nor the dotted name of a function, such as acme.metrics.minutes."
            )
        return metrics

    @field_validator("notify")
    @classmethod
    def _blocks(cls, notify: tuple[str, ...]) -> tuple[str, ...]:
        for block in notify:
            if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", block):
                raise ValueError(f"{block!r} is not the name of a block with its type, such as slack-webhook/ml-oncall.")
        return notify

    @field_validator("functions")
    @classmethod
    def _modules(cls, functions: tuple[str, ...]) -> tuple[str, ...]:
        # An empty one would allow everything.
        for module in functions:
            if not re.fullmatch(rf"{_NAME}(\.{_NAME})*", module):
                raise ValueError(f"{module!r} is not the dotted name of a module.")
        return functions

    @field_validator("prometheus_url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s@?#]+", url):
            raise ValueError("it has to be an http(s) URL without credentials, query or fragment.")
        return url.rstrip("/")

    @field_validator("prometheus_token")
    @classmethod
    def _one_word(cls, token: SecretStr | None) -> SecretStr | None:
        return None if token is None else one_word(token)


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
