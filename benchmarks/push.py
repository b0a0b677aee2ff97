"""From a signed push to the rollout's flow run: how long, on SQLite, with a worker that is up.

`python -m benchmarks.push [--pushes N]` starts the demo's stack and prints p50 and p95 in seconds. Each push changes one endpoint's manifest;
the clock runs from when the signed delivery is sent to when Prefect says that it created the canary run. Rollouts are not begun and Prefect
is seldom asked: both would take the processors from what is measured. May import the demo, requests and the standard library.
"""

import argparse
import hashlib
import hmac
import json
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import requests

from examples.demo.manifests import manifest, path_of
from examples.demo.processes import adopt_orphans, end_orphans
from examples.demo.repository import Repository
from examples.demo.stack import ROOT, Stack, running_stack


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
    print(
        f"signed push to canary run: p50 {statistics.median(seconds):.1f} s, p95 {p95:.1f} s, {len(seconds)} pushes, "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    )


def measure(folder: Path, pushes: int) -> list[float]:
    """Seconds from push to run, one for each push. The first push, which also makes the mirror, is not counted."""
    repository = Repository(folder / "git")
    with running_stack(folder, ROOT / ".demo" / "cache", {repository.name: repository.url}) as stack:
        stack.clear_schedules()
        repository.copy(ROOT / "examples" / "models", "models")
        repository.copy(ROOT / "examples" / "manifests" / "sample-request.json", "configs/sample-request.json")
        stack.start_door()
        hold_rollouts(stack)
        before = "0" * 40
        taken = []
        for number in range(pushes + 1):
            another = f"  approvals: {{timeout_hours: {number + 1}}}\n"
            text = manifest("bench", {"blue": 100}, {"blue": "v1"}, rollout=another)
            commit = repository.push({path_of("bench"): text}, f"Push {number}")
            sent = datetime.now(UTC)
            deliver(stack, repository.name, before, commit)
            while not (found := [run for run in stack.prefect.runs("canary") if run["parameters"]["commit"] == commit]):
                time.sleep(0.5)
            taken.append((datetime.fromisoformat(found[0]["created"]) - sent).total_seconds())
            before = commit
            # One at a time.
            for run in found:
                stack.prefect.cancel(run["id"])
                stack.prefect.wait(run["id"], seconds=120)
            for run in stack.prefect.runs("sync"):
                stack.prefect.wait(run["id"], seconds=120)
        return taken[1:]


def hold_rollouts(stack: Stack) -> None:
    """Rollouts are created and not begun: their queue is paused."""
    stack.prefect.call("POST", "/work_pools/rollouts/queues/", {"name": "held", "is_paused": True})
    deployment = stack.prefect.deployment("canary/canary")["id"]
    stack.prefect.call("PATCH", f"/deployments/{deployment}", {"work_pool_name": "rollouts", "work_queue_name": "held"})


def deliver(stack: Stack, repository: str, before: str, after: str) -> None:
    """The push as a git host tells of it."""
    push = {"ref": "refs/heads/main", "before": before, "after": after, "created": False, "deleted": False, "forced": False}
    body = json.dumps(push | {"repository": {"full_name": repository}, "pusher": {"name": "bench"}, "commits": []}).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": "sha256=" + hmac.new(stack.webhook_secret.encode(), body, hashlib.sha256).hexdigest(),
    }
    with requests.Session() as session:
        session.trust_env = False
        session.post(f"{stack.door}/webhooks/github", data=body, headers=headers, timeout=60).raise_for_status()


if __name__ == "__main__":
    main()
