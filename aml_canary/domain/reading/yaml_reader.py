"""YAML from strangers: bytes in; plain data with line numbers out, or findings. Never an exception, never unbounded work.

What comes out is what JSON can hold (mappings with text keys, lists, text, whole and finite numbers, true, false, null), so nothing that
YAML 1.1 guesses (`no` as false, `010` as eight, a date) slips through unsaid. What the fields mean is not here. May import yaml and the
standard library.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from aml_canary.domain.findings import Finding
from aml_canary.domain.reading.section import Document, Path, dotted, short
from aml_canary.domain.tree import Tree

MAX_BYTES = 1 << 20  # A manifest is a few kilobytes; this is where somebody committed something else under its name.
MAX_DEPTH = 64  # Deep enough for any JSON Schema; the parser recurses, so it must not be deeper.
MAX_NODES = 20_000  # Counted after aliases are expanded, which is where a few lines can become billions.

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# Each branch stops where another could begin, so that a long line of openings costs no more than its length.
PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}|\$\{[^${}]*\}|\$\([\w.-]+\)|<[A-Za-z][\w -]*>|^\$[A-Za-z_]\w*$|__[A-Z][A-Z0-9_]*__")
_CONFLICT = re.compile(r"^(<{7}|>{7}|\|{7})( .*)?$|^={7}$")
_PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_TAG = "tag:yaml.org,2002:"


def read_document(tree: Tree, file: str) -> tuple[Document | None, list[Finding]]:
    """The file as a document. Some findings leave a document to look further into; None means that there was no way to."""
    content = tree.read(file)
    if content is None:
        return None, [
            Finding(
                file, 0, "", "file-missing", "there is no such file at this commit", "Check the path; it counts from the repository's root."
            )
        ]
    text = _text(file, content)
    if isinstance(text, list):
        return None, text
    try:
        root = _Composer(text).single()
        walk = _Walk(file, text)
        value = walk.value(root, (), ())
    except _UnreadableError as refused:
        return None, [Finding(file, refused.line, "", refused.rule, refused.message, refused.remedy)]
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueError: escapes such as "\UFFFFFFFF" and %YAML numbers.
        return None, [_syntax(file, text, error)]
    if not isinstance(value, dict):
        if value is None:
            return None, [Finding(file, 0, "", "file-empty", "the file says nothing", "Write the manifest, or remove the file.")]
        remedy = "Start with `endpoint:`, `deployments:` and `rollout:`."
        return None, [
            Finding(file, 1, "", "not-a-mapping", f"the file holds {kind_of(value)} where `key: value` lines are expected", remedy)
        ]
    return Document(file, value, walk.lines, walk.written), walk.findings


def kind_of(value: object) -> str:
    """What a value is, in words for people."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a true/false value"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case dict():
            return "a block of keys"
        case _:
            return "a list"


def _text(file: str, content: bytes) -> str | list[Finding]:
    """The file's text, or what keeps it from being any."""
    if len(content) > MAX_BYTES:
        message = f"{len(content)} bytes; a manifest has at most {MAX_BYTES}"
        return [Finding(file, 0, "", "file-too-large", message, "Keep data out of the manifest; refer to files instead.")]
    if content.startswith(LFS_POINTER):
        return [
            Finding(
                file, 1, "", "lfs-pointer", "the file is a git-lfs pointer, not a manifest", "Remove *.yml from git-lfs: `git lfs untrack`."
            )
        ]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [Finding(file, line, "", "file-encoding", "the file is not UTF-8 text", "Save it as UTF-8.")]
    marks = [number for number, line in enumerate(text.splitlines(), 1) if _CONFLICT.match(line)]
    if marks:
        message = f"a merge conflict was committed (marker lines: {', '.join(map(str, marks[:8]))}{', …' if marks[8:] else ''})"
        return [Finding(file, marks[0], "", "conflict-markers", message, "Resolve the conflict, remove the marker lines and commit again.")]
    return text


def _syntax(file: str, text: str, error: Exception) -> Finding:
    """PyYAML's complaint, with its line; an unrendered template is named as what it is."""
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 0
    lines = text.splitlines()
    if 0 < line <= len(lines) and (found := PLACEHOLDER.search(lines[line - 1])):
        return Finding(file, line, "", "placeholder", short(f"`{found[0]}` is a template placeholder"), "Commit the rendered value.")
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    remedy = (
        "Indent with spaces, not tabs." if "\\t" in str(problem) else "Look at this line and the one before: indentation, colons, quotes."
    )
    return Finding(file, line, "", "yaml-syntax", f"not valid YAML: {problem}", remedy)


class _UnreadableError(Exception):
    """Reading stops here: going on would be unbounded, or unsafe."""

    def __init__(self, node: yaml.Node | yaml.Event | None, rule: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.line = node.start_mark.line + 1 if node is not None and node.start_mark else 0
        self.rule, self.message, self.remedy = rule, message, remedy


class _Composer(yaml.SafeLoader):
    """PyYAML's composer (no objects are constructed), stopped at the bounds while it reads."""

    depth = 0
    count = 0

    def single(self) -> yaml.Node | None:
        root = self.get_node() if self.check_node() else None
        if root is not None and self.check_node():
            extra = self.get_node()
            raise _UnreadableError(
                extra, "yaml-documents", "a second YAML document starts here", "One manifest per file: remove the `---`, or split the file."
            )
        return root

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise _UnreadableError(self._here(), "yaml-depth", message, "A manifest is flat; look for a stray bracket.")
        if self.count > MAX_NODES:
            raise _UnreadableError(self._here(), "yaml-size", f"more than {MAX_NODES} values", "Keep data out of the manifest.")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _here(self) -> yaml.Event:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        return event


class _Walk:
    """From YAML nodes to plain data, noting where everything stands."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self.findings: list[Finding] = []
        self.lines: dict[Path, int] = {}
        self.written: dict[Path, str] = {}
        self.count = 0

    def value(self, node: yaml.Node | None, path: Path, above: tuple[int, ...]) -> Any:
        if node is None:
            return None
        self._bound(node, above)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            raise _tag(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, (*above, id(node)))
        return [self.value(item, (*path, index), (*above, id(node))) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key in result:
                message = f"`{key}` is here twice (first on line {self.lines[(*path, key)]}); YAML would keep only the last"
                self._add(line, (*path, key), "duplicate-key", message, "Remove one.")
            self.lines[(*path, key)] = line
            result[key] = self.value(value_node, (*path, key), above)
        for key_node, value_node in self._merged(node, path, above):
            key = self._key(key_node, path)
            if key is not None and key not in result:
                self.lines[(*path, key)] = key_node.start_mark.line + 1
                result[key] = self.value(value_node, (*path, key), above)
        return result

    def _merged(self, node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """What `<<: *name` brings in. The block's own keys win, and earlier sources win over later ones."""
        for key_node, value_node in node.value:
            if key_node.tag != f"{_TAG}merge":
                continue
            for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                self._bound(source, above)
                if not isinstance(source, yaml.MappingNode):
                    self._add(
                        source.start_mark.line + 1, path, "yaml-alias", "`<<` merges blocks of keys only", "Refer to a block: `<<: *name`."
                    )
                    continue
                yield from (pair for pair in source.value if pair[0].tag != f"{_TAG}merge")
                yield from self._merged(source, path, (*above, id(source)))

    def _bound(self, node: yaml.Node, above: tuple[int, ...]) -> None:
        self.count += 1
        if self.count > MAX_NODES or len(above) > MAX_DEPTH:
            message = f"more than {MAX_NODES} values, or {MAX_DEPTH} levels, once aliases (`*name`) are expanded"
            raise _UnreadableError(node, "yaml-size", message, "Write the values out.")
        if id(node) in above:
            raise _UnreadableError(node, "yaml-alias", "an alias (`*name`) refers to a block it stands in", "Write the values out.")

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            if self.text.startswith("{{", max(node.start_mark.index - 1, 0)):
                self._add(line, path, "placeholder", "`{{ … }}` is a template placeholder", "Commit the rendered value.")
            else:
                self._add(line, path, "key-not-text", "a block or list cannot be a key", "Write `key: value`.")
            return None
        key = self._clean(node, node.value, (*path, ""))
        if node.tag not in (f"{_TAG}str", f"{_TAG}value"):
            if not node.tag.startswith(_TAG):
                raise _tag(node)
            reads = {"bool": "a true/false value", "null": "null", "timestamp": "a date"}.get(node.tag[len(_TAG) :], "a number")
            message = f"the key `{key}` is {reads} to YAML, not text"
            self._add(line, (*path, key), "key-not-text", message, f'Put it in quotes: "{key}":')
        return key

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        raw = self._clean(node, node.value, path)
        self.written[path] = raw
        tag = node.tag.removeprefix(_TAG)
        if tag in ("str", "value", "merge"):
            return raw
        if tag == "null":
            return None
        if tag == "bool" and raw.lower() in _TRUTH:
            return _TRUTH[raw.lower()]
        if tag in ("int", "float"):
            return self._number(node, raw, path, whole=tag == "int")
        if tag == "timestamp":
            message = f"`{raw}` is a date to YAML, not text"
            self._add(node.start_mark.line + 1, path, "yaml-date", message, f'Put it in quotes: "{raw}"')
            return raw
        raise _tag(node)

    def _number(self, node: yaml.ScalarNode, raw: str, path: Path, *, whole: bool) -> int | float | str:
        """The number, where it is written as people write numbers; else it is text from here on, and reported."""
        if whole and len(raw) < 20 and _PLAIN_INT.fullmatch(raw):
            return int(raw)
        if not whole and "_" not in raw and ":" not in raw:
            try:
                number = float(raw)
            except ValueError:
                number = math.nan
            if math.isfinite(number):
                return number
        message = f"`{raw[:40]}` is a number to YAML 1.1, and not the one it looks like"
        remedy = f'Write a plain decimal number, or put it in quotes if it is text: "{raw[:40]}"'
        self._add(node.start_mark.line + 1, path, "yaml-number", message, remedy)
        return raw

    def _clean(self, node: yaml.Node, text: str, path: Path) -> str:
        """Text that can be stored and sent: escapes can smuggle in halves of characters and NUL. Halves that belong together are joined."""
        try:
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            text = text.encode("utf-8", "replace").decode() + "\0"
        if "\0" not in text:
            return text
        message = "the text holds a character that no file or server accepts"
        self._add(node.start_mark.line + 1, path[:-1], "yaml-text", message, "Remove the escape.")
        return text.replace("\0", "?")

    def _add(self, line: int, path: Path, rule: str, message: str, remedy: str) -> None:
        self.findings.append(Finding(self.file, line, short(dotted(path)), rule, short(message), short(remedy)))


def _tag(node: yaml.Node) -> _UnreadableError:
    return _UnreadableError(
        node, "yaml-tag", f"the tag `{node.tag.replace(_TAG, '!!')[:80]}` is not accepted", "Remove the tag; write the plain value."
    )
