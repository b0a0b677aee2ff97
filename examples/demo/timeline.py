"""Follows rollouts: prints each stage as it was when it ended, with the traffic and who had answered until then, and answers the gates.

May import this package only.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from examples.demo.stack import Stack
from examples.demo.traffic import SteadyTraffic

_STAGES = ("create-", "scale-", "smoke-invoke-", "flight-", "full-", "delete-", "roll-back-")
# Those that change live traffic. After one comes a gate, which is answered only after another look.
_SHIFTS = ("flight-", "full-", "roll-back-")
_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
NOTHING = "no traffic"
# Each look asks Azure and Prefect several things, on the processors that the rollouts need too.
_EVERY_SECONDS = 0.5


@dataclass
class Look:
    """What was live at every look from the `first` to the `last`, in seconds since 1970."""

    first: float
    last: float
    weights: str


class Looks:
    """What was live when, as far as somebody looked. Equal looks in a row are kept as one, so that days of waiting cost nothing."""

    def __init__(self) -> None:
        self._looks: list[Look] = []

    def add(self, moment: float, weights: str) -> None:
        """What a look showed that began at the moment, in seconds since 1970."""
        if self._looks and self._looks[-1].weights == weights:
            self._looks[-1].last = moment
        else:
            self._looks.append(Look(moment, moment, weights))

    def before(self, moment: float) -> str:
        """What the last look that began before the moment showed, or else the first one; "no traffic" where nobody looked."""
        return next((look.weights for look in reversed(self._looks) if look.first <= moment), self.after(moment))

    def after(self, moment: float) -> str:
        """What the first look after the moment showed, or else the last one."""
        return next((look.weights for look in self._looks if look.last >= moment), self._looks[-1].weights if self._looks else NOTHING)


@dataclass
class _Following:
    """A rollout on its way: the state that it last asked a question in, the stages that are printed, and the type of its final state."""

    run: str
    endpoint: str
    asked: str = ""
    printed: set[str] = field(default_factory=set)
    ended: str = ""


class Timeline:
    """Prints `seconds  stage  took  live traffic  answered by`, one line for each stage; seconds since `started` on the monotonic clock."""

    def __init__(self, stack: Stack, started: float, *, by_hand: bool) -> None:
        self._stack, self._by_hand = stack, by_hand
        # Prefect says when a stage ended by the clock on the wall.
        self._started = time.time() - (time.monotonic() - started)
        self._looks: defaultdict[str, Looks] = defaultdict(Looks)
        self.users: Mapping[str, SteadyTraffic] = {}

    def runs_of(self, commit: str, count: int, seconds: float = 300) -> list[str]:
        """The rollouts that a push led to, once all are there; the first may be at work by then. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = [run["id"] for run in self._stack.prefect.runs("canary") if run["parameters"].get("commit") == commit]
            for run in runs:
                self._look(self._endpoint(run))
            if len(runs) == count:
                return runs
            time.sleep(_EVERY_SECONDS)
        raise TimeoutError(f"Commit {commit[:7]} led to no {count} rollouts within {seconds:.0f} s.")

    def follow(self, *runs: str) -> list[str]:
        """Follow rollouts side by side to their ends, and return the types of their final states."""
        following = [_Following(run, self._endpoint(run)) for run in runs]
        while not all(one.ended for one in following):
            for one in following:
                if not one.ended:
                    self._go_on(one)
            time.sleep(_EVERY_SECONDS)
        return [one.ended for one in following]

    def _go_on(self, one: "_Following") -> None:
        state = self._stack.prefect.run(one.run)["state"] or {}
        ended = state.get("type") in _ENDED
        asks = state.get("name") == "Suspended" and state["id"] != one.asked
        if ended or asks:
            # Prefect records task runs a moment later than the run.
            time.sleep(1.0)
        self._look(one.endpoint)
        self._print_stages(one)
        if asks:
            one.asked = state["id"]
            self._ask(one.run, one.endpoint)
        if ended:
            one.ended = state["type"]
            message = str(state.get("message")).removeprefix("Flow run encountered an exception: ")
            self._line(one.endpoint, f"= {state['name']}", message)
            if one.ended == "CANCELLED" or "never resumed" in message:
                self._until_free(one.run, one.endpoint)

    def _endpoint(self, run: str) -> str:
        manifest = self._stack.prefect.run(run)["parameters"]["manifest"]
        return Path(manifest).name.removesuffix(".canary.yml")

    def _ask(self, run: str, endpoint: str) -> None:
        api = self._stack.prefect
        gate = api.gate(run)
        if self._by_hand:
            address = f"{api.url.removesuffix('/api')}/runs/flow-run/{run}"
            self._line(endpoint, f"? {gate}", f"answer with Resume at {address}")
        else:
            api.answer(run, "approve", approver="demo", comment="answered by make demo")
            self._line(endpoint, f"? {gate}", "approved")

    def _until_free(self, run: str, endpoint: str, seconds: float = 180) -> None:
        """Wait until a rollout that was given up has left its endpoint; where it was cancelled, the guard does that within a minute."""
        deadline = time.monotonic() + seconds
        while held := (self._stack.prefect.lock(endpoint) or {}).get("run") == run:
            if time.monotonic() > deadline:
                break
            time.sleep(_EVERY_SECONDS)
        self._look(endpoint)
        self._line(endpoint, "= still held" if held else "= free", self._looks[endpoint].after(time.time()))

    def _print_stages(self, one: "_Following") -> None:
        looks = self._looks[one.endpoint]
        for task in self._stack.prefect.task_runs(one.run):
            state = task["state"] or {}
            if task["id"] in one.printed or not task["name"].startswith(_STAGES) or state.get("type") not in ("COMPLETED", "FAILED"):
                continue
            one.printed.add(task["id"])
            # No other stage can have changed what is live, so for those what was live before is right even when the next one is quick.
            ended = datetime.fromisoformat(task["end_time"] or state["timestamp"]).timestamp()
            live = looks.after(ended) if task["name"].startswith(_SHIFTS) else looks.before(ended)
            self._line(
                one.endpoint,
                f"{'x' if state['type'] == 'FAILED' else '-'} {task['name']}",
                f"{task['total_run_time']:5.1f} s   {live:22} {self._answered(one.endpoint, ended)}",
                ended,
            )

    def _look(self, endpoint: str) -> None:
        began = time.time()
        weights = " ".join(f"{name} {weight} %" for name, weight in self._stack.traffic(endpoint).items())
        self._looks[endpoint].add(began, weights or NOTHING)

    def _answered(self, endpoint: str, moment: float) -> str:
        if endpoint not in self.users:
            return ""
        tally = self.users[endpoint].tally_at(moment)
        by = " ".join(f"{name} {count}" for name, count in sorted(tally.answered.items()))
        return f"answered {by}, lost {tally.lost.total()}"

    def _line(self, endpoint: str, what: str, more: str, moment: float | None = None) -> None:
        seconds = (time.time() if moment is None else moment) - self._started
        print(f"{seconds:7.1f}  {endpoint:8} {what:24} {more}".rstrip(), flush=True)
