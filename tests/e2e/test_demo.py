"""The demo as a user runs it: it ends as it should, what it prints is so, a beginner's next steps are possible, and no process is left."""

import re
from pathlib import Path

import pytest

from examples.demo.stack import azure_log
from tests.contract.emulator.openapi import insist_on_true_answers
from tests.e2e.beginner import Beginner
from tests.e2e.running_demo import press_ctrl_c_until_it_has_ended, processes_of, start_demo, until_line

pytestmark = pytest.mark.timeout(1500)
# The columns of a stage: seconds, endpoint, `-` or `x`, name, how long it took, live traffic, answers, losses.
STAGE = re.compile(r" *([\d.]+)  (\w+) +([-x]) (\S+) +([\d.]+) s   (.*?) +answered (.*), lost (\d+)")


def test_the_demo_ends_as_it_should_and_whoever_goes_on_as_the_guide_says_gets_there(tmp_path: Path) -> None:
    (tmp_path / "run" / "prefect").mkdir(parents=True)
    (tmp_path / "run" / "prefect" / "prefect.db").write_text("what an earlier demo has left")
    demo = start_demo(tmp_path, "--keep")
    output = until_line(demo, r"[Aa]s it should be\.").string
    for part in ("= Promoted", "= Failed", "SmokeFailed: green failed 1 of 1 smoke requests", "As it should be."):
        assert part in output
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

    walk_through_the_guide(tmp_path)
    press_ctrl_c_until_it_has_ended(demo)
    assert processes_of(tmp_path) == []
    insist_on_true_answers(azure_log(tmp_path / "run"))


def walk_through_the_guide(folder: Path) -> None:
    """What docs/getting-started.md has its reader do once the demo is up."""
    with Beginner(folder) as beginner:
        walk(beginner)


def walk(beginner: Beginner) -> None:
    beginner.take_over()
    beginner.write_a_manifest()
    first = beginner.push_the_first()
    with beginner.beginning(beginner.watch) as watching:
        assert beginner.approve_each(first) == ["full-blue"]
        assert beginner.ended(first) == "Promoted"
        assert watching.wait(240) == 0, "it ends by itself"
        assert "houses" in watching.log.read_text()
    second = beginner.push_the_canary()
    assert beginner.approve_each(second, but="full-green") == ["flight-green-10"]
    assert "AuthorizationFailed" in beginner.break_the_last_step(second)
    beginner.press_retry(second)
    assert beginner.approve_each(second) == [], "what was approved is not asked again"
    assert beginner.ended(second) == "Promoted"
    told = beginner.look_back(second)
    assert told.index("Ada (unverified) approved flight-green-10") < told.index("AuthorizationFailed") < told.index("full-green: done in")


def counts(text: str) -> dict[str, int]:
    """Numbers by deployment, however they are written."""
    return {name: int(number) for name, number in re.findall(r"(\w+)'?:? (\d+)", text)}
