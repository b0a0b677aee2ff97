"""People are told: a rollout waits for an answer, or it has ended.

Telling is never in the way: whatever goes wrong with it ends as one warning in the log. May import prefect, `aml_canary.domain` and
`aml_canary.gateways`.
"""

from collections.abc import Callable
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import MissingContextError
from prefect.flows import Flow
from prefect.logging import get_logger, get_run_logger

from aml_canary.domain.approval import Shown
from aml_canary.gateways import prefect_notices


def tell_waiting(gate: str, now: Shown, question: str, rules: str) -> None:
    """Tell that this run waits for an answer to the question of this key; `rules` says whose. Never raises."""
    asked = now.step.partition(": ")[2] or now.step
    _warn_of(lambda: prefect_notices.tell_waiting(str(runtime.flow_run.id), gate, asked, question, rules))


def tell_ending(state: str, message: str) -> None:
    """Tell that this run is about to end in the state of this name. Never raises."""
    _warn_of(lambda: prefect_notices.tell_end(str(runtime.flow_run.id), state, message))


def tell_end_of(run: str, message: str = "", word: str = "") -> None:
    """Tell how a run, somebody else's, has ended; nothing where it has not. Never raises.

    `message` is from whoever made its endpoint safe, with a `word` for how it ended.
    """
    _warn_of(lambda: prefect_notices.tell_end(run, word, message))


def tell_end(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook, called by these names: tell how the run has ended. Never raises."""
    del flow, state
    tell_end_of(str(flow_run.id))


def _warn_of(telling: Callable[[], tuple[str, ...]]) -> None:
    try:
        problems = telling()
    except Exception as error:
        problems = (f"Nobody was told: {error}",)
    for problem in problems:
        try:
            get_run_logger().warning("%s", problem)
        except MissingContextError:
            get_logger(__name__).warning("%s", problem)
