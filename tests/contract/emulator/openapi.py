"""Microsoft's OpenAPI description of online endpoints as JSON schemas, and the check of an answer against it.

The description is Swagger 2.0, so its words are turned into JSON Schema's: `x-nullable`, discriminators, and `allOf` with
closed members. Stricter than the description in one way: no property may be there that it does not name.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from jsonschema import Draft202012Validator, FormatChecker
from requests.structures import CaseInsensitiveDict

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "reference" / "arm-spec"
MISSING = "the official OpenAPI description is not beside this checkout (../shared/reference/arm-spec)"
# For answers to api-versions that we have no description of; the client mixes several.
DEFAULT_VERSION = "2023-04-01"
DURATION = re.compile(r"P(?=.)(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
FORMATS = FormatChecker(["uuid"])
FORMATS.checks("duration")(lambda value: not isinstance(value, str) or DURATION.fullmatch(value) is not None)
FORMATS.checks("date-time", raises=ValueError)(lambda value: not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None)
FORMATS.checks("uri")(lambda value: not isinstance(value, str) or bool(urlsplit(value).scheme and urlsplit(value).netloc))


class Description:
    def __init__(self, text: str):
        whole = json.loads(text)
        self.definitions: dict[str, Any] = whole["definitions"]
        self.operations = [
            (method.upper(), re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path), re.IGNORECASE), operation)
            for path, methods in whole["paths"].items()
            for method, operation in methods.items()
        ]
        self.heirs = {
            definition["x-ms-discriminator-value"]: name
            for name, definition in self.definitions.items()
            if "x-ms-discriminator-value" in definition
        }
        self.schemas = {name: self._converted(self._flat(name)) for name in self.definitions}

    def find(self, method: str, path: str) -> Any:
        for known, pattern, operation in self.operations:
            if known == method and pattern.fullmatch(path):
                return operation
        return None

    def validator(self, schema: Any) -> Draft202012Validator:
        converted = self._converted(schema) | {"$defs": self.schemas}
        return Draft202012Validator(converted, format_checker=FORMATS)

    def _flat(self, name: str) -> dict[str, Any]:
        """A definition with those it inherits from: closed parents would each refuse what the others allow."""
        whole: dict[str, Any] = copy.deepcopy(self.definitions[name])
        for parent in whole.pop("allOf", []):
            inherited = self._flat(parent["$ref"].rsplit("/", 1)[1])
            whole["properties"] = {**inherited.get("properties", {}), **whole.get("properties", {})}
            whole["required"] = sorted({*inherited.get("required", []), *whole.get("required", [])})
        if "properties" in whole:
            whole["additionalProperties"] = False
        return whole

    def _converted(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._converted(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        nullable = schema.get("x-nullable", False)
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            key = self.definitions[name].get("discriminator")
            result: dict[str, Any] = {"$ref": f"#/$defs/{name}"}
            if key is not None:
                result = {"anyOf": self._heirs_of(name, key)}
        else:
            words = {k: v for k, v in schema.items() if k not in ("description", "discriminator") and not k.startswith("x-")}
            result = {k: self._properties(v) if k == "properties" else self._converted(v) for k, v in words.items()}
        return {"anyOf": [result, {"type": "null"}]} if nullable else result

    def _properties(self, properties: dict[str, Any]) -> dict[str, Any]:
        return {name: self._converted(value) for name, value in properties.items()}

    def _heirs_of(self, name: str, key: str) -> list[Any]:
        found = []
        for value, heir in self.heirs.items():
            if any(parent["$ref"].endswith(f"/{name}") for parent in self.definitions[heir].get("allOf", [])):
                found.append({"allOf": [{"$ref": f"#/$defs/{heir}"}, {"properties": {key: {"const": value}}, "required": [key]}]})
        return found


@cache
def description(version: str) -> Description:
    path = FOLDER / f"{version}.online-only.json"
    return Description((path if path.exists() else FOLDER / f"{DEFAULT_VERSION}.online-only.json").read_text())


def check(method: str, url: str, status: int, headers: Any, text: str) -> tuple[str | None, list[str]]:
    """The official name of the operation, None when it is not one of these, and what is untrue about the answer."""
    parts = urlsplit(url)
    known = description(parse_qs(parts.query).get("api-version", [DEFAULT_VERSION])[0])
    operation = known.find(method, parts.path)
    if operation is None:
        return None, []
    return operation["operationId"], [
        f"{method} {parts.path} {status}: {wrong}" for wrong in _wrong(known, operation, status, headers, text)
    ]


def _wrong(known: Description, operation: Any, status: int, headers: Any, text: str) -> Iterator[str]:
    if status == 501:
        status_schema = operation["responses"]["default"]
    elif str(status) in operation["responses"]:
        status_schema = operation["responses"][str(status)]
    elif status >= 400:
        status_schema = operation["responses"]["default"]
    else:
        yield f"status {status} is not described"
        return
    for name in status_schema.get("headers", {}):
        # Described everywhere, and absent from every recording of the service.
        if name != "Retry-After" and name not in headers and operation["operationId"] != "OnlineEndpoints_RegenerateKeys":
            yield f"header {name} is missing"
    if "schema" not in status_schema:
        if text not in ("", "null"):
            yield f"has a body, which is not described: {text[:200]}"
        return
    try:
        body = json.loads(text)
    except ValueError:
        yield f"is no JSON: {text[:200]}"
        return
    for error in known.validator(status_schema["schema"]).iter_errors(body):
        deepest = max([error, *_inner(error)], key=lambda one: len(one.absolute_path))
        yield f"{deepest.json_path}: {deepest.message[:300]}"


def _inner(error: Any) -> Iterator[Any]:
    for inner in error.context or ():
        yield inner
        yield from _inner(inner)


def checked(answers: Path) -> tuple[set[str], list[str]]:
    """Of answers written down by `aml-emulator start --answers`: the operations they are of, and what is untrue about them."""
    described: set[str] = set()
    untrue: list[str] = []
    for line in answers.read_text().splitlines():
        said = json.loads(line)
        url = f"https://127.0.0.1{said['path']}?{urlencode(said['query'])}"
        name, wrong = check(said["method"], url, said["status"], CaseInsensitiveDict(said["headers"]), said["body"])
        if name is not None:
            described.add(name)
            untrue += wrong
    return described, untrue


def insist_on_true_answers(answers: Path) -> None:
    """Answers are as Microsoft describes them, and there are some; nothing where its description is not at hand."""
    if FOLDER.exists():
        described, untrue = checked(answers)
        assert described
        assert untrue == []


class Recorder:
    """Notes every answer that a `requests` session of this process gets, which is how Microsoft's client asks too."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        self.untrue: list[str] = []

    def note(self, response: requests.Response) -> None:
        request = response.request
        name, wrong = check(str(request.method), str(request.url), response.status_code, response.headers, response.text)
        if name is not None:
            self.seen.add((name, response.status_code))
            self.untrue += wrong

    def taken(self) -> list[str]:
        untrue, self.untrue = self.untrue, []
        return untrue
