"""The `rollout:` part: its shape, its smoke requests and what they expect, and the sample request that stands in where none is named.

May import jsonschema, `domain.manifest` and its neighbours here.
"""

import json
import posixpath
from itertools import pairwise
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from aml_canary.domain.findings import Finding
from aml_canary.domain.freeze import Window, problem_with
from aml_canary.domain.manifest import Rollout
from aml_canary.domain.reading import rules, shape
from aml_canary.domain.reading.files import Files
from aml_canary.domain.reading.references import local
from aml_canary.domain.reading.section import Path, Section

SAMPLE = "sample-request.json"
_FREEZE = "Such as {start: Fri 16:00, end: Mon 08:00, zone: Europe/Berlin}."
_SNIPPET = "Add to the rollout: `smoke: {requests: [{name: sample, file: sample-request.json}]}`, the file being one request as JSON."


def rollout(section: Section, files: Files, base: str, sample_folders: list[str]) -> tuple[Rollout | None, list[Finding]]:
    """The rollout that stands at `section` (its value None where the author wrote none), paths being relative to `base`.

    Without smoke requests, a file `sample-request.json` in the first of `sample_folders` that has one is the smoke request.
    """
    value: Any = {} if section.value is None else section.value
    if not isinstance(value, dict):
        return shape.check(Rollout, section, value)
    value = dict(value)
    value.pop("$schema", None)
    findings = rules.placeholders(section)
    if "smoke" not in value:
        sample = next((path for folder in sample_folders if files.is_file(path := posixpath.join(folder, SAMPLE))), None)
        if sample is not None:
            value["smoke"] = {"requests": [{"name": "sample", "file": sample}]}
            message = f"`{sample}` is the smoke request, because none is named"
            findings.append(
                section.finding(("smoke",), "smoke-sample", message, "Name it under `rollout.smoke` to say what must come back.", "note")
            )
            findings += _json(section, ("smoke",), sample, files)
    else:
        value["smoke"], more = _smoke(section, value["smoke"], files, base)
        findings += more
    steps = value.get("steps")
    if isinstance(steps, list) and any(type(a) is int and type(b) is int and a >= b for a, b in pairwise(steps)):
        ascending = sorted({step for step in steps if type(step) is int})
        findings.append(section.finding(("steps",), "steps-order", f"the steps {steps} do not rise", f"Write {ascending}."))
    result, wrong = shape.check(Rollout, section, value)
    for index, freeze in enumerate(result.freeze if result is not None else ()):
        if problem := problem_with(Window(freeze.start, freeze.end, freeze.zone)):
            findings.append(section.finding(("freeze", index), "freeze-window", problem, _FREEZE))
    if result is not None and result.approvals.require_verified and not result.approvals.approvers:
        message = "nobody could approve: `approvers` names nobody, and anybody may be able to comment on the git host"
        findings.append(section.finding(("approvals", "require_verified"), "approvers-missing", message, "Add `approvers: [<login>, …]`."))
    if result is not None and not result.smoke.requests:
        message = "no smoke request: no deployment could ever get traffic, because nothing shows that it answers rightly"
        findings.append(section.finding(("smoke",), "smoke-missing", message, _SNIPPET))
    return result, findings + wrong


def _smoke(section: Section, smoke: Any, files: Files, base: str) -> tuple[Any, list[Finding]]:
    """The smoke block with repository paths, and what is wrong with its requests."""
    requests = smoke.get("requests") if isinstance(smoke, dict) else None
    if not isinstance(requests, list):
        return smoke, []
    findings: list[Finding] = []
    changed = []
    names: set[str] = set()
    for index, request in enumerate(requests):
        path: Path = ("smoke", "requests", index)
        if isinstance(request, dict):
            request = dict(request)
            if isinstance(request.get("file"), str):
                found, wrong = local(section, (*path, "file"), request["file"], files, base, folder=False)
                findings += wrong or _json(section, (*path, "file"), found or "", files)
                request["file"] = found or request["file"]
            if isinstance(request.get("name"), str):
                if request["name"] in names:
                    message = f"two smoke requests are named `{request['name']}`"
                    findings.append(section.finding((*path, "name"), "smoke-name", message, "Give each its own name."))
                names.add(request["name"])
            expect = request.get("expect")
            if isinstance(expect, dict) and isinstance(expect.get("schema"), dict):
                findings += _schema(section, (*path, "expect", "schema"), expect["schema"])
        changed.append(request)
    return {**smoke, "requests": changed}, findings


def _json(section: Section, path: Path, file: str, files: Files) -> list[Finding]:
    """A finding where the file's content is not JSON."""
    try:
        json.loads(files.tree.read(file) or b"")
    except (ValueError, RecursionError) as error:
        message = f"`{file}` is not JSON: {error}"
        return [section.finding(path, "smoke-not-json", message, 'Write one request body, such as {"data": [[1, 2]]}.')]
    return []


def _schema(section: Section, path: Path, schema: dict[str, Any]) -> list[Finding]:
    """What is wrong with a JSON Schema, which must be usable without looking anything up elsewhere."""
    remedy = "See JSON Schema 2020-12; such as {type: array, items: {type: number}}."
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = (*path, *error.absolute_path)
        return [section.finding(place, "expect-schema", f"not a valid JSON Schema: {error.message}", remedy)]
    except RecursionError:
        return [section.finding(path, "expect-schema", "the JSON Schema is nested too deeply", remedy)]
    return [
        section.finding(
            (*path, *place), "expect-schema", f"`$ref: {reference}` leads nowhere in this schema", "Refer to `#/$defs/…` in it."
        )
        for place, reference in _references(schema, ())
        if not _leads_somewhere(schema, reference)
    ]


def _references(value: Any, path: Path) -> list[tuple[Path, str]]:
    """All `$ref` texts in a schema with their places."""
    found = []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key in ("$ref", "$dynamicRef") and isinstance(inner, str):
            found.append(((*path, key), inner))
        found += _references(inner, (*path, key))
    return found


def _leads_somewhere(schema: dict[str, Any], reference: str) -> bool:
    """Whether a JSON pointer into the schema itself finds a schema, other than the whole one (which would not end)."""
    if not reference.startswith("#/"):
        return False
    here: Any = schema
    for step in reference[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        here = here.get(key) if isinstance(here, dict) else None
    return isinstance(here, (dict, bool))
