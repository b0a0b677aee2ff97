"""The rest: what was replaced is kept for a while, without traffic and without requests, before it is deleted.

The run is suspended meanwhile and holds no process; the guard wakes it, and judges as long. May import prefect, `aml_canary.domain`,
`aml_canary.gateways` and the other tasks. `rest` suspends, so it is called from a flow.
"""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from prefect.flow_runs import suspend_flow_run
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.observed import Observed
from aml_canary.domain.order import Order
from aml_canary.domain.progress import duration
from aml_canary.domain.steps import Rest, label
from aml_canary.errors import Permanent
from aml_canary.gateways import prefect_history
from aml_canary.gateways.metrics import newest_whole_minute, source
from tasks.evidence import keep_rested
from tasks.retry import retried

# A run that nobody resumes, because no guard runs, ends by itself at last.
_LONGEST_OVERSLEEP = timedelta(days=14)


def rest(step: Rest, order: Order, live: Observed) -> None:
    """Suspend the run until the deployments were without traffic and without requests for as long as the manifest says."""
    until = rest_ends(step, order, live)
    prefect_history.mark_asleep(str(flow_run.id), "resting", until)
    if until is None:
        keep_rested(live.facts)
        return
    left = duration((until - datetime.now(UTC)).total_seconds())
    get_run_logger().info("%s until %s, %s more: ready to go back to.", label(step), until.isoformat(timespec="seconds"), left)
    longest = until - datetime.now(UTC) + _LONGEST_OVERSLEEP
    suspend_flow_run(key=f"rest-{uuid4().hex[:6]}", timeout=int(longest.total_seconds()))


@retried(lambda parameters: label(parameters["step"]))
def rest_ends(step: Rest, order: Order, live: Observed) -> datetime | None:
    """When the rest is over, as far as is known now; None: it is over.

    Requests that name a deployment reach it without weight; they begin the rest anew. Where no metrics can be read, time alone counts.
    """
    now = datetime.now(UTC)
    wanted = timedelta(minutes=step.minutes)
    try:
        since = datetime.fromisoformat(live.facts.since)
    except ValueError:
        since = now - wanted
    if order.manifest.rollout.judge.enabled and (asked := _last_asked(step, order.endpoint, now)) is not None:
        since = max(since, asked)
    return since + wanted if since + wanted > now else None


def _last_asked(step: Rest, endpoint: str, now: datetime) -> datetime | None:
    """The end of the last minute of the rest in which one of the deployments was asked something."""
    newest = newest_whole_minute(now)
    try:
        found = source().minutes(endpoint, step.names, newest - step.minutes + 1, newest)
    except Permanent as error:
        get_run_logger().warning("Whether %s is still asked cannot be read: %s", ", ".join(step.names), error)
        return None
    asked = [minute for arms in found.values() for minute, arm in arms.items() if arm is not None and arm.requests]
    return datetime.fromtimestamp((max(asked) + 1) * 60, UTC) if asked else None
