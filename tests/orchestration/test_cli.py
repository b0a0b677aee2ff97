"""The installed program against everything running: what is live, who holds it, and starting a rollout by hand."""

import json
import subprocess
from pathlib import Path

from examples.demo.manifests import path_of
from examples.demo.stack import BIN


def cli(world, *words, cwd=None):
    found = subprocess.run([BIN / "aml-canary", *words], cwd=cwd, env=world.stack.env, capture_output=True, text=True, check=False)
    assert "Traceback" not in found.stderr, found.stderr
    return found


def test_status_can_be_planned_from_and_names_the_rollout_that_holds_an_endpoint(world, tmp_path: Path):
    world.blue_is_live()
    printed = cli(world, "status", world.endpoint, "--format", "json")
    assert printed.returncode == 0
    [live] = json.loads(printed.stdout)
    assert (live["name"], live["traffic"], live["rollout"]) == (world.endpoint, {"blue": 100}, None)
    assert f"{world.endpoint}: no rollout\n| deployment | live traffic |" in cli(world, "status").stdout

    manifest = world.repository.work / path_of(world.endpoint)
    observed = tmp_path / "observed.json"
    observed.write_text(printed.stdout)
    unchanged = cli(world, "plan", manifest, "--observed", observed, "--format", "json")
    assert json.loads(unchanged.stdout)["steps"] == []

    world.push({"green": 100}, {"green": "v2"})
    before = world.writes()
    from_file = cli(world, "plan", manifest, "--observed", observed)
    assert from_file.stdout == cli(world, "plan", manifest).stdout
    assert "| 4 | `full-green` |" in from_file.stdout
    assert world.writes() == before

    started = cli(world, "run", manifest, "--repository", world.repository.url, "--format", "json")
    assert started.returncode == 0, started.stderr
    run = json.loads(started.stdout)["run"]
    assert world.until_asked(run) == "flight-green-10"
    held = json.loads(cli(world, "status", world.endpoint, "--format", "json").stdout)[0]["rollout"]
    assert held == f"Suspended, flow run {run}"
    world.answer(run, "reject")
    world.end_of(run)
