"""One rollout of one endpoint: the story of the whole project.

It keeps no progress. Started, resumed, retried or run a second time, it looks at the endpoint, plans what is left, and goes on. What the
next step is, `aml_canary.domain.planner` decides; what a step does, `tasks.carrying_out`. Without a Prefect worker the same is
`aml-canary run PATH`. May import prefect, `tasks` and `aml_canary.domain`.
"""

from functools import partial
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from aml_canary.domain.steps import label
from aml_canary.errors import AmlCanaryError, JudgedBad, Outdated, RolloutRejected, Superseded
from tasks.ask import ask_before, insist_on_progress
from tasks.auditing import begin
from tasks.beginning import insist_on_start
from tasks.carrying_out import carry_out
from tasks.ending import ended_as, finish, give_up, hold_or_roll_back, pass_by
from tasks.following import overtaken, quickest, wait_out_freeze
from tasks.holding import insist_on_being_the_one
from tasks.lock import give_way, holder_of, take_endpoint
from tasks.notifying import tell_end
from tasks.reading import look, publish_plan, read_order


@flow(name="canary", retries=0, persist_result=False, on_completion=[tell_end], on_failure=[tell_end])
def canary(repository: str, commit: str, manifest: str, following: bool = False, start_from: str = "") -> State[Any]:
    """Bring one endpoint to what its manifest says at a commit, a stage at a time, asking where the manifest says so.

    Args:
        repository: The git repository: its name in the settings, or its URL.
        commit: Full commit id; it is pinned for the whole run.
        manifest: Path of the manifest, a file or a folder, in the repository.
        following: The branch is followed: do nothing where it has moved on to something else. Sync says so; by hand, a commit is a commit.
        start_from: By hand: the step, such as bake-green-10, or the stage that has to come next. Nothing is done where another one does.
    """
    order = read_order(repository, commit, manifest)
    wanted = holder_of(order)
    insist_on_start(start_from, order, wanted)
    try:
        holder = take_endpoint(wanted, order.manifest.rollout.on_new_commit, partial(overtaken, order) if following else str)
    except Outdated as why:
        return Completed(name=why.state, message=pass_by(why))
    done: list[str] = []
    try:
        begin(order, holder)
        order = quickest(order, holder) if following else order
        planned = publish_plan(order)
        while (left := look(order, holder)).plan.steps:
            step = left.plan.steps[0]
            insist_on_progress(step, done)
            give_way(holder)
            wait_out_freeze(order)
            ask_before(step, order, left, holder)
            carry_out(step, order, left, holder)
            done.append(label(step))
        insist_on_being_the_one(holder)
    except (RolloutRejected, Superseded) as stopped:
        return Cancelled(name=stopped.state, message=give_up(order, holder, stopped))
    except JudgedBad as bad:
        return Failed(name=bad.state, message=give_up(order, holder, bad))
    except AmlCanaryError as failed:
        hold_or_roll_back(order, holder, failed)
        raise
    return Completed(name=ended_as(planned), message=finish(order, holder, planned))
