"""The demo in which a person answers: the guard does its work meanwhile, and Ctrl-C leaves no process behind."""

from pathlib import Path

import pytest

from examples.demo.prefect_api import PrefectApi
from examples.demo.stack import free_port
from tests.e2e.running_demo import press_ctrl_c_until_it_has_ended, processes_of, start_demo, until_line

pytestmark = pytest.mark.timeout(1500)


def test_while_a_person_decides_the_guard_does_its_work_and_ctrl_c_however_often_leaves_no_process_behind(tmp_path: Path) -> None:
    # Another demo may be starting at this very moment, and both would find the usual port free.
    demo = start_demo(tmp_path, "--approve", "ui", "--port", str(free_port()))
    prefect = PrefectApi(until_line(demo, r"Prefect UI +(http\S+)")[1] + "/api")
    run = until_line(demo, r"\? flight-green-10 +answer with Resume at \S+/runs/flow-run/(\S+)")[1]
    prefect.cancel(run)
    until_line(demo, r"= Cancelled")
    until_line(demo, r"= free +blue 100 %")

    another = start_demo(tmp_path)
    output, _ = another.communicate(timeout=240)
    assert (another.returncode, "Another demo runs in" in output) == (2, True), output
    assert prefect.healthy(), "the first goes on"

    until_line(demo, "A broken release")
    assert processes_of(tmp_path), "it is at work"
    press_ctrl_c_until_it_has_ended(demo)
    assert demo.stdout is not None
    assert "Stopped." in demo.stdout.read()
    assert demo.returncode == 130
    assert processes_of(tmp_path) == []
