"""Canaries under live traffic, all at once because a verdict takes real minutes: each in a thread of its own, on an endpoint of its own.

What is said of each stands in `test_judging`. Stands on `world`.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from examples.demo.manifests import manifest, path_of
from examples.demo.prefect_api import PrefectApi
from examples.demo.stack import Stack
from examples.demo.traffic import SteadyTraffic
from tests.orchestration.world import World, wait_until

RATE = 10.0
# Latency is no part of most stories, and on a busy machine needs more requests than they have.
JUDGE = "{least_minutes: 2, longest_minutes: 15, tolerated_slowdown: 3}"
# A verdict on a canary is a matter of minutes; this is for a machine with much else to do.
LONG = 900.0


_ONE_UPLOAD = threading.Lock()
# Prefect on SQLite has enough to do with this.
_TWO_BEGIN = threading.Semaphore(2)


class Canary(World):
    """One endpoint whose green is to be judged."""

    def __init__(self, stack: Stack, folder: Path, endpoint: str) -> None:
        super().__init__(stack, folder, endpoint)
        self.prefect = PrefectApi(stack.prefect.url)
        self.trigger = folder / "broken-now"
        self.every = 1

    def release(self, green: str, judge: str = JUDGE, *, blue: str = "v1", gates: str = "[]", edit: Callable[[str], str] = str) -> str:
        """Blue live, and green's rollout started, with 30 % first; the run."""
        # One after the other: the SDK uploads the same model for each, and Azure refuses the second of two at once.
        with _ONE_UPLOAD:
            self.blue_is_live(blue)
        rollout = f"  judge: {judge}\n  approvals: {{before: {gates}}}\n  retire: {{keep_for_minutes: 1}}\n"
        text = edit(manifest(self.endpoint, {"green": 100}, {"green": green}, steps="[30]", rollout=rollout))
        with _TWO_BEGIN:
            run = self.start(self.repository.push({path_of(self.endpoint): self.written(text)}, "green"))
            wait_until(lambda: self.has_begun(run), f"{self.endpoint}: the rollout has begun", LONG, every=1)
        return run

    def has_begun(self, run: str) -> bool:
        """Whether its process is at work; where a busy Prefect had it not started, it is started again, as a person would."""
        state = self.prefect.run(run)["state"]
        if state["type"] == "CRASHED":
            assert "Failed to submit flow run" in state["message"], state
            self.prefect.retry(run, force=True)
        return state["type"] not in ("SCHEDULED", "PENDING", "CRASHED")

    def written(self, text: str) -> str:
        """As everywhere, and broken models fail as the story wants it."""
        variables = f'    environment_variables: {{BROKEN_EVERY: "{self.every}", BROKEN_WHILE: "{self.trigger}"}}\n'
        return super().written(text).replace("    instance_type:", f"{variables}    instance_type:")

    def break_it(self, *, broken: bool = True) -> None:
        """From now on broken models fail, or do not any more."""
        self.trigger.touch() if broken else self.trigger.unlink()

    @contextmanager
    def users(self) -> Iterator[SteadyTraffic]:
        """Steady traffic."""
        with self.stack.steady_traffic(self.endpoint, RATE) as traffic:
            yield traffic

    def until_traffic(self, **weights: int) -> None:
        """Wait until live traffic is so."""
        wait_until(lambda: self.traffic == weights, f"{self.endpoint}: live traffic is {weights}", LONG, every=2)

    def until_minute(self, run: str, minute: int) -> None:
        """Wait until the bake has judged that many minutes."""
        said = f"Minute {minute} of at most"
        wait_until(
            lambda: any(said in line for line in self.prefect.logs(run)), f"{self.endpoint}: minute {minute} is judged", LONG, every=2
        )

    def ended(self, run: str) -> tuple[str, str]:
        """Wait for the end, a crash not being one; the state's name and message."""
        over = ("COMPLETED", "FAILED", "CANCELLED")
        wait_until(lambda: self.prefect.run(run)["state"]["type"] in over, f"{self.endpoint}: the rollout has ended", LONG, every=2)
        state = self.prefect.run(run)["state"]
        return state["name"], state["message"] or ""

    def suspended(self, run: str) -> str:
        """Wait until the run asks somebody; the gate."""
        wait_until(lambda: self.prefect.state(run) == "Suspended", f"{self.endpoint}: somebody is asked", LONG, every=2)
        return self.prefect.gate(run)

    def seconds_until_blue(self, broken_since: float) -> float:
        """From the end of the first whole minute of bad data to the PUT that took traffic back."""
        tags = self.stack.azure.online_endpoints.get(self.endpoint).tags
        assert tags["aml-canary.step"] == "rolled-back"
        back = datetime.fromisoformat(tags["aml-canary.since"]).timestamp()
        return back - (int(broken_since // 60) + 2) * 60


class Canaries:
    """All of them, by name, and the guard, which runs all the time as its schedule would have it."""

    def __init__(self, prefect: PrefectApi, make: Callable[[str], Canary]) -> None:
        self._make, self._pool = make, ThreadPoolExecutor(max_workers=20)
        self._running: dict[str, Future[str]] = {}
        self.made: list[Canary] = []
        self._over = threading.Event()
        self._guard = threading.Thread(target=self._guard_on, args=(PrefectApi(prefect.url),))
        self._guard.start()

    def begin(self, name: str, story: Callable[[Canary], str]) -> None:
        """Begin a story; it returns a line for people."""
        canary = self._make(name)
        self.made.append(canary)
        self._running[name] = self._pool.submit(story, canary)

    def outcome(self, name: str) -> str:
        """Wait for the end of a story. Raises what it raised."""
        return self._running[name].result(timeout=LONG + 300)

    def close(self) -> None:
        """Wait for the stories that nobody waited for, and for the guard."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._over.set()
        self._guard.join()

    def _guard_on(self, prefect: PrefectApi) -> None:
        while not self._over.wait(15):
            run = prefect.start("guard/guard", {})
            while prefect.run(run)["state"]["type"] in ("SCHEDULED", "PENDING", "RUNNING") and not self._over.wait(1):
                pass
