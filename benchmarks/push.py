"""From a signed push to the rollout's flow run: how long, on SQLite, with a worker that is up.

`python -m benchmarks.push [--pushes N]` starts the demo's stack and prints p50 and p95 in seconds. Each push changes one endpoint's manifest;
clocks start when the delivery is sent and stop when the canary run is in Prefect. May import the demo and the standard library.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from examples.demo.manifests import manifest, path_of
from examples.demo.processes import adopt_orphans, end_orphans
from examples.demo.repository import Repository
from examples.demo.stack import ROOT, running_stack


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push", description=__doc__)
    parser.add_argument("--pushes", type=int, default=10)
    pushes = parser.parse_args().pushes
    adopt_orphans()
    try:
        with tempfile.TemporaryDirectory() as folder:
            seconds = sorted(measure(Path(folder), pushes))
    finally:
        end_orphans()
    p95 = seconds[min(len(seconds) - 1, round(0.95 * len(seconds)))]
    print(f"push to canary run: p50 {statistics.median(seconds):.1f} s, p95 {p95:.1f} s, {len(seconds)} pushes")


def measure(folder: Path, pushes: int) -> list[float]:
    """Seconds from push to run, one for each push. The first push, which also makes the mirror, is not counted."""
    repository = Repository(folder / "git")
    with running_stack(folder, ROOT / ".demo" / "cache", {repository.name: repository.url}) as stack:
        stack.clear_schedules()
        repository.copy(ROOT / "examples" / "models", "models")
        repository.copy(ROOT / "examples" / "manifests" / "sample-request.json", "configs/sample-request.json")
        stack.start_door()
        repository.tell(stack.door, stack.webhook_secret)
        taken = []
        for number in range(pushes + 1):
            another = f"  approvals: {{timeout_hours: {number + 1}}}\n"
            text = manifest("bench", {"blue": 100}, {"blue": "v1"}, rollout=another)
            began = time.monotonic()
            commit = repository.push({path_of("bench"): text}, f"Push {number}")
            while not (found := [run for run in stack.prefect.runs("canary") if run["parameters"]["commit"] == commit]):
                time.sleep(0.02)
            taken.append(time.monotonic() - began)
            # One at a time: what is measured is not the rollouts.
            for run in found:
                stack.prefect.cancel(run["id"])
                stack.prefect.wait(run["id"], seconds=120)
        return taken[1:]


if __name__ == "__main__":
    main()
