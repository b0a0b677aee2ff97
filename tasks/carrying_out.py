"""One step of a plan, carried out: which task does it; git is told, and the audit log.

Called from a flow, because a bake and a rest may suspend. May import `aml_canary.domain` and the other tasks.
"""

from typing import assert_never

from aml_canary.domain.effects import after
from aml_canary.domain.order import Left, Order
from aml_canary.domain.steps import (
    Bake,
    CreateDeployment,
    CreateEndpoint,
    DeleteDeployment,
    DeleteEndpoint,
    Rest,
    Scale,
    ShiftTraffic,
    SmokeInvoke,
    Step,
    label,
)
from aml_canary.errors import JudgedBad
from aml_canary.gateways.prefect_db import Holder
from tasks.auditing import writing
from tasks.baking import bake
from tasks.resting import rest
from tasks.showing import show_bad, show_done
from tasks.stages import create_deployment, create_endpoint, delete_deployment, delete_endpoint, scale, shift_traffic, smoke_invoke
from tasks.telling import State, tell

Writing = CreateEndpoint | CreateDeployment | Scale | ShiftTraffic | DeleteDeployment | DeleteEndpoint


def carry_out(step: Step, order: Order, left: Left, holder: Holder) -> None:
    """Do one step of a plan, and draw the rollout's timeline anew."""
    try:
        _do(step, order, left, holder)
    except JudgedBad as bad:
        show_bad(step, left, str(bad))
        raise
    show_done(step, order, left, holder)


def _do(step: Step, order: Order, left: Left, holder: Holder) -> None:
    tell(order.repository, order.commit, order.endpoint, State.PENDING, f"{label(step)} is at work")
    match step:
        case SmokeInvoke():
            smoke_invoke(step, order, left)
        case Bake():
            bake(step, order, left, holder)
        case Rest():
            rest(step, order, left.live)
        case _:
            with writing(label(step), left.live, after(step, left.live, left.wanted)):
                _write(step, order, left, holder)


def _write(step: Writing, order: Order, left: Left, holder: Holder) -> None:
    match step:
        case CreateEndpoint():
            create_endpoint(step, order, left, holder)
        case CreateDeployment():
            create_deployment(step, order, left, holder)
        case Scale():
            scale(step, order, left, holder)
        case ShiftTraffic():
            shift_traffic(step, order, left, holder)
        case DeleteDeployment():
            delete_deployment(step, order, left, holder)
        case DeleteEndpoint():
            delete_endpoint(step, order.endpoint, holder)
        case _:
            assert_never(step)
