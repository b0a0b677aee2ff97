"""The demo as a user runs it: it ends as it should, and leaves no process behind, whichever way it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from examples.demo.stack import ROOT


def start_demo(folder: Path) -> "subprocess.Popen[str]":
    """`make demo` in a folder of its own, with the Prefect database that other tests have made ready, and the caller's settings ignored."""
    (folder / "cache").symlink_to(ROOT / ".demo" / "cache")
    elsewhere = {"AZUREML_CURRENT_CLOUD": "SomebodyElses", "PREFECT_API_URL": "http://127.0.0.1:1/api"}
    command = [sys.executable, "-m", "examples.demo", "--folder", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | elsewhere, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


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


def test_the_demo_s_two_releases_end_as_they_should_with_no_request_lost_and_no_process_left(tmp_path: Path) -> None:
    (ROOT / ".demo" / "cache").mkdir(parents=True, exist_ok=True)
    demo = start_demo(tmp_path)
    output, _ = demo.communicate(timeout=280)
    assert demo.returncode == 0, output
    for part in ("= Promoted", "= Failed", "SmokeFailed: green failed 1 of 1 smoke requests", "Requests lost: 0.", "As it should be."):
        assert part in output
    assert processes_of(tmp_path) == []


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "create-blue" in line:
            break
    assert processes_of(tmp_path), "it is at work"
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert processes_of(tmp_path) == []
