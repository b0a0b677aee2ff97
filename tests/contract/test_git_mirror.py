"""The mirror against the real git program: what it finds, what it survives, and what it never says."""

import fcntl
import functools
import http.server
import os
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aml_canary.errors import Permanent, Transient
from aml_canary.gateways import git
from aml_canary.gateways.git import GitTree, Mirror
from aml_canary.gateways.git_log import described
from aml_canary.gateways.gitcommand import run

SECRET = "s3cr3t/t0ken"


class Origin:
    """A bare repository, and a working folder that pushes to it."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.work = folder / "origin.git", folder / "work"
        for arguments in (["--bare", str(self.bare)], [str(self.work)]):
            subprocess.run(["git", "init", "-q", "-b", "main", *arguments], check=True)
        self.url = f"file://{self.bare}"

    def git(self, *arguments: str) -> str:
        names = ["-c", "user.name=A Person", "-c", "user.email=person@example.test"]
        environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", "-C", str(self.work), *names, *arguments], check=True, capture_output=True, text=True, env=environment
        )
        return done.stdout.strip()

    def push(self, content: str, branch: str = "main") -> str:
        (self.work / "file.txt").write_text(content)
        self.git("add", "--all")
        self.git("commit", "-q", "-m", content)
        self.git("push", "-q", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


class DumbHost(http.server.SimpleHTTPRequestHandler):
    """Static files are a git repository too, as long as `git update-server-info` was run."""

    def do_GET(self) -> None:
        host = self.server
        assert isinstance(host, Host)
        host.asked.set()
        host.may_answer.wait(60)
        arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        host.seen_by_others |= any(SECRET.encode() in line or SECRET.replace("/", "%2F").encode() in line for line in arguments)
        right = "Basic " + b64encode(f"robot:{SECRET}".encode()).decode()
        if host.status != 200:
            self.send_response(host.status)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(f"{SECRET} is not welcome".encode())
        elif host.private and self.headers.get("Authorization") != right:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


class Host(http.server.ThreadingHTTPServer):
    daemon_threads = True
    status, private, seen_by_others = 200, False, False

    def __init__(self, origin: Origin) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(DumbHost, directory=str(origin.bare.parent)))
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()
        self.address = f"127.0.0.1:{self.server_port}/origin.git"


@pytest.fixture
def host(origin: Origin) -> Iterator[Host]:
    with Host(origin) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.may_answer.set()
        server.shutdown()


def test_a_branch_a_tag_and_a_commit_are_resolved_to_the_full_commit_id(origin: Origin, home: Path) -> None:
    first = origin.push("one")
    origin.git("tag", "-a", "-m", "released", "v1")
    origin.git("push", "-q", str(origin.bare), "v1")
    second = origin.push("two", branch="team/ünïcode")
    mirror = Mirror(origin.url, home)
    assert [mirror.resolve(ref) for ref in ("main", "v1", first, first[:9])] == [first] * 4
    assert mirror.resolve("team/ünïcode") == second
    assert (mirror.is_ancestor(first, second), mirror.is_ancestor(second, first), mirror.is_ancestor(first, first)) == (True, False, True)


def test_a_branch_is_asked_for_again_and_a_known_commit_is_not(origin: Origin, home: Path) -> None:
    mirror = Mirror(origin.url, home)
    old = origin.push("one")
    assert mirror.resolve("main") == old
    new = origin.push("two")
    assert mirror.resolve("main") == new
    origin.bare.rename(origin.bare.with_name("away"))
    assert mirror.resolve(old) == old
    with pytest.raises(Permanent, match="no such repository"):
        mirror.resolve("main")


def test_the_users_configuration_has_no_say_in_what_the_mirror_holds(
    origin: Origin, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = origin.push("one")
    mirror = Mirror(origin.url, home)
    mirror.need(commit)
    (tmp_path / ".gitconfig").write_text("[core\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert GitTree(mirror, commit).read("file.txt") == b"one"


def test_a_commit_pushed_away_by_force_stays_where_it_was_seen_and_is_unknown_elsewhere(origin: Origin, home: Path) -> None:
    lost = origin.push("one")
    mirror = Mirror(origin.url, home)
    assert mirror.resolve("main") == lost
    origin.git("checkout", "-q", "--orphan", "other")
    new = origin.push("other")
    assert mirror.resolve("main") == new
    assert not mirror.is_ancestor(lost, new)
    assert GitTree(mirror, lost).read("file.txt") == b"one"
    with pytest.raises(Permanent, match=f"no branch, tag or commit '{lost}'"):
        Mirror(origin.url, home / "elsewhere").resolve(lost)


def test_a_branch_goes_before_a_tag_of_the_same_name(origin: Origin, home: Path) -> None:
    tagged = origin.push("one")
    origin.git("push", "-q", str(origin.bare), f"{tagged}:refs/tags/main")
    branch = origin.push("two")
    assert Mirror(origin.url, home).resolve("main") == branch


def test_a_deleted_branch_is_unknown_even_where_it_was_seen(origin: Origin, home: Path) -> None:
    origin.push("one")
    origin.push("two", branch="gone")
    mirror = Mirror(origin.url, home)
    mirror.resolve("gone")
    origin.git("push", "-q", "--delete", str(origin.bare), "gone")
    with pytest.raises(Permanent, match="'gone'"):
        mirror.resolve("gone")


@pytest.mark.parametrize("ref", ["", "-x", "--upload-pack=id", "a..b", "main~1", "main^{tree}", "a b", "x\n", "@{u}", ":/x"])
def test_what_is_not_a_ref_is_refused_before_git_sees_it(origin: Origin, home: Path, ref: str) -> None:
    origin.push("one")
    with pytest.raises(Permanent, match="is not a branch, tag or commit"):
        Mirror(origin.url, home).resolve(ref)


@pytest.mark.parametrize(
    "url",
    ["", "-x", "--upload-pack=id", "ext::sh -c id", "fd::7", "ftp://a/b", "ssh://-oProxyCommand=id/x", "relative/path", "https://a/\n"],
)
def test_what_is_not_an_address_is_refused_before_git_sees_it(home: Path, url: str) -> None:
    with pytest.raises(Permanent, match="is not a repository address"):
        Mirror(url, home)


def test_a_mistyped_address_is_shown_without_its_credentials(home: Path) -> None:
    with pytest.raises(Permanent) as caught:
        Mirror(f"https//robot:{SECRET}@host/x.git", home)
    assert SECRET not in str(caught.value)


def test_credentials_in_a_url_are_used_and_never_shown_stored_or_passed_as_arguments(origin: Origin, home: Path, host: Host) -> None:
    commit = origin.push("one")
    subprocess.run(["git", "-C", str(origin.bare), "update-server-info"], check=True)
    host.private = True
    with pytest.raises(Permanent, match="refused the credentials") as caught:
        Mirror(f"http://robot:wr0ng{SECRET.replace('/', '%2F')}@{host.address}", home).resolve("main")
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(Permanent, match="refused the credentials"):
        Mirror(f"http://{host.address}", home).resolve("main")
    assert Mirror(f"http://robot:{SECRET.replace('/', '%2F')}@{host.address}", home).resolve("main") == commit
    assert not host.seen_by_others
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"t0ken" not in kept


@pytest.mark.parametrize(
    ("status", "kind", "meaning"),
    [
        (503, Transient, "at the moment"),
        (429, Transient, "at the moment"),
        (403, Permanent, "refused the credentials"),
        (404, Permanent, "no such repository"),
        (410, Permanent, "no such repository"),
    ],
)
def test_what_a_host_answers_decides_whether_another_try_is_worth_it(
    home: Path, host: Host, status: int, kind: type[Exception], meaning: str
) -> None:
    host.status = status
    with pytest.raises(kind, match=f"http://{host.address}.*{meaning}"):
        Mirror(f"http://{host.address}", home).resolve("main")


def test_a_host_that_repeats_the_token_in_its_answer_is_not_quoted(home: Path, host: Host) -> None:
    host.status = 403
    with pytest.raises(Permanent, match="is not welcome") as caught:
        Mirror(f"http://robot:{SECRET.replace('/', '%2F')}@{host.address}", home).resolve("main")
    assert "t0ken" not in str(caught.value)


def test_a_host_that_is_not_there_is_worth_another_try(home: Path) -> None:
    with pytest.raises(Transient, match=r"Cannot read http://127.0.0.1:1/x.git at the moment"):
        Mirror("http://127.0.0.1:1/x.git", home).resolve("main")


def test_a_host_that_never_answers_is_given_up(host: Host) -> None:
    host.may_answer.clear()
    with pytest.raises(Transient, match=r"git ls-remote did not end within 1 s"):
        run(["ls-remote", f"http://{host.address}"], seconds=1)


RESOLVE = "import sys, pathlib, aml_canary.gateways.git as git; print(git.Mirror(sys.argv[1], pathlib.Path(sys.argv[2])).resolve('main'))"


def test_many_processes_make_the_same_mirror_at_once(origin: Origin, home: Path) -> None:
    commit = origin.push("one")
    command = [sys.executable, "-c", RESOLVE, origin.url, str(home)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    assert [process.communicate() for process in processes] == [(commit + "\n", "")] * 8
    assert sorted(path.suffix for path in (home / "mirrors").iterdir()) == ["", ".lock"]


def test_who_waits_for_a_busy_mirror_gives_up_and_who_needs_nothing_new_does_not_wait(
    origin: Origin, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = origin.push("one")
    mirror = Mirror(origin.url, home)
    mirror.need(commit)
    monkeypatch.setattr(git, "LOCK_SECONDS", 0.1)
    with mirror.path.with_suffix(".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert mirror.resolve(commit) == commit
        with pytest.raises(Transient, match="Another process has held"):
            mirror.resolve("main")


def test_a_renewed_token_does_not_mean_another_mirror(home: Path) -> None:
    plain, old, new = (Mirror(f"https://{userinfo}git.example.test/x.git", home) for userinfo in ("", "robot:old@", "robot:new@"))
    assert plain.path == old.path == new.path


def test_a_process_that_dies_while_making_a_mirror_leaves_no_half_of_one(origin: Origin, home: Path, host: Host) -> None:
    commit = origin.push("one")
    subprocess.run(["git", "-C", str(origin.bare), "update-server-info"], check=True)
    url = f"http://{host.address}"
    host.may_answer.clear()
    dying = subprocess.Popen([sys.executable, "-c", RESOLVE, url, str(home)])
    assert host.asked.wait(60)
    dying.kill()
    dying.wait()
    mirror = Mirror(url, home)
    assert not mirror.path.exists()
    host.may_answer.set()
    assert mirror.resolve("main") == commit
    assert sorted(path.suffix for path in (home / "mirrors").iterdir()) == ["", ".lock"]


def no_head(path: Path) -> None:
    (path / "HEAD").unlink()


def empty_objects(path: Path) -> None:
    for file in (file for file in (path / "objects").rglob("*") if file.is_file()):
        file.chmod(0o600)
        file.write_bytes(b"")


def no_objects(path: Path) -> None:
    for file in [file for file in (path / "objects").rglob("*") if file.is_file()]:
        file.unlink()


def abandoned_lock(path: Path) -> None:
    (path / "refs" / "heads" / "main.lock").touch()


def broken_config(path: Path) -> None:
    (path / "config").write_text("[core\n")


@pytest.mark.parametrize("damage", [no_head, empty_objects, no_objects, abandoned_lock, broken_config], ids=lambda damage: damage.__name__)
def test_a_damaged_mirror_is_made_anew(origin: Origin, home: Path, damage: Callable[[Path], None]) -> None:
    mirror = Mirror(origin.url, home)
    origin.push("one")
    mirror.resolve("main")
    damage(mirror.path)
    commit = origin.push("two")
    assert mirror.resolve("main") == commit
    assert GitTree(mirror, commit).read("file.txt") == b"two"
    assert sorted(path.suffix for path in (home / "mirrors").iterdir()) == ["", ".lock"]


def test_a_file_that_is_damaged_in_the_mirror_is_there_at_the_next_try(origin: Origin, home: Path) -> None:
    commit = origin.push("one")
    mirror = Mirror(origin.url, home)
    blob = GitTree(mirror, commit).blob_id("file.txt")
    assert blob is not None
    (mirror.path / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Transient, match="damaged"):
        GitTree(mirror, commit).read("file.txt")
    assert GitTree(mirror, commit).read("file.txt") == b"one"


def test_a_mirror_folder_that_cannot_be_written_is_named(origin: Origin, home: Path) -> None:
    home.write_text("a file where a folder should be")
    with pytest.raises(Transient, match=str(home)):
        Mirror(origin.url, home).resolve("main")


def test_who_wrote_a_commit_is_its_author_committer_and_co_authors_and_of_a_merge_whoever_wrote_what_it_brings(
    origin: Origin, home: Path
) -> None:
    me = ("A Person", "person@example.test")
    root = origin.push("one")
    origin.git("checkout", "-q", "-b", "retrain")
    origin.git("commit", "-q", "--allow-empty", "--author=Bob B <bob@example.test>", "-m", "two\n\nCo-authored-by: Eve <eve@example.test>")
    origin.git("commit", "-q", "--allow-empty", "--author=Carl <carl@example.test>", "-m", "three")
    origin.git("checkout", "-q", "main")
    origin.git("merge", "-q", "--no-ff", "-m", "merged", "retrain")
    merge = origin.push("four")
    mirror = Mirror(origin.url, home)
    assert mirror.authors(root) == (me,)
    assert mirror.authors(merge) == (me,)
    brought = mirror.authors(origin.git("rev-parse", "HEAD^1"))
    assert set(brought) == {me, ("Bob B", "bob@example.test"), ("Eve", "eve@example.test"), ("Carl", "carl@example.test")}
    with pytest.raises(Permanent):
        mirror.authors("0" * 40)


def test_a_commit_is_described_by_its_subject_its_author_and_its_date_whatever_stands_in_them(origin: Origin, home: Path) -> None:
    mirror = Mirror(origin.url, home)
    origin.push("first")
    (origin.work / "file.txt").write_text("second")
    body = "Green: 100 %%h `x` | <b>\n\nWhy it is so.\n"
    origin.git("commit", "-q", "--all", "--date", "2026-01-02T03:04:05+01:00", "-m", body)
    origin.git("push", "-q", str(origin.bare), "HEAD:refs/heads/main")
    commit = origin.git("rev-parse", "HEAD")
    found = described(mirror, commit)
    assert (found.subject, found.author) == ("Green: 100 %%h `x` | <b>", "A Person")
    assert found.date == origin.git("show", "-s", "--format=%cI", commit)
    with pytest.raises(Permanent, match="has no branch, tag or commit"):
        described(mirror, "0" * 40)
