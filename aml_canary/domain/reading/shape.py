"""Whether a section has the fields and types of a model: pydantic decides, this module says it to people.

Every key that is not Azure's v2 gets the most helpful name for what it is: renamed since, read-only, for Kubernetes only, or just mistyped.
Rules between fields are not here. May import pydantic, `domain.manifest` and its neighbours here.
"""

import json
import types
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aml_canary.domain.findings import Finding
from aml_canary.domain.reading.section import Path, Section
from aml_canary.domain.reading.yaml_reader import kind_of

M = TypeVar("M", bound=BaseModel)

AUTOSCALE = (
    "Set `instance_count`, and let an Azure Monitor autoscale setting (Microsoft.Insights/autoscaleSettings) on the deployment change it; "
    "a count that such a setting owns is left alone."
)
RENAMED = {
    "sku": "instance_type",
    "local_path": "path",
    "code_reference": "code_configuration",
    "scale": "instance_count",
    "request": "request_settings",
    "env_vars": "environment_variables",
    "env": "environment",
    "initial_delay_seconds": "initial_delay",
    "period_seconds": "period",
    "timeout_seconds": "timeout",
    "docker": "image",
    "min_instances": "instance_count",
    "max_instances": "instance_count",
}
READ_ONLY = (
    "id",
    "provisioning_state",
    "creation_context",
    "scoring_uri",
    "openapi_uri",
    "swagger_uri",
    "location",
    "kind",
    "principal_id",
)
KUBERNETES = ("compute", "target", "infrastructure", "resources", "resource_requirements")
RULES: dict[Path, tuple[str, str]] = {
    ("traffic",): ("traffic-weight", "Weights are whole numbers from 0 to 100."),
    ("mirror_traffic",): ("traffic-weight", "Shares are whole numbers from 0 to 50."),
    ("instance_count",): ("instance-count", "A managed deployment has 1 to 50 instances."),
    ("request_settings", "request_timeout_ms"): ("request-timeout", "Milliseconds, from 1 to 180000, such as 5000."),
    ("approvals", "approvers"): ("approver", "Write a list of logins on the git host, without @, such as [ada, grace]."),
    ("steps",): ("step-value", "Steps are whole percentages from 1 to 100, such as [10, 50]."),
}
WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
}


def check(model: type[M], section: Section, value: Mapping[str, Any]) -> tuple[M | None, list[Finding]]:
    """`value`, which stands at `section`, as the model; or everything that keeps it from being one."""
    try:
        # As JSON, because there a list may become a tuple although types are strict otherwise.
        return model.model_validate_json(json.dumps(value), by_alias=True, by_name=False), []
    except ValidationError as error:
        found: dict[Path, Finding] = {}
        for detail in error.errors(include_url=False):
            path = _path(detail, value)
            # A union complains once for each of its members; the first is enough.
            found.setdefault(path, _finding(model, section, path, detail))
        return None, list(found.values())


def _path(detail: ErrorDetails, value: Any) -> Path:
    """The error's place, without the names of union members that pydantic adds to it."""
    path: list[str | int] = []
    for step in detail["loc"]:
        inside = (isinstance(value, dict) and step in value) or (isinstance(value, list) and isinstance(step, int) and step < len(value))
        if not inside:
            return (*path, step) if detail["type"] == "missing" and step == detail["loc"][-1] else tuple(path)
        path.append(step)
        value = value[step]
    return tuple(path)


def _finding(model: type[BaseModel], section: Section, path: Path, detail: ErrorDetails) -> Finding:
    kind, last = detail["type"], str(path[-1]) if path else ""
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(section, path, known_keys(model, path[:-1]))
    if kind == "missing":
        return section.finding(path, "missing-key", f"`{last}` is required here", f"Add `{last}: …`.")
    raw = (section.written(path) or kind_of(detail["input"]))[:60]
    shown = f'"{raw}"' if isinstance(detail["input"], str) else raw
    named = RULES.get(path[:1]) or RULES.get(path[:2])
    if named is not None:
        return section.finding(path, named[0], f"`{shown}` is not allowed here", named[1])
    if kind == "literal_error":
        allowed = [word.strip("'") for word in str(context.get("expected", "")).replace(" or ", ", ").split(", ")]
        return section.finding(path, "not-allowed", f"`{shown}` is none of {', '.join(allowed)}", _nearest(shown, allowed))
    if kind in WANTED or kind.endswith("_type"):
        wanted = WANTED.get(kind, "a block of `key: value` lines")
        message = f"{kind_of(detail['input'])} stands here where {wanted} is expected"
        return section.finding(path, "wrong-type", message, _type_remedy(section, path, wanted, detail["input"]))
    limits = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "min_length": "at least", "max_length": "at most"}
    for key, words in limits.items():
        if key in context:
            return section.finding(path, "out-of-range", f"`{shown}` is out of range", f"It must be {words} {context[key]:g}.")
    return section.finding(path, "wrong-value", detail["msg"], "Correct this value.")


def _type_remedy(section: Section, path: Path, wanted: str, given: Any) -> str:
    raw = section.written(path)
    if wanted == "text" and raw and not isinstance(given, str):
        return f'Put it in quotes: "{raw}"'
    if wanted == "a list" and raw:
        return f"Write [{raw}]."
    if isinstance(given, str) and wanted in ("a whole number", "a number", "true or false"):
        return f"Write {wanted}, without quotes."
    return f"Write {wanted}, or remove the key."


def unknown_key(section: Section, path: Path, known: list[str]) -> Finding:
    """The finding for a key that has no meaning at `path`, where `known` have one."""
    key = str(path[-1])
    if key in ("scale_settings", "scale_type", "target_utilization_percentage"):
        return section.finding(path, "autoscale", f"`{key}` has no effect on a managed deployment", AUTOSCALE)
    if key in RENAMED:
        return section.finding(path, "legacy-key", f"`{key}` is from before Azure's v2", f"The v2 key is `{RENAMED[key]}`.")
    if key in READ_ONLY:
        return section.finding(path, "read-only-key", f"`{key}` is for Azure to say, not for a manifest", "Remove it.")
    if key in KUBERNETES:
        message = f"`{key}` is for Kubernetes endpoints; this project rolls out managed ones"
        return section.finding(path, "kubernetes-only", message, "Remove it; the machine is `instance_type`.")
    if key == "private_network_connection":
        return section.finding(path, "unsupported-key", f"`{key}` is experimental in Azure and not supported here", "Remove it.")
    return section.finding(path, "unknown-key", f"`{key}` is not a key here", _nearest(key, known))


def _nearest(word: str, known: list[str]) -> str:
    near = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"Did you mean `{near[0]}`?" if near else f"Known here: {', '.join(known)}."


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that `model` knows at `path`, as authors write them."""
    here: Any = model
    for step in path:
        here = _inside(here, step)
    found = next((member for member in _members(here) if isinstance(member, type) and issubclass(member, BaseModel)), None)
    if found is None:
        return []
    return [str(field.validation_alias or name) for name, field in found.model_fields.items()]


def _inside(annotation: Any, step: str | int) -> Any:
    """The type of what `step` leads to."""
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel) and step in member.model_fields:
            return member.model_fields[str(step)].annotation
        if get_origin(member) is tuple:
            return get_args(member)[0]
        if get_origin(member) is Mapping:
            return get_args(member)[1]
    return None


def _members(annotation: Any) -> list[Any]:
    """A union's members, looked at through `Annotated`."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation]
