"""What git wants of one endpoint: the one model behind the three written forms.

Azure's own v2 YAML field names stand inside `Endpoint` and `Deployment`, with Azure's defaults; `Rollout` is ours. How the written forms
become this model is not here (`manifest_reader` and its forms). May import pydantic and the standard library only.

Names of endpoints and deployments are lower case here, because Azure compares and returns them so; paths are relative to the
repository's root, whatever they were relative to in the file.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[int, Field(ge=0, le=100)]
Gate = Literal["traffic", "full", "retire"]
Login = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]*$", max_length=255)]


class Frozen(BaseModel):
    """Values that cannot change and have no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), strict=True, populate_by_name=True)


class CodeConfiguration(Frozen):
    """The user's scoring code: a folder or an `azureml:` asset, and a script in it."""

    code: str
    scoring_script: str


class RequestSettings(Frozen):
    """How one instance takes requests; Azure's defaults and limits, milliseconds."""

    request_timeout_ms: Annotated[int, Field(ge=1, le=180_000)] = 5000
    max_concurrent_requests_per_instance: Annotated[int, Field(ge=1)] = 1
    max_queue_wait_ms: Annotated[int, Field(ge=0)] | None = None


class Probe(Frozen):
    """Liveness or readiness probe; Azure's defaults, seconds."""

    initial_delay: Annotated[int, Field(ge=1)] = 10
    period: Annotated[int, Field(ge=1)] = 10
    timeout: Annotated[int, Field(ge=1)] = 2
    success_threshold: Annotated[int, Field(ge=1)] = 1
    failure_threshold: Annotated[int, Field(ge=1)] = 30


class Deployment(Frozen):
    """One managed online deployment.

    `model` and `environment` are an `azureml:` reference, or Azure's inline block with paths.
    """

    name: str
    model: str | Mapping[str, Any] | None = None
    code_configuration: CodeConfiguration | None = None
    environment: str | Mapping[str, Any] | None = None
    environment_variables: Mapping[str, str] = Field(default_factory=dict)
    instance_type: str
    instance_count: Annotated[int, Field(ge=1, le=50)] = 1
    request_settings: RequestSettings = RequestSettings()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    app_insights_enabled: bool = False
    egress_public_network_access: Literal["enabled", "disabled"] | None = None
    model_mount_path: str | None = None
    data_collector: Mapping[str, Any] | None = None
    description: str | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)
    properties: Mapping[str, str] = Field(default_factory=dict)


class Endpoint(Frozen):
    """One managed online endpoint. Without `traffic` the manifest leaves live traffic as it is."""

    name: str
    auth_mode: Literal["key", "aml_token", "aad_token"] = "key"
    traffic: Mapping[str, Weight] | None = None
    mirror_traffic: Mapping[str, Weight] = Field(default_factory=dict)
    description: str | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)
    properties: Mapping[str, str] = Field(default_factory=dict)
    identity: Mapping[str, Any] | None = None
    public_network_access: Literal["enabled", "disabled"] | None = None


class Expect(Frozen):
    """What a right answer looks like. A 200 with a wrong body is a failure.

    `json_schema` (written `schema`) is JSON Schema 2020-12; `equals` is compared with `tolerance` (absolute) on numbers;
    `max_latency_ms` is for one answer.
    """

    json_schema: Mapping[str, Any] | None = Field(default=None, validation_alias="schema")
    equals: Any = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    max_latency_ms: Annotated[int, Field(ge=1)] | None = None


class SmokeRequest(Frozen):
    """One request sent straight to the canary, and what must come back. `file` holds its JSON body."""

    name: str
    file: str
    expect: Expect = Expect()


class Smoke(Frozen):
    """The requests a deployment must answer rightly before it may get live traffic."""

    requests: tuple[SmokeRequest, ...] = ()


class Approvals(Frozen):
    """Where a person is asked: before first live traffic and each later share (`traffic`), before all of it (`full`), before deleting (`retire`).

    `approvers` are logins on the git host; where none is named, anybody may answer in Prefect, and no comment counts.
    `author_may_approve` false: not who wrote or pushed the commit. `require_verified`: only the git host's word on who it was counts.
    `timeout_hours` without an answer: the rollout ends with live traffic back on stable (`reject`), or everything stays as it is until a
    Retry (`hold`).
    """

    before: tuple[Gate, ...] = ("traffic", "full", "retire")
    approvers: tuple[Login, ...] = ()
    author_may_approve: bool = True
    require_verified: bool = False
    timeout_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 24 * 7.0
    on_timeout: Literal["reject", "hold"] = "reject"


class Limits(Frozen):
    """What no canary may exceed, however bad stable is: an absolute limit (SLO) beside the comparison. Left out: no limit."""

    error_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    p50_ms: Annotated[float, Field(gt=0)] | None = None
    p95_ms: Annotated[float, Field(gt=0)] | None = None


class Quality(Frozen):
    """How good answers are, beyond their status.

    `function` is the dotted name of a function `(request, response) -> value`, higher is better; its values are compared like latencies.
    `least_agreement_percent`: the share of the smoke requests, sent to both again and again, to which canary and stable give equal answers.
    """

    function: str | None = None
    least_agreement_percent: Annotated[float, Field(ge=0, le=100)] | None = None


class Judge(Frozen):
    """How a canary with live traffic is judged after every traffic step.

    `confidence` is one word for all the statistics: how often a healthy canary may be failed by mistake, over its whole bake (careful
    0.1 %, normal 1 %, fast 5 %). A bake ends on evidence, not before `least_minutes` and not after `longest_minutes`; `on_inconclusive` says
    what becomes of a canary of which nothing is known then. It passes on evidence that its share of errors is less than
    `tolerated_error_percent` above stable's, and its latency less than `tolerated_slowdown` times stable's.
    """

    enabled: bool = True
    confidence: Literal["careful", "normal", "fast"] = "normal"
    least_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 5
    longest_minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = 60
    on_inconclusive: Literal["ask", "hold", "proceed", "rollback"] = "ask"
    tolerated_error_percent: Annotated[float, Field(gt=0, le=100)] = 5.0
    tolerated_slowdown: Annotated[float, Field(gt=1, le=100)] = 1.5
    limits: Limits = Limits()
    quality: Quality = Quality()


class Retire(Frozen):
    """What becomes of a live deployment that the manifest no longer names: deleted when it is without traffic, or kept.

    It is kept for `keep_for_minutes` after its last request, so that going back to it is one change of weights.
    """

    delete: bool = True
    keep_for_minutes: Annotated[int, Field(ge=0, le=30 * 24 * 60)] = 10


class Freeze(Frozen):
    """A time in which nothing is started or promoted: `Fri 16:00` to `Mon 08:00`, or `2026-12-20T18:00` to `2027-01-02T06:00`."""

    start: str
    end: str
    zone: str = "UTC"


class Rollout(Frozen):
    """How to get there. `steps` are the canary's percentages of live traffic on the way; the manifest's own traffic is always the last.

    `depends_on` names endpoints of the same repository that have to be as git wants them before this one's rollout starts.
    """

    steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (10,)
    smoke: Smoke = Smoke()
    judge: Judge = Judge()
    approvals: Approvals = Approvals()
    retire: Retire = Retire()
    on_failure: Literal["hold", "rollback"] = "hold"
    on_new_commit: Literal["supersede", "queue", "reject"] = "supersede"
    drift: Literal["report", "heal"] = "report"
    freeze: tuple[Freeze, ...] = ()
    depends_on: tuple[str, ...] = ()


class Stage(Frozen):
    """One full desired state of the endpoint, and the file that says so. `deployments` is keyed by name."""

    name: str
    file: str
    endpoint: Endpoint
    deployments: Mapping[str, Deployment]


class Manifest(Frozen):
    """Everything git says about one endpoint: one stage in the target and split forms, several in a staged folder.

    `path` is the file or folder in the repository that it was read from.
    """

    path: str
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    rollout: Rollout = Rollout()

    @property
    def endpoint_name(self) -> str:
        return self.stages[0].endpoint.name
