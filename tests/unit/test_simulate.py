"""Every step imitated, and the whole way as it is shown beforehand."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from aml_canary.domain.observed import absent
from aml_canary.domain.simulate import after, whole_path
from aml_canary.domain.steps import (
    CreateDeployment,
    CreateEndpoint,
    DeleteDeployment,
    DeleteEndpoint,
    Scale,
    ShiftTraffic,
    SmokeInvoke,
    label,
)
from aml_canary.errors import PlanRefused
from tests.unit.test_staging import NOTHING, SEED, SEED_WAY
from tests.unit.worlds import NAME, World, live, rollouts, shape, walked, wanted

AIM = wanted({"green": 100}, {"green": "v2"}, counts={"green": 3})
HERE = live({"blue": 100}, {"blue": "v1"}, mirror={})


def test_a_new_endpoint_has_no_traffic_and_no_deployments():
    made = after(CreateEndpoint(), absent(NAME), AIM)
    assert (made.exists, made.state, made.auth_mode, made.traffic, made.deployments) == (True, "Succeeded", "key", {}, {})


def test_a_new_deployment_is_as_the_manifest_says_and_without_traffic():
    made = after(CreateDeployment("green"), HERE, AIM)
    green = made.deployments["green"]
    assert (green.healthy, green.instance_count, green.fingerprint) == (True, 3, "v2")
    assert made.traffic == HERE.traffic


def test_a_shift_sets_all_weights_and_drops_zeros_as_azure_does():
    shifted = after(ShiftTraffic("green", {"blue": 0, "green": 100}, {"blue": 5}), HERE, AIM)
    assert (shifted.traffic, shifted.mirror_traffic) == ({"green": 100}, {"blue": 5})


def test_scaling_changes_the_count_and_nothing_else():
    scaled = after(Scale("blue", 2, 7), HERE, AIM)
    assert scaled.deployments["blue"] == replace(HERE.deployments["blue"], instance_count=7, applied_count=7)


def test_smoke_requests_change_nothing_and_deletions_leave_nothing():
    assert after(SmokeInvoke("blue"), HERE, AIM) is HERE
    assert after(DeleteDeployment("blue", retire=True), HERE, AIM).deployments == {}
    assert after(DeleteEndpoint(), HERE, AIM) == absent(NAME)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(rollouts())
def test_the_whole_path_of_one_manifest_leads_to_its_end(rollout):
    aim, world = rollout
    printed = World(world.live)
    for step in whole_path((aim,), world.live):
        printed = printed.do(step, aim)
    served = [d for n, d in world.live.deployments.items() if world.live.carries_traffic(n)]
    assert shape(printed) == shape(walked(aim, world)) or not all(d.healthy for d in served)


@pytest.mark.parametrize("at", range(len(SEED_WAY)))
def test_the_whole_path_of_the_seed_is_shown_from_wherever_the_endpoint_is(at):
    path = [label(step) for step in whole_path(SEED.stages, SEED_WAY[at][2].live)]
    rest = [label(step) for _, step, _ in SEED_WAY[at:]]
    assert [name for name in path if not name.startswith("smoke")] == [name for name in rest if not name.startswith("smoke")]


def test_the_whole_path_of_the_seed_smoke_invokes_each_deployment_once():
    path = [label(step) for step in whole_path(SEED.stages, NOTHING.live)]
    assert [name for name in path if name.startswith("smoke")] == ["smoke-invoke-blue", "smoke-invoke-green"]


def test_a_way_that_is_barred_is_refused():
    with pytest.raises(PlanRefused, match="changed in place"):
        whole_path((wanted({"blue": 100}, {"blue": "v2"}),), HERE)
