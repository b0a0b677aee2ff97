"""The one retry policy: what is Transient is tried again, more and more slowly; nothing else is, and nobody else retries.

May import prefect, `aml_canary.settings` and `aml_canary.errors`.
"""

import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import task_run
from prefect.tasks import exponential_backoff

from aml_canary.errors import Transient
from aml_canary.settings import settings

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_WAIT_SECONDS = 300.0


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the failure is worth another try. Waits as long as the server asked for, which Prefect's own delays cannot know."""
    failure = state.result(raise_on_failure=False)
    if not isinstance(failure, Transient):
        return False
    time.sleep(min(failure.retry_after or 0.0, LONGEST_WAIT_SECONDS))
    return True


def retried(run_name: str | Callable[[dict[str, Any]], str]) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task with the policy. `run_name` is what people see of its runs, or makes it from the call's parameters.

    Results are never persisted and never cached: what was done is read from Azure, not remembered.
    """
    installed = settings()

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        def named() -> str:
            return run_name if isinstance(run_name, str) else run_name(task_run.parameters)

        return Task(
            function,
            task_run_name=named,
            retries=installed.retries,
            retry_delay_seconds=exponential_backoff(backoff_factor=installed.retry_delay_seconds),
            retry_jitter_factor=0.5,
            retry_condition_fn=is_transient,
            cache_policy=NO_CACHE,
            persist_result=False,
        )

    return decorate
