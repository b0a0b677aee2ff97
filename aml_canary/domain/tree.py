"""A repository's files at one commit, as the domain sees them: paths and bytes, nothing about git or disks.

Paths are POSIX, relative to the repository's root, without leading `./`. Implementations that touch the world are in
`aml_canary.gateways`; `MemoryTree` is the one that does not. May import the standard library only.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol


class Tree(Protocol):
    """Files at one commit."""

    def files(self) -> Iterable[str]:
        """Every file's path, sorted."""
        ...

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or None where there is no such file."""
        ...

    def blob_id(self, path: str) -> str | None:
        """Git's own name for the file's content (SHA-1 of `blob <size>\\0<content>`), or None where there is no such file."""
        ...


def blob_id(content: bytes) -> str:
    """Git's object name of a file with this content (gitformat-pack, "blob")."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def files_under(tree: Tree, path: str) -> tuple[str, ...]:
    """The file at `path`, or all files below the folder `path`; empty where there is neither."""
    prefix = "" if path in ("", ".") else path.rstrip("/") + "/"
    return tuple(name for name in tree.files() if name == path or name.startswith(prefix))


def content_id(tree: Tree, path: str) -> str | None:
    """One digest for a file, or for a folder with the names and contents of all its files; None where nothing is there.

    It does not depend on commit, file times or the folder's own name, so the same content has the same digest in any commit.
    """
    names = files_under(tree, path)
    if not names:
        return None
    start = 0 if path in ("", ".") else len(path.rstrip("/") + "/")
    lines = (f"{name[start:]}\0{tree.blob_id(name)}\n" for name in names)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class MemoryTree:
    """A tree given as a mapping from path to content."""

    def __init__(self, content: Mapping[str, bytes]) -> None:
        self._content = dict(content)

    def files(self) -> tuple[str, ...]:
        return tuple(sorted(self._content))

    def read(self, path: str) -> bytes | None:
        return self._content.get(path)

    def blob_id(self, path: str) -> str | None:
        content = self._content.get(path)
        return None if content is None else blob_id(content)
