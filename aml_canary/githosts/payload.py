"""Reading what a git host sent: JSON of the shape it documents, or Unreadable with the field that is not.

Knows no host. May import `githosts.delivery` and the standard library.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime

from aml_canary.githosts.delivery import COMMAND, FoundComment, Ignored, Push, Unreadable

# GitLab nests groups, twenty deep.
REPOSITORY = re.compile(r"~?[A-Za-z0-9_.-]{1,255}(/[A-Za-z0-9_.-]{1,255}){1,21}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
# What git allows in a name, and half of a UTF-16 pair, which JSON allows and nothing else does.
_BRANCH = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]{1,1000}")
_BIGGEST = 2**53
LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}(\[bot\])?", re.ASCII)
URL = re.compile(r"https?://[!#-;=?-Z_a-z~%@]{1,1500}", re.ASCII)


def read(body: bytes) -> dict[str, object]:
    """The JSON object that is the body."""
    payload = _json(body)
    if not isinstance(payload, dict):
        raise Unreadable("The body is JSON, and not an object.")
    return payload


def inner(payload: dict[str, object], path: str) -> dict[str, object]:
    """The object at `path`, such as `project.owner`."""
    value = _at(payload, path)
    if not isinstance(value, dict):
        raise Unreadable(f"The delivery has no object {path!r}.")
    return value


def items(payload: dict[str, object], path: str) -> list[dict[str, object]]:
    """The list of objects at `path`."""
    value = _at(payload, path)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Unreadable(f"The delivery has no list of objects {path!r}.")
    return value


def text(payload: dict[str, object], path: str, shape: re.Pattern[str] | None = None) -> str:
    """The text at `path`, where there is one and it has the shape."""
    value = _at(payload, path)
    if not isinstance(value, str):
        raise Unreadable(f"The delivery has no text {path!r}.")
    if shape and not shape.fullmatch(value):
        raise Unreadable(f"The delivery's {path!r} is {value[:200]!r}.")
    return value


def commit(payload: dict[str, object], path: str, shape: re.Pattern[str] = _COMMIT) -> str:
    """The full commit id at `path`; all zeros stand for no commit."""
    return text(payload, path, shape)


def number(payload: dict[str, object], path: str) -> int:
    """The number of a pull request at `path`."""
    value = _at(payload, path)
    if type(value) is not int or not 0 < value < _BIGGEST:
        raise Unreadable(f"The delivery has no number {path!r}.")
    return value


def name(payload: dict[str, object], *paths: str) -> str:
    """The first of these names to show that is there; a delivery without any is none the worse."""
    for path in paths:
        value = _at(payload, path)
        if isinstance(value, str) and value:
            return value[:200].encode(errors="replace").decode()
    return ""


def moment(payload: dict[str, object], path: str) -> int:
    """The point in time at `path`, in whole seconds since the epoch."""
    said = text(payload, path)
    try:
        # GitLab's older ones write the zone's name.
        found = datetime.fromisoformat(said[:50].removesuffix(" UTC") + ("+00:00" if said.endswith(" UTC") else ""))
    except ValueError as problem:
        raise Unreadable(f"The delivery's {path!r} is {said[:200]!r}: not a point in time.") from problem
    if found.tzinfo is None:
        raise Unreadable(f"The delivery's {path!r} is {said[:200]!r}, which has no time zone.")
    return int(found.timestamp())


def first_line(said: str) -> str:
    """The first line of a comment, cut to a length that nobody writes by hand; empty where it does not speak to us."""
    line = next(iter(said.splitlines()), "")[:500].rstrip().encode(errors="replace").decode()
    return line if line.startswith(COMMAND) and line.split(maxsplit=1)[0] == COMMAND else ""


def not_here(host: str) -> Ignored:
    """What a comment is on a host whose comments are not read."""
    return Ignored(f"A comment answers nothing on {host}. Answer in the Prefect UI, or with `aml-canary approve` or `reject`.")


def branch(payload: dict[str, object], path: str) -> str:
    """The branch whose name is at `path`, with `refs/heads/` before it or without."""
    found = text(payload, path).removeprefix("refs/heads/")
    if not _BRANCH.fullmatch(found):
        raise Unreadable(f"The delivery's {path!r} is {found[:200]!r}: not a branch.")
    return found


def push(repository: str, ref: str, commit: str, before: str, forced: bool | None, pusher: str) -> Push | Ignored:
    """What it means that `ref` was at `before` and is at `commit`; both are checked, `ref` is not."""
    kind, _, moved = ref.removeprefix("refs/").partition("/")
    if kind == "tags":
        return Ignored(f"{moved[:200]!r} is a tag; only a branch says what shall be live.")
    if kind != "heads" or not _BRANCH.fullmatch(moved):
        raise Unreadable(f"The delivery's ref is {ref[:200]!r}: neither a branch nor a tag.")
    if set(commit) == {"0"}:
        return Ignored(f"Branch {moved!r} was deleted; nothing live is deleted with it.")
    if commit == before:
        return Ignored(f"Branch {moved!r} did not move: this delivery is a test.")
    return Push(repository, moved, commit, before, forced, pusher)


def first_comment(comments: Iterable[tuple[str, object]], marker: str, more: bool) -> FoundComment:
    """The first of these (id, text) of which one line is `marker`; a quotation of it is not."""
    for known_as, said in comments:
        if isinstance(said, str) and marker in said.splitlines():
            return FoundComment(known_as, more)
    return FoundComment(None, more)


def rows(body: bytes) -> list[dict[str, object]]:
    """The JSON list of objects that is the body."""
    return items({"the answer": _json(body)}, "the answer")


def cut(words: str, units: int) -> str:
    """`words` on one line of at most so many UTF-16 units, which no host counts as more; what is cut off is shown by an ellipsis."""
    line = " ".join(words.split())
    coded = line.encode("utf-16-le", errors="replace")
    if len(coded) <= 2 * units:
        return line
    return coded[: 2 * units - 2].decode("utf-16-le", errors="ignore").rstrip() + "…"


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise Unreadable("The body is not JSON, or not all of it has arrived.") from problem


def _at(payload: dict[str, object], path: str) -> object:
    value: object = payload
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
