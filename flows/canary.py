"""One rollout of one endpoint: the story of the whole project.

It keeps no progress. Started, resumed, retried or run a second time, it looks at the endpoint, plans what is left, and goes on. What the
next step is, `aml_canary.domain.planner` decides; what a step does, `tasks.stages`. Without a Prefect worker the same is
`aml-canary run PATH`. May import prefect, `tasks` and `aml_canary.domain`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from aml_canary.domain.report import outcome
from aml_canary.domain.steps import label
from aml_canary.errors import AmlCanaryError, RolloutRejected
from tasks.ask import ask_before, insist_on_progress
from tasks.lock import holder_of, release_endpoint, take_endpoint
from tasks.reading import look, observe, publish_plan, read_order
from tasks.stages import carry_out, roll_back


@flow(name="canary", retries=0, persist_result=False)
def canary(repository: str, commit: str, manifest: str) -> State[Any]:
    """Bring one endpoint to what its manifest says at a commit, a stage at a time, asking where the manifest says so.

    Args:
        repository: The git repository: its name in the settings, or its URL.
        commit: Full commit id; it is pinned for the whole run.
        manifest: Path of the manifest, a file or a folder, in the repository.
    """
    order = read_order(repository, commit, manifest)
    holder = take_endpoint(holder_of(order), order.manifest.rollout.on_new_commit)
    done: list[str] = []
    try:
        planned = publish_plan(order)
        while (left := look(order)).plan.steps:
            step = left.plan.steps[0]
            insist_on_progress(step, done)
            ask_before(step, order, left, holder)
            carry_out(step, order, left, holder)
            done.append(label(step))
    except RolloutRejected as rejected:
        back = roll_back(order.endpoint, holder)
        release_endpoint(holder)
        return Cancelled(name="Rejected", message=f"{rejected}. {back}")
    except AmlCanaryError:
        # Kept otherwise: a failed stage can be retried, and until then nothing else touches the endpoint.
        if order.manifest.rollout.on_failure == "rollback":
            roll_back(order.endpoint, holder)
        raise
    release_endpoint(holder)
    return Completed(name="Promoted" if planned else "Unchanged", message=outcome(observe(order.endpoint), planned))
