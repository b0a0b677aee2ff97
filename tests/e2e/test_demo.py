"""The demo as a user runs it: it ends as it should, what it prints is so, and it leaves no process behind, whichever way it ends."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from examples.demo.prefect_api import PrefectApi
from examples.demo.processes import end_with_parent
from examples.demo.stack import ROOT, azure_log
from tests.contract.emulator.openapi import insist_on_true_answers

# The columns of a stage: seconds, endpoint, `-` or `x`, name, how long it took, live traffic, answers, losses.
STAGE = re.compile(r" *([\d.]+)  (\w+) +([-x]) (\S+) +([\d.]+) s   (.*?) +answered (.*), lost (\d+)")


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
    """The first line of the demo's output that the pattern is found in."""
    assert demo.stdout is not None
    seen = []
    for line in demo.stdout:
        seen.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"no {pattern!r} in:\n{''.join(seen)}")


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


def test_while_a_person_decides_the_guard_does_its_work_and_ctrl_c_however_often_leaves_no_process_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--approve", "ui")
    prefect = PrefectApi(until_line(demo, r"Prefect UI +(http\S+)")[1] + "/api")
    run = until_line(demo, r"\? flight-green-10 +answer with Resume at \S+/runs/flow-run/(\S+)")[1]
    prefect.cancel(run)
    until_line(demo, r"= Cancelled")
    until_line(demo, r"= free +blue 100 %")

    another = start_demo(tmp_path)
    output, _ = another.communicate(timeout=60)
    assert (another.returncode, "Another demo runs in" in output) == (2, True), output
    assert prefect.healthy(), "the first goes on"

    until_line(demo, "A broken release")
    assert processes_of(tmp_path), "it is at work"
    press_ctrl_c_until_it_has_ended(demo)
    assert demo.stdout is not None
    assert "Stopped." in demo.stdout.read()
    assert demo.returncode == 130
    assert processes_of(tmp_path) == []


def test_the_demo_s_two_releases_end_as_they_should_with_no_request_lost_and_no_process_left(tmp_path: Path) -> None:
    (tmp_path / "run" / "prefect").mkdir(parents=True)
    (tmp_path / "run" / "prefect" / "prefect.db").write_text("what an earlier demo has left")
    demo = start_demo(tmp_path)
    output, _ = demo.communicate(timeout=480)
    assert demo.returncode == 0, output
    for part in ("= Promoted", "= Failed", "SmokeFailed: green failed 1 of 1 smoke requests", "As it should be."):
        assert part in output
    assert processes_of(tmp_path) == []
    insist_on_true_answers(azure_log(tmp_path / "run"))
    for endpoint in ("churn", "fraud"):
        for stage, live in [("create-endpoint", "no traffic"), ("smoke-invoke-blue", "no traffic"), ("full-blue", "blue 100 %")]:
            assert re.search(rf"{endpoint} +- {stage} +[\d.]+ s +{live}\n", output), output

    stages = [found.groups() for found in map(STAGE.match, output.splitlines()) if found]
    assert [(endpoint, mark, name, weights) for _, endpoint, mark, name, _, weights, _, _ in stages] == [
        ("churn", "-", "create-green", "blue 100 %"),
        ("churn", "-", "smoke-invoke-green", "blue 100 %"),
        ("churn", "-", "flight-green-10", "blue 90 % green 10 %"),
        ("churn", "-", "full-green", "green 100 %"),
        ("churn", "-", "delete-blue", "green 100 %"),
        ("fraud", "-", "create-green", "blue 100 %"),
        ("fraud", "x", "smoke-invoke-green", "blue 100 %"),
    ], output
    assert {lost for *_, lost in stages} == {"0"}
    answered = {(endpoint, name): counts(by) for _, endpoint, _, name, _, _, by, _ in stages}
    last = re.search(r"Requests sent: (\d+), answered: \{'churn': (\{.*?\}), 'fraud': (\{.*?\})\}, lost: 0\.", output)
    assert last, output
    churn, fraud = counts(last[2]), counts(last[3])
    assert int(last[1]) == sum(churn.values()) + sum(fraud.values())
    assert list(fraud) == ["blue"]
    assert list(answered["churn", "smoke-invoke-green"]) == ["blue"]
    assert answered["churn", "full-green"]["green"] > 0
    assert churn["blue"] == answered["churn", "full-green"]["blue"], "nothing came from blue once green had all of it"
    assert churn["green"] > answered["churn", "delete-blue"]["green"]


def counts(text: str) -> dict[str, int]:
    """Numbers by deployment, however they are written."""
    return {name: int(number) for name, number in re.findall(r"(\w+)'?:? (\d+)", text)}
