"""The demo as a user runs it, in a folder of its own: started, listened to, stopped, and what is left of it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from examples.demo.processes import end_with_parent
from examples.demo.stack import ROOT


def start_demo(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """`make demo` in a folder, with the Prefect database that other tests have made ready, and the caller's settings ignored."""
    cache = ROOT / ".demo" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    if not (folder / "cache").exists():
        (folder / "cache").symlink_to(cache)
    elsewhere = {"AZUREML_CURRENT_CLOUD": "SomebodyElses", "PREFECT_API_URL": "http://127.0.0.1:1/api"}
    command = [sys.executable, "-m", "examples.demo", "--folder", str(folder), *options]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What a terminal gives it: Ctrl-C reaches everything in it at once.
        start_new_session=True,
        preexec_fn=lambda: end_with_parent(signal.SIGTERM),
    )


def until_line(demo: "subprocess.Popen[str]", pattern: str) -> re.Match[str]:
    """Read the demo's output until the pattern is found in it; the match, whose `string` is all that was read."""
    assert demo.stdout is not None
    seen = ""
    for line in demo.stdout:
        seen += line
        if found := re.search(pattern, seen):
            return found
    raise AssertionError(f"no {pattern!r} in:\n{seen}")


def press_ctrl_c_until_it_has_ended(demo: "subprocess.Popen[str]") -> None:
    """As somebody impatient does."""
    for _ in range(600):
        try:
            os.killpg(demo.pid, signal.SIGINT)
            demo.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        return
    raise AssertionError("not ended after a minute")


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes that have to do with the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                about = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in about:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found
