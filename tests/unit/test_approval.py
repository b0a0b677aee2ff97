"""An approval counts for exactly what was shown: the digest changes with each part of it, and with nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.approval import Shown, changes, shown
from aml_canary.domain.observed import Facts
from aml_canary.domain.steps import DeleteDeployment, ShiftTraffic
from tests.unit.worlds import live

often = settings(max_examples=60, deadline=None)

STEP = ShiftTraffic("green", {"blue": 90, "green": 10})
LIVE = live({"blue": 100}, {"blue": "v1", "green": "v2"})
BEFORE = shown("c1", STEP, LIVE)


def with_green(**values):
    return replace(LIVE, deployments={**LIVE.deployments, "green": replace(LIVE.deployments["green"], **values)})


CHANGED = {
    "another commit": (shown("c2", STEP, LIVE), "The commit was c1, now it is c2."),
    "another step": (shown("c1", DeleteDeployment("green", retire=True), LIVE), "The next step was flight-green-10"),
    "other weights of the step": (shown("c1", ShiftTraffic("green", {"green": 10, "red": 90}), LIVE), "The next step was flight-green-10"),
    "other traffic": (
        shown("c1", STEP, replace(LIVE, traffic={"blue": 99, "green": 1})),
        "Live traffic was blue=100, now it is blue=99 green=1.",
    ),
    "no traffic": (shown("c1", STEP, replace(LIVE, traffic={})), "Live traffic was blue=100, now it is none."),
    "a mirror": (shown("c1", STEP, replace(LIVE, mirror_traffic={"green": 5})), "now it is blue=100, mirror green=5."),
    "other content": (shown("c1", STEP, with_green(fingerprint="v3")), "Deployment green is not the same"),
    "made again": (shown("c1", STEP, with_green(created_at="later")), "Deployment green is not the same"),
    "failed": (shown("c1", STEP, with_green(state="Failed")), "Deployment green is not the same"),
    "gone": (shown("c1", STEP, LIVE.without("green")), "Deployment green is gone."),
    "new": (shown("c1", STEP, replace(LIVE, deployments={**LIVE.deployments, "red": LIVE.deployments["green"]})), "Deployment red is new."),
    "a rollback": (shown("c1", STEP, replace(LIVE, facts=Facts(rollbacks=1))), "Traffic was rolled back in between."),
}


@pytest.mark.parametrize("what", CHANGED)
def test_whatever_is_shown_and_changes_makes_the_approval_stale_and_is_named(what):
    now, reason = CHANGED[what]
    assert now.digest != BEFORE.digest
    assert len(changes(BEFORE, now)) == 1
    assert reason in changes(BEFORE, now)[0]


def test_instances_that_an_autoscaler_moves_change_nothing():
    now = shown("c1", STEP, with_green(instance_count=40))
    assert (now.digest, changes(BEFORE, now)) == (BEFORE.digest, ())


def test_who_wrote_last_and_when_change_nothing():
    now = shown("c1", STEP, replace(LIVE, facts=Facts(run="another", since="later", step="flight-green-5"), scoring_uri="moved"))
    assert (now.digest, changes(BEFORE, now)) == (BEFORE.digest, ())


few = st.sampled_from(["", "a", "b"])
anything_shown = st.builds(Shown, few, few, few, st.dictionaries(few, few, max_size=2), st.integers(0, 2))


@often
@given(anything_shown, anything_shown)
def test_there_is_a_reason_exactly_when_the_digest_differs(before, now):
    assert bool(changes(before, now)) == (before.digest != now.digest)


def test_the_digest_is_eight_hex_digits_and_does_not_depend_on_the_order_of_names():
    turned = Shown(BEFORE.commit, BEFORE.step, BEFORE.traffic, dict(reversed(BEFORE.runs.items())), BEFORE.rollbacks)
    assert turned.digest == BEFORE.digest
    assert len(BEFORE.digest) == 8
    int(BEFORE.digest, 16)
