"""Running the git program: it never asks a question, never obeys a stranger's configuration, and always ends.

Not a git library: what is asked of git is in `gateways.git`, the only user of this module. May import `errors` only.
"""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from aml_canary.errors import AmlCanaryError, Permanent, Transient

LOCAL_SECONDS = 120.0
REMOTE_SECONDS = 900.0
# After SIGTERM git removes its lock files; after SIGKILL they would stay and stop the next fetch.
GRACE_SECONDS = 5.0

# Hooks and file-system monitors are programs; a detached `gc` would outlive the lock it was started under.
_ALWAYS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.autoDetach=false")
# Where the user's own settings are needed to reach a host, these variables are; all other GIT_* name somebody else's repository.
_REACHING = ("GIT_CONFIG_", "GIT_SSH", "GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_")
_UNTRUSTED = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1"}
# The text has no secret in it: both values travel in the environment, seen neither in a list of processes nor in a log.
_HELPER = '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$AML_CANARY_GIT_USER" "$AML_CANARY_GIT_PASSWORD"; }; f'

_ADDRESS = re.compile(r"(https?|ssh|file)://[^\s-].*|/.+|[\w.][\w.-]*(@[\w.][\w.-]*)?:(?!:|//)[^\s-].*")

# What git and the hosts say when another try would end the same way, and what a person can do about it. First match wins.
_REFUSALS = (
    (
        r"Authentication failed|could not read (Username|Password)|Invalid username or|Permission denied|returned error: 40[13]",
        "the git host refused the credentials",
        "Check that the token or key is valid and may read this repository.",
    ),
    (
        r"not found|does not exist|does not appear to be a git repository|returned error: 4(?!08|25|29)\d\d",
        "there is no such repository, or these credentials may not see it",
        "Check the address in AML_CANARY_REPOSITORIES.",
    ),
    (r"Host key verification failed", "the host's SSH key is not known here", "Add it to known_hosts of the user that runs this."),
    (
        r"certificate (problem|verif)|certificate verification failed",
        "the host's certificate is not trusted here",
        "Check the CA bundle (http.sslCAInfo or GIT_SSL_CAINFO).",
    ),
    (
        r"transport '.*' not allowed|nable to find remote helper|remote helper '.*' aborted",
        "git may not speak this protocol",
        "Use https://, ssh:// or file://.",
    ),
    (
        r"mismatched algorithms|dubious ownership|detected dubious",
        "git will not read this repository",
        "Read what git said: it names the setting.",
    ),
)


class Answer(NamedTuple):
    """What one git call gave back: exit status, standard output, standard error."""

    status: int
    out: bytes
    err: str


class Address:
    """Where a repository is read from: what may be shown, and apart from it the credentials that were written into the URL.

    Raises Permanent where `url` is no address of a kind that git may read here: http(s), ssh, file, `user@host:path`, or an absolute path.
    """

    def __init__(self, url: str) -> None:
        if not _ADDRESS.fullmatch(url) or not url.isprintable():
            where = ("***@" if "@" in url else "") + url.rpartition("@")[2]
            raise Permanent(f"{where!r} is not a repository address. Use https://, ssh://, file://, user@host:path or an absolute path.")
        self.bare, self._user, self._password, self._host = url, "", "", ""
        if url.startswith("http"):
            parts = urlsplit(url)
            userinfo, at, netloc = parts.netloc.rpartition("@")
            if at:
                user, _, password = userinfo.partition(":")
                self._user, self._password = unquote(user), unquote(password)
                self.bare, self._host = parts._replace(netloc=netloc).geturl(), f"{parts.scheme}://{netloc}"

    def __str__(self) -> str:
        return shown(self.bare)

    def options(self) -> tuple[str, ...]:
        """Configuration that lets git ask us, and nobody else, for the credentials of this one host."""
        return ("credential.helper=", f"credential.{self._host}.helper={_HELPER}") if self._host else ()

    def environment(self) -> dict[str, str]:
        return {"AML_CANARY_GIT_USER": self._user, "AML_CANARY_GIT_PASSWORD": self._password} if self._host else {}

    def failure(self, err: str) -> AmlCanaryError:
        """The error that git's complaint about this address amounts to."""
        said = shown(" / ".join(line.strip() for line in err.splitlines() if line.strip()))[-600:]
        if secret := self._password or self._user:
            said = said.replace(secret, "***")
        for pattern, meaning, remedy in _REFUSALS:
            if re.search(pattern, err):
                return Permanent(f"Cannot read {self}: {meaning}. {remedy} git said: {said}")
        return Transient(f"Cannot read {self} at the moment. git said: {said or 'nothing'}")


def shown(text: str) -> str:
    """`text` without what stands before an `@` in any URL inside it."""
    return re.sub(r"(?<=://)[^/\s'\"]*@", "***@", text)


def run(
    arguments: Iterable[str],
    *,
    options: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    trusting: bool = False,
    folder: Path | None = None,
    feed: bytes = b"",
    seconds: float = LOCAL_SECONDS,
) -> Answer:
    """One call of git to its end. The exit status is the caller's to judge; Transient where it took longer than `seconds`.

    `options` are `name=value` configuration. `trusting` reads the user's and the system's configuration too: needed to reach
    a host (proxy, CA, credential helper), never wanted where content comes out.
    """
    settings = [word for option in (*_ALWAYS, *options) for word in ("-c", option)]
    command = ["git", *settings, *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(trusting) | dict(environment or {}),
            cwd=folder,
            start_new_session=True,  # no terminal to ask on, and one group to end
        )
    except OSError as problem:
        raise Permanent(
            f"Cannot run git in {folder or Path.cwd()}: {problem.strerror}. Is git installed, and the folder there?"
        ) from problem
    with process:
        try:
            out, err = process.communicate(feed, seconds)
        except subprocess.TimeoutExpired as late:
            verb = next(word for word in command[len(settings) + 1 :] if not word.startswith("-"))
            raise Transient(f"git {verb} did not end within {seconds:.0f} s and was stopped.") from late
        finally:
            if process.poll() is None:
                _end(process)
    return Answer(process.returncode, out, err.decode(errors="replace"))


def _environment(trusting: bool) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "SSH_ASKPASS", "LC_", "LANGUAGE")) or (trusting and name.startswith(_REACHING))
    }
    quiet = {
        "LC_ALL": "C",  # failures are told apart by git's English words
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
        "GIT_NO_REPLACE_OBJECTS": "1",  # a fetched replacement would be content under another content's name
        "GIT_OPTIONAL_LOCKS": "0",
    }
    return kept | quiet | ({} if trusting else _UNTRUSTED)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends git and the helpers it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
