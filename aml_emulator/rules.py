"""Azure's rules for endpoints and deployments, checked before anything is touched. Pure: state in, errors out.

Rules come from Microsoft's documents and from errors that users quote in public; `errors` has the texts.
May import: `errors`, `shapes`, `state`, `wire`.
"""

from __future__ import annotations

import re
from typing import Any

from aml_emulator import errors, shapes
from aml_emulator.errors import AzureError
from aml_emulator.pool import Limits
from aml_emulator.shapes import mapping
from aml_emulator.state import Deployment, Endpoint
from aml_emulator.wire import Json

NAME = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{1,30}[a-zA-Z0-9])")
DURATION = re.compile(r"P(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?")
# On Azure a number for gunicorn; each of them is a process of this machine here.
WORKERS = re.compile(r"[1-9][0-9]?")
AUTH_MODES = {"key": "Key", "amltoken": "AMLToken", "aadtoken": "AADToken"}
MAX_ENDPOINTS = 100
MAX_DEPLOYMENTS = 20
MAX_INSTANCES = 50
MAX_REQUEST_TIMEOUT = 180.0


def name(kind: str, text: str) -> None:
    if not NAME.fullmatch(text):
        raise errors.bad_name(kind, text)


def seconds(text: Any, what: str) -> float:
    match = DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or not any(match.groups()):
        raise errors.malformed(f"{what} must be an ISO 8601 duration, not {text!r}")
    days, hours, minutes, rest = (float(group or 0) for group in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


# --- endpoints -----------------------------------------------------------------------------------------------------


def endpoint_body(body: Json) -> Json:
    """The properties of an endpoint PUT, with Azure's spelling of the authentication mode."""
    if not body.get("location"):
        raise errors.missing_field("Location")
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise errors.missing_field("Properties")
    mode = AUTH_MODES.get(str(properties.get("authMode", "")).lower())
    if mode is None:
        raise errors.malformed(f"authMode must be one of {', '.join(AUTH_MODES.values())}")
    shapes.endpoint(body, properties)
    if properties.get("compute") or str(body.get("kind") or "Managed").lower() != "managed":
        raise _unsupported("Kubernetes endpoints (compute)")
    return {**properties, "authMode": mode}


def traffic(properties: Json, deployments: dict[str, Deployment]) -> None:
    live = weights(properties, "traffic")
    total = sum(live.values())
    if total not in (0, 100):
        raise errors.traffic_sum(total)
    for deployment, weight in live.items():
        _exists(deployment, deployments)
        # Real behaviour unverified: one that never came up has nothing that could answer.
        if weight and not deployments[deployment].ever_succeeded:
            raise errors.traffic_not_ready(deployment, deployments[deployment].state)
    mirror = {k: v for k, v in weights(properties, "mirrorTraffic").items() if v}
    if len(mirror) > 1:
        raise errors.mirror_many()
    for deployment, weight in mirror.items():
        if weight > 50:
            raise errors.mirror_sum(weight)
        _exists(deployment, deployments)
        if live.get(deployment):
            raise errors.mirror_and_live(deployment)


def _exists(deployment: str, deployments: dict[str, Deployment]) -> None:
    if deployment not in deployments or deployments[deployment].state == "Deleting":
        raise errors.traffic_unknown(deployment)


def weights(properties: Json, key: str) -> dict[str, int]:
    result: dict[str, int] = {}
    for deployment, value in mapping(properties.get(key), key).items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
            raise errors.traffic_value(deployment, value)
        if deployment.lower() in result:
            raise errors.malformed(f"{key} names deployment {deployment} twice")
        result[deployment.lower()] = value
    return result


def endpoint_free(endpoint: Endpoint) -> None:
    if endpoint.busy:
        raise errors.busy("endpoint", endpoint.name, endpoint.state)


# --- deployments ---------------------------------------------------------------------------------------------------


def deployment_place(endpoint: Endpoint, deployment: Deployment | None, text: str) -> None:
    """May this endpoint take a PUT of this deployment now?"""
    if endpoint.busy:
        raise errors.endpoint_busy(endpoint.name, endpoint.state)
    if not endpoint.ever_succeeded:
        raise errors.endpoint_not_created(endpoint.name)
    if deployment is None:
        name("deployment", text)
        if len(endpoint.deployments) >= MAX_DEPLOYMENTS:
            raise errors.out_of_limit(f"Endpoint [{endpoint.name}] has its limit of {MAX_DEPLOYMENTS} deployments.")
        return
    deployment_free(deployment)
    if not deployment.ever_succeeded:
        raise errors.unrecoverable(deployment.name)


def deployment_free(deployment: Deployment) -> None:
    if deployment.busy:
        raise errors.busy("deployment", deployment.name, deployment.state)


def deployment_body(body: Json) -> Json:
    if not body.get("location"):
        raise errors.missing_field("Location")
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise errors.missing_field("Properties")
    if str(properties.get("endpointComputeType", "")).lower() != "managed":
        raise _unsupported("endpointComputeType other than Managed")
    if not properties.get("instanceType"):
        raise errors.missing_field("InstanceType")
    code = mapping(properties.get("codeConfiguration"), "codeConfiguration")
    if code and not properties.get("environmentId"):
        raise _unsupported("a scoring script without an environment")
    # What is no code may be an MLflow model: `Provision.assets` looks at that.
    if not (code.get("codeId") and code.get("scoringScript") if code else properties.get("model")):
        raise custom_container()
    if str(mapping(properties.get("scaleSettings"), "scaleSettings").get("scaleType", "Default")) != "Default":
        raise errors.invalid("Managed online deployments support scale type Default only.")
    for key, value in mapping(properties.get("environmentVariables"), "environmentVariables").items():
        if not isinstance(value, str) or not _is_environment(value) or not _is_environment(key) or "=" in key or not key:
            raise errors.malformed(f"environmentVariables.{key} must be a string that a process can have in its environment")
    workers = properties.get("environmentVariables") or {}
    if not WORKERS.fullmatch(workers.get("WORKER_COUNT", "1")):
        raise errors.invalid("WORKER_COUNT must be a whole number from 1 to 99.")
    shapes.deployment(body, properties)
    if properties.get("dataCollector"):
        raise _unsupported("data collection (dataCollector)")
    if not all(isinstance(code.get(key, ""), str) for key in ("codeId", "scoringScript")):
        raise errors.malformed("codeConfiguration must hold strings")
    if "\0" in code.get("scoringScript", ""):
        raise errors.malformed("scoringScript must be the path of a file")
    limits(properties)
    for probe in ("livenessProbe", "readinessProbe"):
        probe_times(properties, probe)
    capacity(mapping(body.get("sku"), "sku"))
    return properties


def _is_environment(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def custom_container() -> AzureError:
    return _unsupported("a deployment without codeConfiguration that is no MLflow model (custom container)")


def _unsupported(what: str) -> AzureError:
    return AzureError(501, "NotImplemented", f"aml-emulator does not support {what}.")


def capacity(sku: Json) -> int:
    value = sku.get("capacity", 1)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_INSTANCES:
        raise errors.out_of_limit(f"Instance count [{value}] must be between 1 and {MAX_INSTANCES}.")
    return value


def limits(properties: Json) -> Limits:
    settings = mapping(properties.get("requestSettings"), "requestSettings")
    concurrent = settings.get("maxConcurrentRequestsPerInstance", 1)
    if isinstance(concurrent, bool) or not isinstance(concurrent, int) or concurrent < 1:
        raise errors.invalid(f"maxConcurrentRequestsPerInstance [{concurrent}] must be a whole number of at least 1.")
    timeout = seconds(settings.get("requestTimeout") or "PT5S", "requestTimeout")
    if not 0 < timeout <= MAX_REQUEST_TIMEOUT:
        raise errors.out_of_limit(f"requestTimeout [{settings['requestTimeout']}] must be above 0 and at most PT3M.")
    return Limits(concurrent, timeout, seconds(settings.get("maxQueueWait") or "PT0.5S", "maxQueueWait"))


def probe_times(properties: Json, probe: str) -> tuple[float, float, int]:
    """Initial delay, period and number of failures of a probe."""
    settings = mapping(properties.get(probe), probe)
    failures = settings.get("failureThreshold", 30)
    if isinstance(failures, bool) or not isinstance(failures, int) or failures < 1:
        raise errors.malformed(f"{probe}.failureThreshold must be a whole number of at least 1")
    delay = seconds(settings.get("initialDelay") or "PT10S", f"{probe}.initialDelay")
    return delay, seconds(settings.get("period") or "PT10S", f"{probe}.period"), failures


def deletable(endpoint: Endpoint, deployment: Deployment) -> None:
    endpoint_free(endpoint)
    deployment_free(deployment)
    key = deployment.name.lower()
    # Mirrored copies count as traffic too: the endpoint still names the deployment.
    if endpoint.traffic.get(key) or endpoint.mirror.get(key):
        raise errors.delete_with_traffic(deployment.name)
