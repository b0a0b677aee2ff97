"""The repository's files as manifests refer to them: what a written path means, whether it is there, whether it is real content.

Disks are not here: a `Tree` is values. May import the standard library and `domain.tree`.
"""

import posixpath
import re
from bisect import bisect_left

from aml_canary.domain.reading.yaml_reader import LFS_POINTER
from aml_canary.domain.tree import Tree

_REMOTE = re.compile(r"(azureml|https?|abfss?|wasbs?|runs|git|git\+https):", re.IGNORECASE)


class Files:
    """A tree's paths, kept sorted, so that looking one up costs little."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.names = tuple(sorted(tree.files()))

    def is_file(self, path: str) -> bool:
        place = bisect_left(self.names, path)
        return place < len(self.names) and self.names[place] == path

    def is_folder(self, path: str) -> bool:
        return path in ("", ".") or (not self.is_file(path) and bool(self.below(path, limit=1)))

    def exists(self, path: str) -> bool:
        return self.is_file(path) or self.is_folder(path)

    def below(self, path: str, limit: int | None = None) -> list[str]:
        """The file at `path`, or the files below the folder `path`, `limit` of them at most."""
        if path in ("", "."):
            return list(self.names[:limit])
        if self.is_file(path):
            return [path]
        found: list[str] = []
        for name in self.names[bisect_left(self.names, path + "/") :]:
            if not name.startswith(path + "/") or len(found) == limit:
                break
            found.append(name)
        return found

    def beside(self, folder: str) -> list[str]:
        """The names of the files that stand directly in `folder`."""
        start = 0 if folder in ("", ".") else len(folder) + 1
        return [name[start:] for name in self.below(folder) if "/" not in name[start:] and name[start:]]

    def lfs_pointer(self, path: str) -> str | None:
        """The first file at or below `path` that is a git-lfs pointer instead of content."""
        return next((name for name in self.below(path) if (self.tree.read(name) or b"").startswith(LFS_POINTER)), None)


def is_remote(written: str) -> bool:
    """Whether this names something outside of the repository: an asset, a datastore, a URL."""
    return bool(_REMOTE.match(written))


def joined(folder: str, written: str) -> str | None:
    """The repository path that `written` means in `folder`; None where that is outside of the repository, or no POSIX path."""
    if "\\" in written or written.startswith(("/", "~")) or re.match(r"[A-Za-z]:", written):
        return None
    path = posixpath.normpath(posixpath.join(folder, written))
    return None if path == ".." or path.startswith("../") else path


def ancestors(folder: str) -> list[str]:
    """`folder` and the folders around it up to the repository's root (`""`), innermost first."""
    found = [folder] if folder not in ("", ".") else []
    while found and found[-1]:
        found.append(posixpath.dirname(found[-1]))
    return found or [""]
