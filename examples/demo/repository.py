"""A bare git repository whose post-receive hook tells the webhook door, signed, as a git host would; and a working copy to push from.

May import the standard library only.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_HOOK = """#!{python}
import hashlib, hmac, json, sys, time, urllib.error, urllib.request, uuid
for line in sys.stdin:
    before, after, ref = line.split()
    body = json.dumps({{
        "ref": ref, "before": before, "after": after, "created": set(before) == {{"0"}}, "deleted": set(after) == {{"0"}}, "forced": False,
        "repository": {{"full_name": "{name}"}}, "pusher": {{"name": "demo"}}, "head_commit": {{"id": after}}, "commits": [],
    }}).encode()
    signature = "sha256=" + hmac.new(b"{secret}", body, hashlib.sha256).hexdigest()
    headers = {{
        "Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": str(uuid.uuid4()), "X-Hub-Signature-256": signature,
    }}
    request = urllib.request.Request("{door}/webhooks/github", body, headers)
    # Bitbucket and Azure DevOps deliver again, too, where nobody answered in time or the answer was 503.
    for left in reversed(range(20)):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(request, timeout=20) as reply:
                print("webhook:", reply.status, reply.read().decode()[:200], file=sys.stderr)
            break
        except OSError as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code != 503
            if refused or not left:
                raise
            time.sleep(2)
"""


class Repository:
    """A bare repository below `folder`, and a clone of it."""

    def __init__(self, folder: Path, name: str = "demo/models") -> None:
        self.name = name
        self.bare, self.work = folder / "models.git", folder / "working-copy"
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare), cwd=None)
        self._git("clone", "--quiet", str(self.bare), str(self.work), cwd=None)
        self._git("checkout", "--quiet", "-B", "main")

    @property
    def url(self) -> str:
        return self.bare.as_uri()

    def tell(self, door: str, secret: str) -> None:
        """From now on, each push is told to the door."""
        hook = self.bare / "hooks" / "post-receive"
        hook.write_text(_HOOK.format(python=sys.executable, name=self.name, secret=secret, door=door))
        hook.chmod(0o755)

    def copy(self, source: Path, to: str) -> None:
        """Put a copy of a folder or file into the working copy."""
        target = self.work / to
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)

    def push(self, files: Mapping[str, str], message: str) -> str:
        """Write files, commit everything, push; the commit id."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "-m", message)
        self._git("push", "--quiet", "origin", "HEAD:main")
        return self._git("rev-parse", "HEAD").strip()

    def put_back(self, commit: str) -> None:
        """Push the branch back to an older commit, by force."""
        self._git("reset", "--quiet", "--hard", commit)
        self._git("push", "--quiet", "--force", "origin", "HEAD:main")

    def remove(self, path: str) -> str:
        """Remove a file, commit, push; the commit id."""
        (self.work / path).unlink()
        return self.push({}, f"Remove {path}")

    def _git(self, *arguments: str, cwd: Path | None = Path()) -> str:
        identity = {
            "GIT_AUTHOR_NAME": "Demo",
            "GIT_AUTHOR_EMAIL": "demo@localhost",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
        }
        env = {**os.environ, **identity, "GIT_COMMITTER_NAME": "Demo", "GIT_COMMITTER_EMAIL": "demo@localhost"}
        where = self.work if cwd is not None else None
        done = subprocess.run(["git", *arguments], cwd=where, env=env, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"git {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout
