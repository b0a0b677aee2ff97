"""The JSON Schema of the target form, for editors: completion, descriptions on hover, red lines while typing.

It says what a schema can say; `manifest_reader` knows more (what files there are, what weights total). Types come from the models, so that
the two cannot drift apart; the words are here. May import `domain.manifest` and `domain.reading.blocks`.
"""

from typing import Any

from pydantic import BaseModel

from aml_canary.domain.manifest import Deployment, Endpoint, Rollout
from aml_canary.domain.reading.blocks import DataCollector, Identity, InlineEnvironment, InlineModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_EVERYWHERE = {
    "name": "Its name.",
    "version": "Its version. An inline block is uploaded anonymously all the same.",
    "description": "A sentence for people.",
    "tags": "Tags: text to text. Put numbers, dates and yes/no in quotes.",
    "properties": "Properties: text to text. Azure lets them be added, not changed or removed.",
}
_WORDS = {
    "Endpoint.name": "The endpoint: 3 to 32 of a-z, 0-9 and single dashes, a letter first, unique in its Azure region. Kept in lower case.",
    "Endpoint.auth_mode": "How clients sign in. Changing it on a live endpoint breaks its clients.",
    "Endpoint.traffic": "Where the rollout ends: whole percentages of live traffic by deployment, 100 in total. Left out: live traffic stays as it is.",
    "Endpoint.mirror_traffic": "A copy of up to 50 % of live traffic to one deployment without live traffic; its answers are thrown away.",
    "Endpoint.identity": "As whom the endpoint reaches other Azure resources. Fixed when the endpoint is created.",
    "Endpoint.public_network_access": "Whether the endpoint answers from outside of its virtual network.",
    "Deployment.model": "A registered model, `azureml:<name>:<version>`, or a block with the path of its files.",
    "Deployment.code_configuration": "The scoring code. Not needed for MLflow models.",
    "Deployment.environment": "A registered environment, `azureml:<name>:<version>`, or a block with image and conda file.",
    "Deployment.environment_variables": "Text to text. Put numbers and yes/no in quotes.",
    "Deployment.instance_type": "The size of each instance, such as `Standard_F4s_v2`.",
    "Deployment.instance_count": "How many instances, 1 to 50. Azure keeps a fifth more of the quota for upgrades.",
    "Deployment.request_settings": "How one instance takes requests.",
    "Deployment.liveness_probe": "When an instance counts as dead and is restarted.",
    "Deployment.readiness_probe": "When an instance counts as ready for requests.",
    "Deployment.app_insights_enabled": "Whether requests are traced to Application Insights.",
    "Deployment.egress_public_network_access": "Whether the model may reach the internet.",
    "Deployment.model_mount_path": "Where the model's files are mounted in the container, if not at the default place.",
    "Deployment.data_collector": "What Azure keeps of requests and answers.",
    "CodeConfiguration.code": "The code's folder, relative to this file; or `azureml:<name>:<version>`. The manifest itself must not be in it.",
    "CodeConfiguration.scoring_script": "The script with `init()` and `run()`, relative to `code`.",
    "RequestSettings.request_timeout_ms": "After this many milliseconds a request is given up; at most 180000.",
    "RequestSettings.max_concurrent_requests_per_instance": "More than twice as many at once, and an instance answers 429.",
    "RequestSettings.max_queue_wait_ms": "Deprecated by Azure: how long a request may wait in the queue.",
    "Probe.initial_delay": "Seconds before the first probe.",
    "Probe.period": "Seconds between probes.",
    "Probe.timeout": "Seconds until a probe counts as failed.",
    "Probe.success_threshold": "Successes in a row that are needed after a failure.",
    "Probe.failure_threshold": "Failures in a row after which the instance is given up.",
    "Rollout.steps": "The canary's percentages of live traffic on the way, rising. The manifest's own traffic is always the last.",
    "Rollout.smoke": "Requests that a deployment must answer rightly before it may get live traffic. At least one.",
    "Rollout.judge": "How a canary with live traffic is judged. On, with these values, where nothing is said.",
    "Rollout.approvals": "Where a person is asked, and whose answer counts.",
    "Rollout.retire": "What becomes of a live deployment that the manifest no longer names.",
    "Rollout.on_failure": "When a stage fails otherwise than by a bad canary: `hold` traffic and call for a person, or go back (`rollback`).",
    "Rollout.on_new_commit": "When a newer commit comes during a rollout: it takes over, through the old traffic (`supersede`), or waits (`queue`), or fails.",
    "Rollout.drift": "When somebody changed what a rollout had promoted: say so (`report`), or also put promoted traffic back where it is safe (`heal`).",
    "Rollout.freeze": "When nothing is started or promoted. Going back is never frozen.",
    "Rollout.depends_on": "Endpoints of this repository that have to be as git wants them first.",
    "Freeze.start": "`Fri 16:00` for every week, or `2026-12-20T18:00` for once.",
    "Freeze.end": "As `start`.",
    "Freeze.zone": "The time zone of both, such as `Europe/Berlin`.",
    "Smoke.requests": "The requests.",
    "SmokeRequest.file": "A file with one request's body as JSON, relative to this file.",
    "SmokeRequest.expect": "What must come back. A 200 with a wrong body is a failure.",
    "Expect.schema": "JSON Schema 2020-12 that the answer must satisfy.",
    "Expect.equals": "The answer itself, numbers within `tolerance`.",
    "Expect.tolerance": "How far numbers may be from `equals`, absolutely.",
    "Expect.max_latency_ms": "How long one answer may take.",
    "Approvals.before": "`traffic`: first live traffic and each later share; `full`: all of it; `retire`: deleting what is replaced.",
    "Approvals.approvers": "Whose approval counts: logins on the git host, without @. None named: anybody's in Prefect, and no comment.",
    "Approvals.author_may_approve": "Whether who wrote or pushed the commit may approve it.",
    "Approvals.require_verified": "Whether only a comment `/canary approve` on the git host counts, by one of `approvers`.",
    "Approvals.timeout_hours": "How long an answer is waited for.",
    "Approvals.on_timeout": "What then: the rollout ends, live traffic back on stable (`reject`); or all stays, and Retry asks again (`hold`).",
    "Judge.enabled": "Whether a canary with live traffic is judged at all.",
    "Judge.confidence": "How often a healthy canary may be failed by mistake: `careful` 0.1 %, `normal` 1 %, `fast` 5 % of bakes. Each traffic step has one.",
    "Judge.least_minutes": "How long a traffic step bakes at least, however good it looks.",
    "Judge.longest_minutes": "When a traffic step stops baking without a verdict.",
    "Judge.on_inconclusive": "What then: ask a person (`ask`), stop and keep traffic (`hold`), go on (`proceed`), or go back (`rollback`).",
    "Judge.tolerated_error_percent": "It passes when its share of errors is surely less than this many points above stable's.",
    "Judge.tolerated_slowdown": "It passes when its latency is surely less than this many times stable's.",
    "Judge.limits": "What no canary may exceed, however bad stable is.",
    "Judge.quality": "How good answers are, beyond their status.",
    "Limits.error_percent": "The largest share of errors, in percent.",
    "Limits.p50_ms": "The largest median latency.",
    "Limits.p95_ms": "The largest 95th percentile of the latency.",
    "Quality.function": "Dotted name of a Python function `(request, response) -> value`; higher is better.",
    "Quality.least_agreement_percent": "The share of the smoke requests to which canary and stable have to give equal answers.",
    "Retire.delete": "Delete it once it is without traffic, or keep it.",
    "Retire.keep_for_minutes": "How long it is kept after its last request, to go back to.",
    "InlineModel.path": "The model's file or folder, relative to this file, or an `azureml://` path.",
    "InlineModel.type": "What kind of model it is; MLflow models need neither code nor environment.",
    "InlineEnvironment.image": "The image below the conda packages. Name a dated tag rather than `latest`.",
    "InlineEnvironment.conda_file": "A conda file, relative to this file, or its content.",
    "InlineEnvironment.build": "A folder to build the image from, instead of `image`.",
    "InlineEnvironment.inference_config": "The routes of an image that brings its own server.",
    "InlineEnvironment.os_type": "The image's operating system.",
    "Build.path": "The folder, relative to this file.",
    "Build.dockerfile_path": "The Dockerfile in it.",
    "InferenceConfig.liveness_route": "Answers 200 while the server lives.",
    "InferenceConfig.readiness_route": "Answers 200 when the server is ready.",
    "InferenceConfig.scoring_route": "Takes the requests.",
    "Route.port": "The port in the container.",
    "Route.path": "The URL's path.",
    "DataCollector.collections": "What is collected: `model_inputs`, `model_outputs`, or names of your own.",
    "DataCollector.rolling_rate": "How often a new file is begun.",
    "DataCollector.sampling_rate": "The share that is kept, 0 to 1.",
    "DataCollector.request_logging": "Logging of request headers.",
    "RequestLogging.capture_headers": "The headers that are logged.",
    "Collection.enabled": "Whether this is collected.",
    "Collection.data": "Where it is written.",
    "Collection.client_id": "The identity that writes it.",
    "Asset.path": "Its path in the datastore.",
    "Asset.data_id": "The id of a registered data asset.",
    "Identity.type": "Azure's own identity for the endpoint, one of yours, or none.",
    "Identity.user_assigned_identities": "The one identity of yours.",
    "UserAssignedIdentity.resource_id": "Its resource id.",
    "UserAssignedIdentity.client_id": "Its client id.",
    "UserAssignedIdentity.object_id": "Its object id.",
}


def manifest_json_schema() -> dict[str, Any]:
    """The schema as one self-contained JSON value."""
    definitions: dict[str, Any] = {}
    for model in (Endpoint, Deployment, Rollout, InlineModel, InlineEnvironment, DataCollector, Identity):
        definitions |= _definitions(model)
    for field, block in (("model", "InlineModel"), ("environment", "InlineEnvironment")):
        definitions["Deployment"]["properties"][field]["anyOf"] = [{"type": "string"}, {"$ref": f"#/$defs/{block}"}]
    definitions["Endpoint"]["properties"]["identity"]["$ref"] = "#/$defs/Identity"
    definitions["Deployment"]["properties"]["data_collector"]["$ref"] = "#/$defs/DataCollector"
    # The name is the key in `deployments`; Azure's own files may say it again, and which endpoint and kind it is.
    definitions["Deployment"]["required"].remove("name")
    definitions["Deployment"]["properties"] |= {
        "name": {"type": "string", "description": "The key says it already; if given, it must agree."},
        "endpoint_name": {"type": "string", "description": "The endpoint's name; if given, it must agree."},
        "type": {"const": "managed", "description": "Only managed deployments are rolled out here."},
    }
    definitions["Rollout"]["required"] = ["smoke"]
    return {
        "$schema": DIALECT,
        "title": "aml-canary manifest",
        "description": "One Azure ML online endpoint as git wants it, and how to get there.",
        "type": "object",
        "additionalProperties": False,
        "required": ["endpoint", "deployments", "rollout"],
        "properties": {
            "$schema": {"type": "string", "description": "The address of this schema, for editors."},
            "endpoint": {"$ref": "#/$defs/Endpoint", "description": "The endpoint, with the field names of Azure's v2 YAML."},
            "deployments": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"$ref": "#/$defs/Deployment"},
                "propertyNames": {"pattern": "^[A-Za-z](-?[A-Za-z0-9])*$", "minLength": 3, "maxLength": 32},
                "description": "The deployments by name, with the field names of Azure's v2 YAML.",
            },
            "rollout": {"$ref": "#/$defs/Rollout", "description": "How to get there: steps, smoke requests, approvals."},
        },
        "$defs": dict(sorted(definitions.items())),
    }


def _definitions(model: type[BaseModel]) -> dict[str, Any]:
    """The model's schema and those it refers to, by name, in words for people."""
    schema = model.model_json_schema()
    found = {**schema.pop("$defs", {}), model.__name__: schema}
    for name, definition in found.items():
        definition.pop("title", None)
        for field, value in definition["properties"].items():
            _tidy(value)
            value["description"] = _WORDS.get(f"{name}.{field}") or _EVERYWHERE.get(field, "")
    return found


def _tidy(value: dict[str, Any]) -> None:
    """Drop pydantic's titles, and the null that only means that a key may be left out."""
    value.pop("title", None)
    if value.get("default", 0) is None or isinstance(value.get("default"), dict):
        value.pop("default")
    kept = [option for option in value.get("anyOf", []) if option != {"type": "null"}]
    if "anyOf" in value and len(kept) == 1:
        value.pop("anyOf")
        value |= kept[0]
    elif kept:
        value["anyOf"] = kept
