"""`make demo`: the whole system on this machine, a good release and a broken one, under steady traffic.

Two endpoints, because one release is to end with green live and the other with blue. Everything is real but Azure (see `stack`).
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from examples.demo.manifests import broken_release, first_release, good_release
from examples.demo.processes import adopt_orphans, end_orphans
from examples.demo.repository import Repository
from examples.demo.stack import ROOT, is_free, running_stack, without_settings
from examples.demo.timeline import Timeline

GOOD, BROKEN = "churn", "fraud"


def main() -> int:
    """Run the demo. Exit code 0 when both releases ended as they should and no request was lost."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="The rollout of the documentation, for real, on loopback.")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="where state and logs go (default: .demo)")
    parser.add_argument(
        "--approve", choices=["api", "ui"], default="api", help="answer the gates here, or wait for a person in the Prefect UI"
    )
    parser.add_argument("--keep", action="store_true", help="stay up at the end, until Ctrl-C")
    options = parser.parse_args()
    # The SDK reads the cloud's name from the environment while it is imported, and knows no cloud of another emulator.
    kept = without_settings(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    adopt_orphans()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _demo(options.folder, by_hand=options.approve == "ui", keep=options.keep)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    finally:
        end_orphans()


def _demo(folder: Path, *, by_hand: bool, keep: bool) -> int:
    started = time.monotonic()
    print("Starting emulator, Prefect server and worker on loopback ...", flush=True)
    run_folder = fresh(folder)
    repository = Repository(run_folder / "git")
    repositories = {repository.name: repository.url}
    with running_stack(run_folder, folder / "cache", repositories, prefect_port=4200 if is_free(4200) else 0) as stack:
        stack.clear_schedules()
        repository.copy(ROOT / "examples" / "models", "models")
        repository.copy(ROOT / "examples" / "manifests" / "sample-request.json", "configs/sample-request.json")
        stack.start_door()
        repository.tell(stack.door, stack.webhook_secret)
        timeline = Timeline(stack, started, by_hand=by_hand)
        print(f"Up after {time.monotonic() - started:.0f} s.")
        print(f"  Prefect UI      {stack.prefect.url.removesuffix('/api')}")
        print(f"  logs            {run_folder / 'logs'}")

        print("\nFirst releases: blue, on two endpoints.", flush=True)
        first = repository.push(first_release(GOOD) | first_release(BROKEN), "First release of churn and fraud")
        for run in timeline.runs_of(first, 2):
            timeline.follow(run)
        with stack.steady_traffic(GOOD) as churn, stack.steady_traffic(BROKEN) as fraud:
            print("\nA good release: green of churn.", flush=True)
            timeline.tallies = {GOOD: churn.tally, BROKEN: fraud.tally}
            good = timeline.follow(timeline.runs_of(repository.push(good_release(GOOD), "churn: version 2"), 1)[0])
            print("\nA broken release: green of fraud.", flush=True)
            broken = timeline.follow(timeline.runs_of(repository.push(broken_release(BROKEN), "fraud: version 2"), 1)[0])
            ended = {name: stack.traffic(name) for name in (GOOD, BROKEN)}
        lost = {**churn.stop().lost, **fraud.stop().lost}
        answered = {GOOD: dict(churn.tally.answered), BROKEN: dict(fraud.tally.answered)}
        print(f"\nRequests answered: {answered}. Requests lost: {sum(lost.values())}{f' {lost}' if lost else ''}.")
        right = (good, broken) == ("COMPLETED", "FAILED") and ended == {GOOD: {"green": 100}, BROKEN: {"blue": 100}} and not lost
        print(
            f"Live now: {ended}. {'As it should be.' if right else 'NOT as it should be.'}  ({time.monotonic() - started:.0f} s)",
            flush=True,
        )
        while keep:
            time.sleep(1)
        return 0 if right else 1


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
