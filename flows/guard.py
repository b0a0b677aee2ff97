"""Looks after rollouts that nobody looks after any more, every minute, and wakes those whose freeze is over. It can only make traffic safer.

Prefect runs no hook when a suspended run is cancelled, or is never answered; so this does what they would have to: live traffic back to
stable, and the endpoint given up. A failed or crashed run is left alone, because somebody may press Retry. Needs neither git nor the
run's process. May import prefect, `tasks` and `aml_canary.gateways` through them.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.guarding import endpoints_held, go_on_after_freeze, go_on_without_holder, make_safe


@flow(name="guard", retries=0, persist_result=False)
def guard() -> State[Any]:
    """Bring every endpoint whose rollout was cancelled, never answered or deleted to a safe state."""
    results = [make_safe(holder) for holder in endpoints_held()]
    results += [(True, f"{name}: goes on, its freeze is over.") for name in go_on_after_freeze()]
    results += [(True, f"{name}: goes on, its endpoint is free.") for name in go_on_without_holder()]
    told = "\n".join(text for _, text in results if text) or "Every held endpoint has a rollout that looks after it."
    return Completed(message=told) if all(fine for fine, _ in results) else Failed(message=told)
