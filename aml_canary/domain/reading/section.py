"""A YAML file that was read, and parts of it that still know where they stand.

Every check names file, line and field through `Section.finding`, so a form that moves fields about (the legacy form does) keeps pointing
at what the author wrote. Not here: reading (`yaml_reader`) and rules. May import the standard library and `domain.findings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aml_canary.domain.findings import Finding, Severity

Path = tuple[str | int, ...]
LONGEST = 600  # Characters of a finding's message or remedy, so that a report of many stays readable.


@dataclass(frozen=True)
class Document:
    """One YAML file. `lines` and `written` go by path: the line of a field, and a scalar as it stands in the file."""

    file: str
    value: dict[str, Any]
    lines: Mapping[Path, int]
    written: Mapping[Path, str]

    def section(self) -> "Section":
        """The whole file."""
        return Section(self, (), self.value)


@dataclass(frozen=True)
class Section:
    """The part of a file at `path`, with its `value`; `moved` says where converted fields really stand in the file."""

    document: Document
    path: Path
    value: Any
    moved: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def file(self) -> str:
        return self.document.file

    @property
    def mapping(self) -> dict[str, Any]:
        """The value where it is a mapping, else an empty one: checks of fields then simply find none."""
        return self.value if isinstance(self.value, dict) else {}

    def at(self, *path: str | int) -> "Section":
        """The section below this one."""
        value: Any = self.value
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return Section(self.document, self.origin(path), value)

    def having(self, value: Any) -> "Section":
        """The same place with another value."""
        return replace(self, value=value)

    def origin(self, path: Path) -> Path:
        """Where in the file the field `path` of this section stands."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.moved:
                return self.moved[path[:end]] + path[end:]
        return self.path + path

    def written(self, path: Path) -> str | None:
        """The scalar at `path` as the author wrote it, where it is one."""
        return self.document.written.get(self.origin(path))

    def finding(self, path: Path, rule: str, message: str, remedy: str, severity: Severity = "error") -> Finding:
        """A finding about the field `path` of this section; the line is that of the nearest enclosing field that exists."""
        origin = self.origin(path)
        line = next((self.document.lines[origin[:n]] for n in range(len(origin), -1, -1) if origin[:n] in self.document.lines), 0)
        return Finding(self.file, line, short(dotted(origin)), rule, short(message), short(remedy), severity)


def short(text: str) -> str:
    """The text as far as anybody would read it: findings quote what stands in a file, and that can be anything."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def dotted(path: Path) -> str:
    """`("requests", 0, "file")` as `requests[0].file`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
