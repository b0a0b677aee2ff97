"""Of which kind the values of a request body must be. Pure. Not here: what they may say (`rules`).

What goes in here is shown to every reader, so a number where Azure has a text would be a lie to all of them.
May import: `errors`, `wire`.
"""

from __future__ import annotations

from typing import Any

from aml_emulator import errors
from aml_emulator.wire import Json

ENDPOINT_TEXTS = ("description", "publicNetworkAccess", "compute", "kind")
DEPLOYMENT_TEXTS = ("description", "instanceType", "environmentId", "model", "modelMountPath", "egressPublicNetworkAccess")
ASSET_TEXTS = ("description", "codeUri", "modelUri", "modelType", "condaFile", "image", "stage", "osType", "jobName")
PROBE_TEXTS = ("initialDelay", "period", "timeout")
PROBE_COUNTS = ("failureThreshold", "successThreshold")


def mapping(value: Any, what: str) -> Json:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise errors.malformed(f"{what} must be an object")
    return value


def texts(value: Any, what: str) -> dict[str, str]:
    """Such as tags: an object of strings."""
    found = mapping(value, what)
    for key, one in found.items():
        if one is not None and not isinstance(one, str):
            raise errors.malformed(f"{what}.{key} must be a string")
    return found


def _each(properties: Json, keys: tuple[str, ...], kind: type, word: str) -> None:
    for key in keys:
        value = properties.get(key)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise errors.malformed(f"{key} must be {word}")


def endpoint(body: Json, properties: Json) -> None:
    _each(body, ("location", "kind"), str, "a string")
    _each(properties, ENDPOINT_TEXTS, str, "a string")
    texts(body.get("tags"), "tags")
    texts(properties.get("properties"), "properties.properties")
    for key, value in texts(properties.get("keys"), "keys").items():
        if key in ("primaryKey", "secondaryKey") and value == "":
            raise errors.malformed(f"keys.{key} must not be empty")


def identity(value: Any) -> Json:
    found = mapping(value, "identity")
    _each(found, ("type",), str, "a string")
    mapping(found.get("userAssignedIdentities"), "identity.userAssignedIdentities")
    return found


def sku(value: Any) -> Json:
    found = mapping(value, "sku")
    _each(found, ("name", "tier", "size", "family"), str, "a string")
    return found


def deployment(body: Json, properties: Json) -> None:
    _each(body, ("location",), str, "a string")
    sku(body.get("sku"))
    texts(body.get("tags"), "tags")
    texts(properties.get("properties"), "properties.properties")
    identity(body.get("identity"))
    _each(properties, DEPLOYMENT_TEXTS, str, "a string")
    _each(properties, ("appInsightsEnabled",), bool, "true or false")
    for probe in ("livenessProbe", "readinessProbe"):
        found = mapping(properties.get(probe), probe)
        _each(found, PROBE_TEXTS, str, "an ISO 8601 duration")
        _each(found, PROBE_COUNTS, int, "a whole number")


def asset(properties: Json) -> None:
    _each(properties, ASSET_TEXTS, str, "a string")
    _each(properties, ("isArchived", "isAnonymous"), bool, "true or false")
    texts(properties.get("tags"), "tags")
    mapping(properties.get("flavors"), "flavors")
    bag = mapping(properties.get("properties"), "properties.properties")
    _each(bag, ("hash_sha256",), str, "a string")
    for key in ("contextUri", "dockerfilePath"):
        _each(mapping(properties.get("build"), "build"), (key,), str, "a string")
