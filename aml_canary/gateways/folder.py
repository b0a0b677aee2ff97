"""A working folder as a `domain.tree.Tree`: what `aml-canary run PATH` rolls out before it is committed.

Not git: nothing is asked of a repository, and files are read as they lie there. May import `domain` only.
"""

import os
from functools import cached_property
from pathlib import Path

from aml_canary.domain import tree

# Never part of what is rolled out, and large.
SKIPPED = frozenset({".git", "__pycache__", ".venv"})


class FolderTree:
    """The regular files below `path`, which stands for the repository's root.

    The same content has the same ids as in a `gateways.git.GitTree`: symbolic links are absent there too, and so are folders
    with a repository of their own (submodules). Names are looked up once, contents at each call.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> tuple[str, ...]:
        return tuple(self._found)

    def read(self, path: str) -> bytes | None:
        found = self._found.get(path)
        try:
            return None if found is None else found.read_bytes()
        except FileNotFoundError:
            return None

    def blob_id(self, path: str) -> str | None:
        content = self.read(path)
        return None if content is None else tree.blob_id(content)

    @cached_property
    def _found(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder, folders, names in os.walk(self.path):
            at = Path(folder)
            folders[:] = [name for name in folders if name not in SKIPPED and not os.path.lexists(at / name / ".git")]
            for path in (at / name for name in names if name not in SKIPPED):
                if path.is_file() and not path.is_symlink():
                    found[os.fsencode(path.relative_to(self.path).as_posix()).decode(errors="backslashreplace")] = path
        return dict(sorted(found.items()))
