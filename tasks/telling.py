"""What git hears of a rollout: the status of its commit, for each endpoint.

Telling is never in the way: whatever goes wrong with it ends as one warning in the log, and soon. May import prefect,
`aml_canary.gateways`, `aml_canary.githosts`, `aml_canary.settings` and `tasks.retry`.
"""

import hashlib

from prefect.logging import get_run_logger
from prefect.runtime import flow_run, task_run
from prefect.utilities.urls import url_for

from aml_canary.errors import Permanent, Transient
from aml_canary.gateways import githost, prefect_db
from aml_canary.githosts.delivery import State
from aml_canary.settings import settings
from tasks.retry import retried

__all__ = ["State", "tell", "tell_about"]

CONTEXT = "aml-canary/"
# A rollout does not wait for long until its git host is well again.
_TRIES_AGAIN = min(2, settings().retries)
_LONGEST_WAIT_SECONDS = 30.0


def tell(repository: str, commit: str, endpoint: str, state: State, description: str) -> None:
    """Have the commit show how this run does with the endpoint. The same is said once in a run, and again after a Retry. Never raises."""
    _tell(None, repository, commit, endpoint, state, description)


def tell_about(run: str, repository: str, commit: str, endpoint: str, state: State, description: str) -> None:
    """Have the commit show how somebody else's run ended; the link leads there. Never raises."""
    _tell(run, repository, commit, endpoint, state, description)


def _tell(other: str | None, repository: str, commit: str, endpoint: str, state: State, description: str) -> None:
    try:
        run, attempt = (str(flow_run.id), flow_run.run_count) if other is None else (other, 0)
        said = (commit, endpoint, state.value, description, attempt)
        if githost.connection(repository) is None:
            if _first(run, "told-nobody"):
                get_run_logger().info("Git is not told: AML_CANARY_GIT_HOSTS names no host and token for %s.", repository)
            return
        key = f"told-{hashlib.sha256(repr(said).encode()).hexdigest()[:24]}"
        if prefect_db.kept(run, key) is not None:
            return
        problem = post_status(repository, commit, CONTEXT + endpoint, state, description, url_for("flow-run", obj_id=run) or "")
        if problem:
            get_run_logger().warning("Git was not told that %s is %s (%s): %s", endpoint, state.value, description, problem)
        else:
            prefect_db.keep(run, key, said)
    except Exception as error:
        get_run_logger().warning("Git may not know that %s is %s (%s): %s", endpoint, state.value, description, error)


def _first(run: str, key: str) -> bool:
    if prefect_db.kept(run, key) is not None:
        return False
    prefect_db.keep(run, key, True)
    return True


@retried(lambda parameters: f"tell-{parameters['context']}")
def _post_status(repository: str, commit: str, context: str, state: State, description: str, url: str) -> str:
    """Send the status. Returns why it was not sent, where another try is not worth it or was the last."""
    there = githost.connection(repository)
    if there is None:
        return "the settings name no host and token."
    try:
        there.set_status(commit, state, description, url, context)
    except Permanent as error:
        return str(error)
    except Transient as error:
        if task_run.run_count > _TRIES_AGAIN or (error.retry_after or 0.0) > _LONGEST_WAIT_SECONDS:
            return str(error)
        raise
    return ""


post_status = _post_status.with_options(retries=_TRIES_AGAIN)
