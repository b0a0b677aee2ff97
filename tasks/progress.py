"""Long waits, shown while they last: a progress artifact for each endpoint, and log lines that say how long is left.

Showing is never in the way. May import prefect, `aml_canary.domain` and `aml_canary.gateways`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from aml_canary.domain.progress import Wait, percent, wait_told
from aml_canary.domain.steps import Step, label
from aml_canary.gateways import prefect_story
from aml_canary.gateways.azureml.hearing import heard

# What is over sooner is not worth a line, and one line in this time is enough.
_FIRST_SECONDS, _EVERY_SECONDS = 20.0, 60.0


class Progress:
    """One wait's artifact, made when there is something to show."""

    def __init__(self, endpoint: str, what: str) -> None:
        self._key, self._what = f"progress-{endpoint}", what
        self._artifact: UUID | None = None

    def show(self, share: float, told: str) -> None:
        """Show that so many percent (0 to 100) are over. Never raises."""
        try:
            if self._artifact is None:
                self._artifact = cast(UUID, create_progress_artifact(share, key=self._key, description=told))
            else:
                update_progress_artifact(self._artifact, share, description=told)
        except Exception as error:
            get_run_logger().warning("How far %s is could not be shown: %s", self._what, error)


@contextmanager
def waits_shown(endpoint: str, step: Step) -> Iterator[None]:
    """Whatever Azure is waited for in the block is shown, where it takes long."""
    what, progress = label(step), Progress(endpoint, label(step))
    due, usual = _FIRST_SECONDS, None
    log = get_run_logger()

    def hear(state: str, seconds: float, limit: float) -> None:
        nonlocal due, usual
        if seconds < due:
            return
        if due == _FIRST_SECONDS:
            usual = _usual(endpoint, what)
        due = seconds + _EVERY_SECONDS
        wait = Wait(seconds, limit, usual)
        log.info("%s", wait_told(what, state, wait))
        progress.show(percent(wait), wait_told(what, state, wait))

    token = heard.set(hear)
    try:
        yield
    finally:
        heard.reset(token)


def _usual(endpoint: str, what: str) -> float | None:
    try:
        return prefect_story.took_last_time(endpoint, what.partition("-")[0], longer_than=_FIRST_SECONDS)
    except Exception as error:
        get_run_logger().warning("How long it took the last time is not known: %s", error)
        return None
