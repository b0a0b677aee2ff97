"""What a commit holds, and what a working folder holds: the same ids for the same content, whatever git is configured to do."""

import os
import subprocess
from pathlib import Path

import pytest

from aml_canary.domain.tree import content_id
from aml_canary.errors import Permanent
from aml_canary.gateways.folder import FolderTree
from aml_canary.gateways.git import GitTree, Mirror, checked_out, local_repository

CONTENT = {
    "model/score.py": b"def run(): ...\n",
    "model/crlf.txt": b"one\r\ntwo\r\n",
    "model/with space/ünïcode ✓.txt": b"$Id$\n",
    "model/pointer.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "model/binary": bytes(range(256)),
    "model/empty": b"",
    "run.sh": b"#!/bin/sh\n",
}
# Each of these would change or hide something, were it obeyed.
ATTRIBUTES = b"""*.txt text eol=crlf ident export-subst
model/** export-ignore
*.py filter=lfs working-tree-encoding=UTF-16
*.bin filter=lfs diff=lfs merge=lfs -text
"""


def git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    names = ["-c", "user.name=A Person", "-c", "user.email=person@example.test"]
    return subprocess.run(
        ["git", "-C", str(folder), *names, *arguments], check=True, capture_output=True, text=True, env=environment
    ).stdout.strip()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with CONTENT in its only commit."""
    folder = tmp_path / "work"
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    for name, content in CONTENT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "run.sh").chmod(0o755)
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "content")
    return folder


def tree(work: Path) -> GitTree:
    return GitTree(Mirror(f"file://{work}", work.parent / "home"), git(work, "rev-parse", "HEAD"))


@pytest.fixture
def hostile_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose configuration changes line endings, filters content and runs hooks; gives the file that a hook would leave."""
    hooks, mark = tmp_path / "hooks", tmp_path / "a hook ran"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "post-index-change", "fsmonitor"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{mark}'\n")
        (hooks / name).chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        f"[core]\nautocrlf = true\nhooksPath = {hooks}\nfsmonitor = {hooks}/fsmonitor\n"
        f'[init]\ntemplateDir = {tmp_path}/nowhere\n[filter "lfs"]\nsmudge = sed s/./x/g\nrequired = true\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "somewhere else"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "another index"))
    return mark


def test_a_commit_and_the_folder_it_was_made_from_have_the_same_ids(work: Path) -> None:
    ours, folder = tree(work), FolderTree(work)
    assert ours.files() == folder.files() == tuple(sorted(CONTENT))
    assert {name: ours.read(name) for name in ours.files()} == CONTENT
    for path in ("", "model", "model/with space", "run.sh"):
        assert content_id(ours, path) is not None
        assert content_id(ours, path) == content_id(folder, path)
    assert [ours.blob_id(name) for name in ours.files()] == [folder.blob_id(name) for name in folder.files()]
    assert (ours.read("missing"), ours.blob_id("missing"), folder.read("missing"), folder.blob_id("missing")) == (None,) * 4


def test_an_executable_bit_is_no_content_and_a_line_ending_is(work: Path) -> None:
    before = content_id(FolderTree(work), "model")
    (work / "model/score.py").chmod(0o755)
    assert content_id(FolderTree(work), "model") == before
    (work / "model/crlf.txt").write_bytes(b"one\ntwo\n")
    assert content_id(FolderTree(work), "model") != before


def test_what_is_checked_out_is_what_was_committed_byte_by_byte(work: Path, hostile_configuration: Path) -> None:
    (work / ".gitattributes").write_bytes(ATTRIBUTES)
    git(work, "add", ".gitattributes")
    git(work, "commit", "-q", "-m", "attributes")
    ours = tree(work)
    assert {name: ours.read(name) for name in ours.files()} == CONTENT | {".gitattributes": ATTRIBUTES}
    with checked_out(ours.mirror, ours.commit) as folder:
        assert {name: FolderTree(folder).read(name) for name in FolderTree(folder).files()} == CONTENT | {".gitattributes": ATTRIBUTES}
        assert content_id(FolderTree(folder), "model") == content_id(ours, "model")
        assert [os.access(folder / name, os.X_OK) for name in ("run.sh", "model/score.py")] == [True, False]
    assert not folder.exists()
    assert not hostile_configuration.exists()


def test_symbolic_links_and_submodules_are_absent_everywhere(work: Path) -> None:
    (work / "link").symlink_to("/etc/passwd")
    (work / "folder link").symlink_to("model")
    other = work.parent / "other"
    subprocess.run(["git", "clone", "-q", str(work), str(other)], check=True)
    git(work, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "sub")
    git(work, "add", "--all")
    git(work, "commit", "-q", "-m", "links")
    ours = tree(work)
    assert ours.files() == FolderTree(work).files() == tuple(sorted([*CONTENT, ".gitmodules"]))
    assert (ours.read("link"), FolderTree(work).read("link"), ours.read("sub"), ours.blob_id("link")) == (None,) * 4
    with checked_out(ours.mirror, ours.commit) as folder:
        assert sorted(path.name for path in folder.iterdir()) == [".gitmodules", "model", "run.sh"]


def test_a_name_that_is_not_utf8_is_shown_escaped_and_can_be_read(work: Path) -> None:
    with open(os.fsencode(work) + b"/\xff.txt", "wb") as file:
        file.write(b"odd")
    git(work, "add", "--all")
    git(work, "commit", "-q", "-m", "odd name")
    ours, folder = tree(work), FolderTree(work)
    assert ours.read("\\xff.txt") == folder.read("\\xff.txt") == b"odd"
    assert content_id(ours, "") == content_id(folder, "")
    with checked_out(ours.mirror, ours.commit) as out:
        assert content_id(FolderTree(out), "") == content_id(ours, "")


def test_a_path_that_would_leave_the_folder_is_refused(work: Path) -> None:
    blob = git(work, "rev-parse", "HEAD:run.sh")
    inner = subprocess.run(
        ["git", "-C", str(work), "mktree"], input=f"100644 blob {blob}\tescaped\n", check=True, capture_output=True, text=True
    )
    outer = subprocess.run(
        ["git", "-C", str(work), "mktree"], input=f"040000 tree {inner.stdout.strip()}\t..\n", check=True, capture_output=True, text=True
    )
    git(work, "update-ref", "HEAD", git(work, "commit-tree", "-m", "out", outer.stdout.strip()))
    ours = tree(work)
    with pytest.raises(Permanent, match="refuses a path"), checked_out(ours.mirror, ours.commit):
        pass


def test_a_shortened_commit_id_is_no_commit_of_a_tree(work: Path) -> None:
    with pytest.raises(Permanent, match="not a full commit id"):
        GitTree(tree(work).mirror, "main").files()


def test_a_replaced_object_does_not_change_what_a_commit_holds(work: Path) -> None:
    ours = tree(work)
    ours.mirror.need(ours.commit)
    other = subprocess.run(
        ["git", "-C", str(ours.mirror.path), "hash-object", "-w", "--stdin"], input=b"other", check=True, capture_output=True
    )
    score = ours.blob_id("model/score.py")
    assert score is not None
    subprocess.run(["git", "-C", str(ours.mirror.path), "replace", score, other.stdout.decode().strip()], check=True)
    assert ours.read("model/score.py") == CONTENT["model/score.py"]


def test_the_repository_around_a_folder_says_what_is_not_committed(work: Path) -> None:
    head = git(work, "rev-parse", "HEAD")
    (work / "model/__pycache__").mkdir()
    (work / "model/__pycache__/score.pyc").write_bytes(b"")
    assert local_repository(work / "model") == (work, head, ())
    (work / ".gitignore").write_text("*.bin\n!pointer.bin\n")
    (work / "model/score.py").write_bytes(b"changed")
    (work / "model/ignored.bin").write_bytes(b"uploaded all the same")
    (work / "run.sh").unlink()
    (work / "with space ✓").write_bytes(b"new")
    subprocess.run(["git", "init", "-q", str(work / "a repository of its own")], check=True)
    found = local_repository(work / "model/score.py")
    assert found.dirty == (".gitignore", "model/ignored.bin", "model/score.py", "run.sh", "with space ✓")
    assert (found.root, found.commit) == (work, head)


def test_a_git_hook_that_calls_us_does_not_tell_us_where_the_repository_is(work: Path, hostile_configuration: Path) -> None:
    assert local_repository(work).root == work
    assert not hostile_configuration.exists()


def test_a_folder_in_no_repository_or_without_a_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="in no git repository"):
        local_repository(tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    with pytest.raises(Permanent, match="no commit yet"):
        local_repository(tmp_path)
    with pytest.raises(Permanent, match="missing"):
        local_repository(tmp_path / "missing" / "folder")
