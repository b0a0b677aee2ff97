"""Git, as far as a rollout needs it: which commit, which files at that commit, what differs in a working folder.

A repository is read through a bare mirror on this machine, shared by all processes of an installation. A mirror holds
nothing that the repository does not: it may be deleted at any time, and one that turns out damaged is deleted and made anew.
Nothing here writes to a repository. May import `domain`, `errors`, `settings` and `gateways.gitcommand`, the only code that runs git.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from aml_canary.errors import Permanent, Transient
from aml_canary.gateways.folder import SKIPPED
from aml_canary.gateways.gitcommand import REMOTE_SECONDS, Address, Answer, run
from aml_canary.settings import settings

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ABBREVIATED = re.compile(r"[0-9a-f]{7,63}")
# Branches and tags only: hosts keep every pull request under refs/ too. A branch that moved backwards is followed.
_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
# A commit that was seen once stays, though its branch was pushed away from it. A stalled transfer ends after a minute.
_FETCHING = ("gc.pruneExpire=never", "http.lowSpeedLimit=1000", "http.lowSpeedTime=60")
# These outrank the .gitattributes inside a commit, so that what is checked out is what was committed, byte by byte.
_ATTRIBUTES = "* -text !ident !filter !working-tree-encoding\n"
# What git says of a mirror that a crash or a full disk left broken; its own lock files count, for ours is held meanwhile.
_DAMAGE = re.compile(
    r"not a git repository|bad (object|tree|config)|corrupt|is empty|unable to (read|unpack)|missing (blob|tree|commit)"
    r"|does not point to a valid object|inflate|too small|did not send all necessary objects|Unable to create '.*\.lock': File exists"
)
LOCK_SECONDS = 2 * REMOTE_SECONDS
# A line each, such as `Ada <ada@example.com>`.
_PEOPLE = "%an <%ae>%n%cn <%ce>%n%(trailers:key=Co-authored-by,valueonly,unfold,separator=%x0A)"
_PERSON = re.compile(r"^[ ]*(.*?)[ ]*<([^<>\n]*)>", re.MULTILINE)
LOOK_SECONDS = 60.0


class _Damaged(Transient):
    """A mirror cannot be read though it should hold what was asked."""


class Mirror:
    """A bare copy of one repository below `home`, safe for any number of processes and threads at once.

    Every method raises Transient where network, lock or disk failed, and Permanent where somebody has to act. Credentials
    may stand in an http(s) URL; they are given to git on request only, and never stored or shown.
    """

    def __init__(self, url: str, home: Path) -> None:
        self.address = Address(url)
        # Without credentials in the digest a renewed token does not mean another copy.
        self.path = home / "mirrors" / hashlib.sha256(self.address.bare.encode()).hexdigest()[:32]

    def resolve(self, ref: str) -> str:
        """The full commit id of a branch, a tag, or a commit id (7 digits at least).

        A branch or tag is asked of the repository now; a full commit id only where the mirror does not have it yet.
        """
        if not ref or ref.startswith("-") or not ref.isprintable() or re.search(r"[\s~^:?*\[\\]|\.\.|@\{", ref):
            raise Permanent(f"{ref!r} is not a branch, tag or commit of {self.address}.")
        try:
            return self._resolve(ref)
        except _Damaged:
            self._discard()
        return self._resolve(ref)

    def fetch(self, ref: str) -> str:
        """The full commit id of one ref by its whole name, such as refs/pull/7/head, asked of the repository now."""
        if not ref.startswith("refs/") or not ref.isprintable() or run(["check-ref-format", ref]).status != 0:
            raise Permanent(f"{ref[:200]!r} is not the whole name of a ref, such as refs/pull/7/head.")
        # Under a name of ours: what is fetched so is no branch or tag of the repository.
        ours = f"refs/aml-canary/{hashlib.sha256(ref.encode()).hexdigest()[:32]}"
        try:
            with _locked(self.path):
                if not self.path.is_dir():
                    self._fetch()
                self._fetch_into(self.path, f"+{ref}:{ours}")
        except _Damaged:
            self._discard()
            raise
        if not (commit := self._commit(ours)):
            raise Permanent(f"{ref} of {self.address} is no commit.")
        return commit

    def merge_base(self, one: str, other: str) -> str:
        """Where the histories of two commits, full ids that the mirror has, meet; empty where they never do."""
        return self.local("merge-base", one, other).out.decode().partition("\n")[0]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether commit `older` is `newer` or in its history. Both are full commit ids; Permanent where one is unknown."""
        self.need(older)
        self.need(newer)
        answer = self.local("merge-base", "--is-ancestor", older, newer)
        if answer.status not in (0, 1):
            raise self.damaged(answer)
        return answer.status == 0

    def authors(self, commit: str) -> tuple[tuple[str, str], ...]:
        """Names and e-mail addresses of who wrote the commit, or committed it, or is named in it as a co-author; of a merge, also of what
        it brought in. What git says of people is what they said of themselves."""
        self.need(commit)
        listed = ["log", "--max-count=500", "--ignore-missing", f"--format={_PEOPLE}", "--end-of-options", commit, f"^{commit}^1"]
        answer = self.local(*listed)
        if answer.status != 0:
            raise self.damaged(answer)
        return tuple(dict.fromkeys(_PERSON.findall(answer.out.decode(errors="replace"))))

    def brought_by(self, commit: str) -> frozenset[str]:
        """The commit itself and, of a merge, what it brought to its first parent: full ids."""
        self.need(commit)
        answer = self.local("rev-list", "--max-count=500", "--ignore-missing", "--end-of-options", commit, f"^{commit}^1")
        if answer.status != 0:
            raise self.damaged(answer)
        return frozenset(answer.out.decode().split())

    def need(self, commit: str) -> None:
        """Makes sure that the mirror has the commit with this full id; Permanent where the repository does not have it either."""
        if not _COMMIT.fullmatch(commit):
            raise Permanent(f"{commit!r} is not a full commit id (40 hexadecimal digits).")
        self.resolve(commit)

    def local(self, *arguments: str, feed: bytes = b"", environment: dict[str, str] | None = None) -> Answer:
        """One git call inside the mirror, blind to the user's and the system's configuration."""
        return run([f"--git-dir={self.path}", *arguments], feed=feed, environment=environment)

    def damaged(self, answer: Answer) -> Transient:
        """Puts a damaged mirror away, and gives the error to raise: the next try makes the mirror anew."""
        self._discard()
        return _Damaged(
            f"The mirror of {self.address} was damaged and has been removed; the next try makes it anew. git said: {answer.err}"
        )

    def _resolve(self, ref: str) -> str:
        full = _COMMIT.fullmatch(ref) is not None
        if full and self._commit(ref):
            return ref
        with _locked(self.path):
            # Another process may have fetched while this one waited; for a name, only what is asked after now is fresh.
            if not full or not self._commit(ref):
                self._fetch()
        names = [f"refs/heads/{ref}", f"refs/tags/{ref}"] if not full else []
        for name in [*names, *([ref] if _ABBREVIATED.fullmatch(ref) else [])]:
            if commit := self._commit(name):
                return commit
        raise Permanent(
            f"{self.address} has no branch, tag or commit {ref!r}. Was it pushed, or pushed away by force? (Looked in the mirror {self.path}.)"
        )

    def _commit(self, name: str) -> str:
        """The commit that `name` stands for in the mirror, or nothing where it is not there (`^{commit}` makes git look)."""
        if not self.path.is_dir():
            return ""
        answer = self.local("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return answer.out.decode().strip() if answer.status == 0 else ""

    def _fetch(self) -> None:
        """Brings the mirror up to date, or makes it: in a folder of its own, so that half a mirror never has the mirror's name."""
        if self.path.is_dir():
            self._fetch_into(self.path)
            return
        for left in self.path.parent.glob(f"{self.path.name}.making-*"):
            shutil.rmtree(left, ignore_errors=True)  # by a process that died: this one holds the lock
        with _temporary(self.path) as made:
            run(["init", "--quiet", "--bare", "--template=", str(made)])
            (made / "info").mkdir(exist_ok=True)
            (made / "info" / "attributes").write_text(_ATTRIBUTES)
            self._fetch_into(made)
            made.rename(self.path)

    def _fetch_into(self, path: Path, *refs: str) -> None:
        answer = run(
            [
                f"--git-dir={path}",
                "fetch",
                "--quiet",
                "--prune",
                "--no-tags",
                "--no-write-fetch-head",
                "--end-of-options",
                self.address.bare,
                *(refs or _REFS),
            ],
            options=(*_FETCHING, *self.address.options()),
            environment=self.address.environment(),
            trusting=True,
            seconds=REMOTE_SECONDS,
        )
        if answer.status == 0:
            return
        ours = "\n".join(line for line in answer.err.splitlines() if not line.startswith("remote:"))
        if path == self.path and _DAMAGE.search(ours):
            raise _Damaged(f"The mirror {path} of {self.address} is damaged. git said: {ours}")
        raise self.address.failure(answer.err)

    def _discard(self) -> None:
        with _locked(self.path), _temporary(self.path) as bin_, contextlib.suppress(FileNotFoundError):
            self.path.rename(bin_ / "damaged")


def branch_head(url: str, branch: str) -> str:
    """The commit that a branch of the repository at this URL points to now; empty where there is no such branch. Nothing is kept.

    Raises Transient or Permanent where the repository cannot be read.
    """
    address = Address(url)
    answer = run(
        ["ls-remote", "--quiet", "--end-of-options", address.bare, f"refs/heads/{branch}"],
        options=address.options(),
        environment=address.environment(),
        trusting=True,
        seconds=LOOK_SECONDS,
    )
    if answer.status != 0:
        raise address.failure(answer.err)
    return answer.out.decode().partition("\t")[0].strip()


def mirror_of(repository: str) -> Mirror:
    """This machine's copy of a repository, given by its name in the settings or by its URL.

    A URL with a token in it belongs into the settings: a flow's parameters are shown to everybody who may open Prefect's UI.
    """
    return Mirror(settings().repositories.get(repository, repository), settings().home)


def shown_address(repository: str) -> str:
    """What may be written down of a repository: its name in the settings, or its URL without credentials."""
    return repository if repository in settings().repositories else Address(repository).bare


class _Entry(NamedTuple):
    name: bytes
    blob: str


class GitTree:
    """A repository's files at one commit: a `domain.tree.Tree`.

    Only regular files are there. Symbolic links are treated as absent, because following one would let a commit name files
    of this machine; submodules are absent too. A Git LFS pointer is a file like any other: its content is the pointer.
    A name that is not UTF-8 is shown with backslash escapes.

    Raises Permanent where the repository does not have the commit, Transient where reading failed.
    """

    def __init__(self, mirror: Mirror, commit: str) -> None:
        self.mirror = mirror
        self.commit = commit

    def files(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def read(self, path: str) -> bytes | None:
        entry = self._entries.get(path)
        if entry is None:
            return None
        answer = self.mirror.local("cat-file", "blob", entry.blob)
        if answer.status != 0:
            raise self.mirror.damaged(answer)
        return answer.out

    def blob_id(self, path: str) -> str | None:
        entry = self._entries.get(path)
        return None if entry is None else entry.blob

    def names(self) -> tuple[bytes, ...]:
        """Every file's path as git has it."""
        return tuple(entry.name for entry in self._entries.values())

    @cached_property
    def _entries(self) -> dict[str, _Entry]:
        self.mirror.need(self.commit)
        answer = self.mirror.local("ls-tree", "-r", "-z", "--full-tree", self.commit)
        if answer.status != 0:
            raise self.mirror.damaged(answer)
        found: dict[str, _Entry] = {}
        for line in answer.out.split(b"\0")[:-1]:
            about, _, name = line.partition(b"\t")
            mode, _, blob = about.decode().split()
            if mode.startswith("100"):
                found[name.decode(errors="backslashreplace")] = _Entry(name, blob)
        return dict(sorted(found.items()))


@contextlib.contextmanager
def checked_out(mirror: Mirror, commit: str) -> Iterator[Path]:
    """The files of `GitTree(mirror, commit)` in a temporary folder that is gone afterwards, executable bits kept.

    Through an index of its own, not `git archive`: that would obey the commit's export-ignore and export-subst.
    """
    tree = GitTree(mirror, commit)
    names = b"".join(name + b"\0" for name in tree.names())
    with tempfile.TemporaryDirectory(prefix="aml-canary-") as temporary:
        folder = Path(temporary, "tree")
        folder.mkdir()
        environment = {"GIT_INDEX_FILE": os.path.join(temporary, "index"), "GIT_WORK_TREE": str(folder)}
        for arguments, feed in (
            (["read-tree", commit], b""),
            (["checkout-index", "--quiet", "-z", "--stdin", f"--prefix={folder}/"], names),
        ):
            answer = mirror.local(*arguments, feed=feed, environment=environment)
            if answer.status != 0:
                raise _unwritten(mirror, commit, answer)
        yield folder


def _unwritten(mirror: Mirror, commit: str, answer: Answer) -> Permanent | Transient:
    where = f"Cannot check out commit {commit} of {mirror.address}"
    if "invalid path" in answer.err:
        return Permanent(f"{where}: git refuses a path in it. git said: {answer.err}")
    return mirror.damaged(answer) if _DAMAGE.search(answer.err) else Transient(f"{where}. git said: {answer.err}")


class LocalRepository(NamedTuple):
    """The repository around a working folder.

    `dirty` are the files, relative to `root`, whose content is not in commit `commit`: changed, added, deleted, untracked, and
    ignored ones too, because a folder is uploaded with them.
    """

    root: Path
    commit: str
    dirty: tuple[str, ...]


def local_repository(path: Path) -> LocalRepository:
    """Finds the repository around a file or folder. Permanent where there is none, or no commit in it yet."""
    folder = path if path.is_dir() else path.parent
    # The user's own configuration is believed here: it says which line endings and files are unchanged in the user's eyes.
    found = run(["rev-parse", "--show-toplevel"], folder=folder, trusting=True)
    if found.status != 0:
        raise Permanent(f"{path} is in no git repository that may be read. git said: {found.err.strip()}")
    root = Path(os.fsdecode(found.out.removesuffix(b"\n")))
    head = run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], folder=root, trusting=True)
    if head.status != 0:
        raise Permanent(f"The repository {root} has no commit yet. Commit something first.")
    status = run(
        ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=traditional", "--ignore-submodules=all"],
        folder=root,
        trusting=True,
    )
    if status.status != 0:
        raise Permanent(f"Cannot see what differs from HEAD in {root}. git said: {status.err.strip()}")
    names = (line[3:].decode(errors="backslashreplace") for line in status.out.split(b"\0")[:-1])
    # A name that ends with a slash is a repository of its own.
    dirty = sorted(name for name in names if not name.endswith("/") and not SKIPPED.intersection(name.split("/")))
    return LocalRepository(root, head.out.decode().strip(), tuple(dirty))


def remote_url(root: Path) -> str | None:
    """The URL of the repository's remote `origin`, or None where it has none."""
    found = run(["remote", "get-url", "origin"], folder=root, trusting=True)
    return os.fsdecode(found.out).strip() or None if found.status == 0 else None


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, removed afterwards if it is still there."""
    made = Path(tempfile.mkdtemp(prefix=f"{path.name}.making-", dir=path.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the file lock beside `path`. The system releases it when a process dies, however it dies."""
    lock = path.with_suffix(".lock")
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        lock.parent.mkdir(0o700, parents=True, exist_ok=True)
        with lock.open("ab") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as busy:
                    if time.monotonic() > deadline:
                        raise Transient(f"Another process has held {lock} for more than {LOCK_SECONDS:.0f} s.") from busy
                    time.sleep(0.05)
            yield
    except OSError as problem:
        raise Transient(f"Cannot use the mirror folder {lock.parent}: {problem}") from problem
