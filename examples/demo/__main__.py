"""`make demo`: the whole system on this machine, a good release and a broken one, under steady traffic.

Two endpoints, because one release is to end with green live and the other with blue. Everything is real but Azure (see `stack`).
"""

import argparse
import fcntl
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from examples.demo.manifests import broken_release, first_release, good_release
from examples.demo.processes import adopt_orphans, end_orphans
from examples.demo.repository import Repository
from examples.demo.stack import ROOT, exports, free_port, is_free, running_stack, without_settings
from examples.demo.timeline import Timeline

GOOD, BROKEN = "churn", "fraud"
# To each endpoint; a machine that can only just run a demo has little left for more.
REQUESTS_A_SECOND = 20.0
# Ctrl-C, `kill`, and a terminal that is closed.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class AlreadyRunning(Exception):
    """Another demo runs in the folder."""


def main() -> int:
    """Run the demo. Exit code 0 when both releases ended as they should and no request was lost."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="The rollout of the documentation, for real, on loopback.")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="where state and logs go (default: .demo)")
    parser.add_argument(
        "--approve", choices=["api", "ui"], default="api", help="answer the gates here, or wait for a person in the Prefect UI"
    )
    parser.add_argument("--keep", action="store_true", help="stay up at the end, until Ctrl-C")
    parser.add_argument("--port", type=int, help="where Prefect's UI is (default: 4200, or any other where that is taken)")
    options = parser.parse_args()
    # The SDK reads the cloud's name from the environment while it is imported, and knows no cloud of another emulator.
    kept = without_settings(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    adopt_orphans()
    for number in ENDINGS:
        signal.signal(number, _interrupt)
    try:
        with only_one(options.folder):
            port = options.port or (4200 if is_free(4200) else free_port())
            return _demo(options.folder, port, by_hand=options.approve == "ui", keep=options.keep)
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    finally:
        # Whoever presses Ctrl-C again does not stop the stopping.
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        end_orphans()


def _demo(folder: Path, port: int, *, by_hand: bool, keep: bool) -> int:
    started = time.monotonic()
    print("Starting emulator, Prefect server and worker on loopback ...", flush=True)
    run_folder = fresh(folder)
    repository = Repository(run_folder / "git")
    repositories = {repository.name: repository.url}
    with running_stack(run_folder, folder / "cache", repositories, prefect_port=port) as stack:
        repository.copy(ROOT / "examples" / "models", "models")
        repository.copy(ROOT / "examples" / "manifests" / "sample-request.json", "configs/sample-request.json")
        stack.start_door()
        repository.tell(stack.door, stack.webhook_secret)
        timeline = Timeline(stack, started, by_hand=by_hand)
        print(f"Up after {time.monotonic() - started:.0f} s.")
        print(f"  Prefect UI      {stack.prefect.url.removesuffix('/api')}")
        print(f"  emulator        {stack.emulator.arm_url}/_emulator/ (the browser will not know its certificate)")
        print(f"  logs            {run_folder / 'logs'}")
        settings = run_folder / "settings.sh"
        settings.touch(0o600)
        settings.write_text(exports(stack.env))
        print(f"  settings        {settings} (`. {settings}` has a shell speak to all this)")

        print("\nFirst releases: blue, on two endpoints.", flush=True)
        first = repository.push(first_release(GOOD) | first_release(BROKEN), "First release of churn and fraud")
        timeline.follow(*timeline.runs_of(first, 2))
        with stack.steady_traffic(GOOD, REQUESTS_A_SECOND) as churn, stack.steady_traffic(BROKEN, REQUESTS_A_SECOND) as fraud:
            print("\nA good release: green of churn.", flush=True)
            timeline.users = {GOOD: churn, BROKEN: fraud}
            [good] = timeline.follow(*timeline.runs_of(repository.push(good_release(GOOD), "churn: version 2"), 1))
            print("\nA broken release: green of fraud.", flush=True)
            [broken] = timeline.follow(*timeline.runs_of(repository.push(broken_release(BROKEN), "fraud: version 2"), 1))
            ended = {name: stack.traffic(name) for name in (GOOD, BROKEN)}
        tallies = {GOOD: churn.tally, BROKEN: fraud.tally}
        sent = sum(tally.sent for tally in tallies.values())
        lost = sum((tally.lost for tally in tallies.values()), Counter[str]())
        answered = {name: dict(sorted(tally.answered.items())) for name, tally in tallies.items()}
        print(f"\nRequests sent: {sent}, answered: {answered}, lost: {lost.total()}{f' {dict(lost)}' if lost else ''}.")
        right = as_it_should_be(good, broken, ended, by_hand=by_hand)
        right = right and sent == sum(tally.answered.total() for tally in tallies.values()) and not lost
        print(
            f"Live now: {ended}. {'As it should be.' if right else 'NOT as it should be.'}  ({time.monotonic() - started:.0f} s)",
            flush=True,
        )
        while keep:
            time.sleep(1)
        return 0 if right else 1


def as_it_should_be(good: str, broken: str, ended: dict[str, dict[str, int]], *, by_hand: bool) -> bool:
    """Whether both rollouts ended as their releases deserve, and the traffic with them. Only a person may say no to the good one."""
    churn = {"green": 100} if good == "COMPLETED" else {"blue": 100}
    return (
        (good == "COMPLETED" or (by_hand and good == "CANCELLED")) and broken == "FAILED" and ended == {GOOD: churn, BROKEN: {"blue": 100}}
    )


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep the folder for this demo, for a block. Raises AlreadyRunning. The lock goes with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"Another demo runs in {folder}: end it first, or give this one a --folder of its own.") from None
        yield


def fresh(folder: Path) -> Path:
    """An empty folder for this run; earlier runs' are removed, the cache stays."""
    import shutil

    shutil.rmtree(folder / "run", ignore_errors=True)
    (folder / "run").mkdir(parents=True)
    return folder / "run"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
