"""The demo as a user runs it: it ends as it should, what it prints is so, and it leaves no process behind."""

import re
from pathlib import Path

from examples.demo.stack import azure_log
from tests.contract.emulator.openapi import insist_on_true_answers
from tests.e2e.running_demo import processes_of, start_demo

# The columns of a stage: seconds, endpoint, `-` or `x`, name, how long it took, live traffic, answers, losses.
STAGE = re.compile(r" *([\d.]+)  (\w+) +([-x]) (\S+) +([\d.]+) s   (.*?) +answered (.*), lost (\d+)")


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
