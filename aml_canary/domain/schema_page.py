"""The manifest's reference as a markdown page: every block, key, type, default, range and meaning, out of the JSON Schema.

The words are in `schema`; what a schema cannot say is in `manifest_reader`. May import `domain.schema`.
"""

import json
from collections.abc import Iterator
from typing import Any

from aml_canary.domain.schema import manifest_json_schema

Node = dict[str, Any]

_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("pattern", "matching `{}`"),
)
_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}

_HEAD = """\
# Manifest reference

Every key of the target form. Made from the model by `aml-canary schema --format markdown`; do not edit it here.
What the other two forms are, and where files are looked for, is in [git.md](git.md#three-forms).
`aml-canary schema` prints the same as JSON Schema, for editors.

- `endpoint` and `deployments` have the names and defaults of Azure's v2 YAML; `rollout` is ours. In Azure's split files each of the three is a file.
- An unknown key is an error that names the nearest known one. Paths are relative to the manifest.
- `aml-canary validate` also checks what a schema cannot say: that files exist, that weights total 100 and name deployments, that a smoke request is JSON.
- In a path, `<name>` stands for a name of yours, and `[]` for each element of a list.
"""


def manifest_page() -> str:
    """The whole page."""
    schema = manifest_json_schema()
    return "\n".join([_HEAD, *(_section(paths, node) for paths, node in _blocks(schema))])


def _blocks(schema: Node) -> Iterator[tuple[list[str], Node]]:
    """Each block once, outside in, with every path that it stands at."""
    definitions = schema["$defs"]
    found: dict[str, list[str]] = {}

    def walk(name: str, path: str) -> None:
        found.setdefault(name, []).append(path)
        for key, value in definitions[name]["properties"].items():
            for child, suffix in _references(value):
                walk(child, f"{path}.{key}{suffix}")

    for key, value in schema["properties"].items():
        for child, suffix in _references(value):
            walk(child, f"{key}{suffix}")
    yield ["The file"], schema
    for name, paths in found.items():
        yield [f"`{path}`" for path in paths], definitions[name]


def _references(node: Node) -> Iterator[tuple[str, str]]:
    """The blocks that a value is made of, and how a path goes on to them."""
    if "$ref" in node:
        yield node["$ref"].rpartition("/")[2], ""
    for option in node.get("anyOf", ()):
        yield from _references(option)
    if isinstance(node.get("items"), dict):
        yield from ((name, f"[]{rest}") for name, rest in _references(node["items"]))
    if isinstance(node.get("additionalProperties"), dict):
        yield from ((name, f".<name>{rest}") for name, rest in _references(node["additionalProperties"]))


def _section(paths: list[str], node: Node) -> str:
    needed = node.get("required", ())
    rows = [_row(key, value, key in needed) for key, value in node["properties"].items()]
    about = " ".join(node.get("description", "").split())
    return "\n".join([f"## {', '.join(paths)}\n", f"{about}\n", "| key | what | default | meaning |", "|-|-|-|-|", *rows, ""])


def _row(key: str, value: Node, needed: bool) -> str:
    default = "needed" if needed else f"`{json.dumps(value['default'])}`" if "default" in value else ""
    cells = (f"`{key}`", _kind(value), default, value.get("description", ""))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kind(node: Node) -> str:
    """What a value may be, in words."""
    if "$ref" in node:
        return "block"
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return _or([f"`{value}`" for value in node["enum"]])
    if "anyOf" in node:
        return _or(list(dict.fromkeys(_kind(option) for option in node["anyOf"])))
    if node.get("type") == "array":
        return f"list of {_each(node['items'])}"
    if node.get("type") == "object":
        inner = node.get("additionalProperties")
        return f"names to {_each(inner)}" if isinstance(inner, dict) else "mapping"
    if {"minimum", "maximum"} <= node.keys():
        return f"{_WORDS[node['type']]}, {node['minimum']} to {node['maximum']}"
    return ", ".join([_WORDS.get(str(node.get("type")), "anything"), *(text.format(node[word]) for word, text in _BOUNDS if word in node)])


def _each(node: Node) -> str:
    kind = _kind(node)
    for one, more in (("block", "blocks"), ("text", "texts"), ("whole number", "whole numbers")):
        if kind == one or kind.startswith(f"{one},"):
            return kind.replace(one, more, 1)
    return kind


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
