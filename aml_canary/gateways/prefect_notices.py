"""Notices, sent by Prefect's notification blocks: Slack, Teams, e-mail, any webhook. Which blocks, AML_CANARY_NOTIFY says.

An event is claimed in Prefect's database before it is sent, so that no two processes and no Retry send it twice; what is lost on the way is
not sent again. A channel that is down or slow costs some seconds, and nothing else. May import `domain`, `settings`, its Prefect
neighbours and Prefect's client and blocks.
"""

import threading
import time
from contextvars import copy_context
from typing import Any, Final, cast
from uuid import UUID

import prefect.blocks.notifications  # noqa: F401 -- Prefect knows its own blocks once they are imported
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from aml_canary.domain.notices import Notice, end_notice, waiting_notice
from aml_canary.gateways.prefect_db import keep, prefect_client
from aml_canary.settings import settings

# So long all channels together may take; a rollout does not wait for them any longer.
PATIENCE_SECONDS: Final = 15.0


def tell_waiting(run: str, gate: str, asked: str, question: str, rules: str) -> tuple[str, ...]:
    """Tell that the run waits for an answer at the gate, once for each question. What went wrong with it, a sentence a channel."""
    if not settings().notify:
        return ()
    with prefect_client() as client:
        name = client.read_flow_run(UUID(run)).name
    return _send_once(run, waiting_notice(name, gate, asked, question, rules, url_for("flow-run", obj_id=run) or ""))


def tell_end(run: str, state: str = "", message: str = "") -> tuple[str, ...]:
    """Tell how the run ended, once for each such end: as Prefect has it, or in a `state` that it is about to have.

    `message` is from whoever made its endpoint safe; without it, the run's own. Nothing is told of a run that is gone or has not ended.
    What went wrong with it, a sentence a channel.
    """
    safe = bool(message)
    if not settings().notify:
        return ()
    with prefect_client() as client:
        try:
            found = client.read_flow_run(UUID(run))
        except ObjectNotFound:
            return ()
    if not state:
        if found.state is None or not found.state.is_final():
            return ()
        state, message = found.state.name or found.state.type.value, message or found.state.message or ""
    notice = end_notice(found.name, state, message, found.run_count, url_for("flow-run", obj_id=run) or "", safe=safe)
    return () if notice is None else _send_once(run, notice)


def _send_once(run: str, notice: Notice) -> tuple[str, ...]:
    return _send(notice) if keep(run, notice.key, notice.subject) else ()


def _send(notice: Notice) -> tuple[str, ...]:
    """Send to all channels at the same time."""
    problems: dict[str, str] = {}
    ends = time.monotonic() + PATIENCE_SECONDS

    def send(channel: str) -> None:
        problems[channel] = _send_to(channel, notice)

    # Threads, and not to be waited for: whatever a block does to reach its channel, it has no bound that holds for all of them.
    threads = [
        threading.Thread(target=copy_context().run, args=(send, channel), daemon=True, name=f"notify {channel}")
        for channel in settings().notify
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    told = [problems.get(channel, f"{channel} did not answer within {PATIENCE_SECONDS:.0f} s.") for channel in settings().notify]
    return tuple(f"Nobody may have heard that {notice.subject}: {problem}" for problem in told if problem)


def _send_to(channel: str, notice: Notice) -> str:
    try:
        block = channel_of(channel)
    except ValueError as error:
        return f"{channel} cannot be used: {error}"
    except Exception as error:
        return f"{channel} could not be read from Prefect ({type(error).__name__})."
    try:
        with block.raise_on_failure():
            cast("Any", block).notify(notice.text, subject=notice.subject)
    except Exception as error:
        # A channel's address is its password; of the error only the kind is told.
        return f"{channel} did not take it ({type(error).__name__})."
    return ""


def channel_of(name: str) -> NotificationBlock:
    """The notification block of this name, such as slack-webhook/ml-oncall. Raises ValueError where there is none, or it is no such block."""
    block = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise ValueError(f"{name} is no notification block")
    return block
