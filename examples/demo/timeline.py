"""Follows rollouts: prints each stage as it ends, with the traffic and who answered meanwhile, and answers the gates.

May import this package only.
"""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from examples.demo.stack import Stack
from examples.demo.traffic import Tally

_STAGES = ("create-", "scale-", "smoke-invoke-", "flight-", "full-", "delete-", "roll-back-")


class Timeline:
    """Prints `seconds  stage  took  live traffic  answered by`, one line for each stage; seconds since `started` on the monotonic clock."""

    def __init__(self, stack: Stack, started: float, *, by_hand: bool) -> None:
        self._stack, self._by_hand = stack, by_hand
        self._started = started
        self._samples: list[tuple[datetime, str, str]] = []
        self.tallies: Mapping[str, Tally] = {}

    def runs_of(self, commit: str, count: int, seconds: float = 90) -> list[str]:
        """The rollouts that a push led to, once all are there. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = [run["id"] for run in self._stack.prefect.runs("canary") if run["parameters"].get("commit") == commit]
            if len(runs) == count:
                return runs
            time.sleep(0.2)
        raise TimeoutError(f"Commit {commit[:7]} led to no {count} rollouts within {seconds:.0f} s.")

    def follow(self, run: str) -> str:
        """Follow a rollout to its end, and return the type of its final state."""
        api = self._stack.prefect
        self._samples = []
        printed: set[str] = set()
        asked = ""
        while True:
            found = api.run(run)
            state = found["state"] or {}
            endpoint = str(found["name"]).split("@")[0]
            self._sample(endpoint)
            self._print_stages(run, endpoint, printed)
            if state.get("type") in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                # Prefect records task runs a moment later than the run.
                time.sleep(1.0)
                self._print_stages(run, endpoint, printed)
                message = str(state.get("message")).removeprefix("Flow run encountered an exception: ")
                self._line(endpoint, f"= {state['name']}", message)
                return str(state["type"])
            if state.get("name") == "Suspended" and state["id"] != asked:
                asked = state["id"]
                self._ask(run, endpoint)
            time.sleep(0.2)

    def _ask(self, run: str, endpoint: str) -> None:
        api = self._stack.prefect
        gate = api.gate(run)
        if self._by_hand:
            address = f"{api.url.removesuffix('/api')}/runs/flow-run/{run}"
            self._line(endpoint, f"? {gate}", f"answer with Resume at {address}")
        else:
            api.answer(run, "approve", approver="demo", comment="answered by make demo")
            self._line(endpoint, f"? {gate}", "approved")

    def _print_stages(self, run: str, endpoint: str, printed: set[str]) -> None:
        for task in self._stack.prefect.task_runs(run):
            state = task["state"] or {}
            if task["id"] in printed or not task["name"].startswith(_STAGES) or state.get("type") not in ("COMPLETED", "FAILED"):
                continue
            printed.add(task["id"])
            weights = " ".join(f"{name} {weight} %" for name, weight in self._stack.traffic(endpoint).items()) or "no traffic"
            self._line(
                endpoint,
                f"{'x' if state['type'] == 'FAILED' else '-'} {task['name']}",
                f"{task['total_run_time']:5.1f} s   {weights:22} {self._answered(endpoint)}",
            )

    def _sample(self, endpoint: str) -> None:
        weights = " ".join(f"{name} {weight} %" for name, weight in self._stack.traffic(endpoint).items()) or "no traffic"
        self._samples.append((datetime.now(UTC), weights, self._answered(endpoint)))

    def _at(self, moment: str) -> tuple[str, str]:
        """Traffic and answers at the first look after a moment: Prefect tells of a task run only some time after it has ended."""
        ended = datetime.fromisoformat(moment)
        return next(((weights, answered) for when, weights, answered in self._samples if when >= ended), self._samples[-1][1:])

    def _answered(self, endpoint: str) -> str:
        tally = self.tallies.get(endpoint)
        if tally is None:
            return ""
        by = Counter(tally.answered)
        return "answered " + " ".join(f"{name} {count}" for name, count in sorted(by.items())) + f", lost {tally.lost.total()}"

    def _line(self, endpoint: str, what: str, more: str) -> None:
        print(f"{time.monotonic() - self._started:7.1f}  {endpoint:8} {what:24} {more}", flush=True)
