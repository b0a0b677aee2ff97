"""Looks after rollouts that nobody looks after, every minute, and wakes those whose freeze or rest is over. It can only make traffic safer.

While a rollout waits for a person, has failed, or lost its worker, its canary may still have live traffic: then the guard judges it, and
where it is worse than stable, puts traffic back and ends the rollout. Cancelled and unanswered rollouts, of which Prefect tells nobody, and
runs whose machine is gone, are brought to a safe state too. Needs neither git nor the run's process. May import prefect and `tasks`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.guarding import endpoints_held, go_on_without_holder, look_after, wake_sleepers


@flow(name="guard", retries=0, persist_result=False)
def guard() -> State[Any]:
    """Judge every canary that nobody watches, and make every endpoint safe whose rollout was given up or is dead."""
    results = [look_after(holder) for holder in endpoints_held()]
    results += [(True, f"{name} goes on: its freeze or rest is over.") for name in wake_sleepers()]
    results += [(True, f"{name} goes on: its endpoint is free.") for name in go_on_without_holder()]
    told = (
        "\n".join(text for _, text in results if text) or "Every held endpoint has a rollout that looks after it, or a canary that is fine."
    )
    return Completed(message=told) if all(fine for fine, _ in results) else Failed(message=told)
