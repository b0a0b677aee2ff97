"""What holds for every plan: random manifests against random endpoints, walked to the end, killed and resumed anywhere."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from aml_canary.domain.facts import from_tags, to_tags
from aml_canary.domain.manifest import Stage
from aml_canary.domain.observed import Facts, nonzero
from aml_canary.domain.planner import Wanted, compare, plan, spread
from aml_canary.domain.steps import (
    CreateDeployment,
    CreateEndpoint,
    DeleteDeployment,
    Scale,
    ShiftTraffic,
    SmokeInvoke,
    Step,
    gate_of,
    label,
    sentence,
)
from aml_canary.errors import PlanRefused
from tests.unit.worlds import PLENTY, World, live, rollouts, shape, walked, wanted, weights

often = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


def as_printed(aim: Wanted, world: World) -> Iterator[tuple[Step, World, World]]:
    """Each step of the plan as it was shown, with the world before and after."""
    for step in world.steps(aim):
        following = world.do(step, aim)
        yield step, world, following
        world = following


def as_walked(aim: Wanted, world: World) -> Iterator[tuple[Step, World, World]]:
    """Each step as the flow takes them: the first of a new plan each time."""
    steps = world.steps(aim)
    while steps:
        following = world.do(steps[0], aim)
        yield steps[0], world, following
        world = following
        steps = world.steps(aim)


def nothing_that_serves_has_failed(world: World) -> bool:
    """Otherwise a deployment that failed while it served is made anew once its weight has gone, which only a later look finds."""
    return all(d.healthy or not world.live.carries_traffic(name) for name, d in world.live.deployments.items())


either_way = pytest.mark.parametrize("follow", [as_printed, as_walked])


@often
@given(rollouts())
def test_every_plan_ends_and_once_begun_is_never_refused(rollout):
    aim, world = rollout
    assert len(world.steps(aim)) < PLENTY
    assert not walked(aim, world).steps(aim)


@often
@given(rollouts())
def test_at_the_end_the_endpoint_is_as_the_manifest_says(rollout):
    aim, world = rollout
    end, endpoint = walked(aim, world).live, aim.stage.endpoint
    assert end.exists
    if endpoint.traffic is not None:
        assert dict(end.traffic) == nonzero(endpoint.traffic)
        assert dict(end.mirror_traffic) == nonzero(endpoint.mirror_traffic)
    else:
        assert (dict(end.traffic), dict(end.mirror_traffic)) == (dict(world.live.traffic), dict(world.live.mirror_traffic))
    for name, deployment in aim.stage.deployments.items():
        there = end.deployments[name]
        assert compare(deployment, aim.fingerprints[name], there) == ()
        assert there.healthy or end.carries_traffic(name)
        assert there.instance_count == deployment.instance_count or there.fingerprint is None
    others = end.deployments.keys() - aim.stage.deployments.keys()
    assert not aim.retire or all(end.carries_traffic(name) for name in others)


@often
@given(rollouts())
def test_an_endpoint_that_equals_the_manifest_gets_an_empty_plan_from_a_run_that_remembers_nothing(rollout):
    aim, world = rollout
    assert walked(aim, world).killed().steps(aim) == ()


@either_way
@often
@given(rollouts())
def test_new_weight_is_given_only_to_a_deployment_that_succeeded_and_answered_smoke_requests_since_it_was_made(follow, rollout):
    aim, world = rollout
    for step, before, now in follow(aim, world):
        if isinstance(step, ShiftTraffic):
            for name, weight in now.live.traffic.items():
                if weight > before.live.traffic.get(name, 0):
                    assert now.live.deployments[name].healthy
                if not before.live.traffic.get(name):
                    assert name in before.smoked


@either_way
@often
@given(rollouts())
def test_weights_total_100_at_every_moment_once_an_endpoint_is_live(follow, rollout):
    aim, world = rollout
    for step, before, now in follow(aim, world):
        if isinstance(step, ShiftTraffic):
            assert sum(step.weights.values()) == 100
            assert set(step.mirror).isdisjoint(nonzero(step.weights))
        assert sum(now.live.traffic.values()) == 100 or not before.live.traffic
        assert all(name in now.live.deployments for name in (*now.live.traffic, *now.live.mirror_traffic))


@either_way
@often
@given(rollouts())
def test_what_carries_traffic_is_never_made_anew_or_deleted(follow, rollout):
    aim, world = rollout
    for step, before, now in follow(aim, world):
        if isinstance(step, DeleteDeployment):
            assert not before.live.carries_traffic(step.name)
        if isinstance(step, CreateDeployment):
            assert step.name not in before.live.deployments
        for name in before.live.deployments:
            if before.live.carries_traffic(name):
                assert now.live.deployments[name].identity == before.live.deployments[name].identity


@either_way
@often
@given(rollouts())
def test_instances_are_taken_away_only_after_the_weight_has_gone(follow, rollout):
    aim, world = rollout
    asked = aim.stage.endpoint.traffic
    for step, before, _ in follow(aim, world):
        if isinstance(step, Scale) and step.after < step.before and asked is not None:
            assert before.live.traffic.get(step.name, 0) <= asked.get(step.name, 0)


@either_way
@often
@given(rollouts())
def test_create_comes_before_shift_and_shift_before_retiring(follow, rollout):
    aim, world = rollout
    assume(nothing_that_serves_has_failed(world))
    kinds = ""
    for step, _, _ in follow(aim, world):
        match step:
            case CreateEndpoint():
                kinds += "e"
            case CreateDeployment() | DeleteDeployment(retire=False):
                kinds += "c"
            case SmokeInvoke():
                kinds += "s"
            case ShiftTraffic():
                kinds += "t"
            case DeleteDeployment(retire=True):
                kinds += "z"
    assert kinds == "".join(sorted(kinds, key="ecstz".index))


@either_way
@often
@given(rollouts())
def test_the_canarys_weight_only_rises_and_nobody_elses_does(follow, rollout):
    aim, world = rollout
    was_live = bool(world.live.traffic)
    canaries = set()
    for step, before, now in follow(aim, world):
        if isinstance(step, ShiftTraffic) and was_live:
            canaries.add(step.canary)
            for name in {*before.live.traffic, *now.live.traffic}:
                gained = now.live.traffic.get(name, 0) - before.live.traffic.get(name, 0)
                assert gained > 0 if name == step.canary else gained <= 0
    assert len(canaries) <= 1


@often
@given(rollouts(), st.data())
def test_a_rollout_killed_and_resumed_anywhere_comes_to_the_same_end(rollout, data):
    aim, world = rollout
    undisturbed = walked(aim, world)
    disasters = data.draw(st.lists(st.sampled_from(["go on", "killed", "killed", "failed"]), max_size=PLENTY))
    for disaster in disasters:
        steps = world.steps(aim)
        if not steps:
            break
        world = world.failing(steps[0]) if disaster == "failed" and isinstance(steps[0], CreateDeployment) else world.do(steps[0], aim)
        if disaster == "killed":
            world = world.killed()
    assert shape(walked(aim, world)) == shape(undisturbed)


@often
@given(rollouts())
def test_the_printed_plan_and_the_walked_one_end_alike(rollout):
    aim, world = rollout
    assume(nothing_that_serves_has_failed(world))
    steps = world.steps(aim)
    printed = world
    for step in steps:
        printed = printed.do(step, aim)
    assert shape(printed) == shape(walked(aim, world))


@often
@given(rollouts())
def test_every_step_of_a_plan_has_a_sentence_and_a_label_of_its_own(rollout):
    aim, world = rollout
    steps = world.steps(aim)
    labels = [label(step) for step in steps]
    assert len(set(labels)) == len(labels)
    assert all(label.replace("-", "").isalnum() for label in labels)
    assert all(sentence(step).endswith(".") for step in steps)


@often
@given(rollouts())
def test_a_step_that_users_could_notice_has_a_gate(rollout):
    aim, world = rollout
    for step, before, now in as_printed(aim, world):
        noticed = dict(before.live.traffic) != dict(now.live.traffic)
        assert gate_of(step) is not None if noticed else True


@often
@given(rollouts(), st.data())
def test_azures_spelling_of_the_same_endpoint_changes_no_plan(rollout, data):
    aim, world = rollout
    """The other way round: how git spells zero weights does not matter, because Azure drops them."""
    steps = world.steps(aim)
    endpoint = aim.stage.endpoint
    if endpoint.traffic is not None:
        zeros = dict.fromkeys(aim.stage.deployments, 0) if data.draw(st.booleans()) else {}
        respelled = endpoint.model_copy(update={"traffic": {**zeros, **nonzero(endpoint.traffic)}})
        stage = Stage(name="respelled", file="r.yml", endpoint=respelled, deployments=aim.stage.deployments)
        other = Wanted(stage, aim.fingerprints, aim.steps, aim.retire)
        assert plan(other, world.live, world.smoked).steps == steps


@often
@given(weights(("blue", "green", "red")), st.data())
def test_spread_totals_100_and_takes_only_from_the_others_never_more_than_they_are_to_give(traffic, data):
    before = nonzero(traffic)
    canary = data.draw(st.sampled_from(["blue", "teal"]))
    final = {name: data.draw(st.integers(0, weight)) for name, weight in before.items() if name != canary}
    final[canary] = 100 - sum(final.values())
    assume(final[canary] > before.get(canary, 0))
    percentage = data.draw(st.integers(before.get(canary, 0), final[canary]))
    now = spread(before, final, canary, percentage)
    assert sum(now.values()) == 100
    assert now.get(canary, 0) == percentage
    assert all(final[name] <= now.get(name, 0) <= before[name] for name in before if name != canary)


@often
@given(st.lists(st.from_regex(r"[a-z][a-z0-9]{25,31}", fullmatch=True), unique=True, min_size=6, max_size=12), st.data())
def test_the_way_back_and_the_weights_of_every_step_come_back_whole_from_the_endpoints_tags(names, data):
    canary, *serving = names
    before = {name: data.draw(st.integers(1, 9)) for name in serving}
    before[serving[0]] += 100 - sum(before.values())
    final = {name: data.draw(st.integers(0, weight)) for name, weight in before.items()}
    final[canary] = 100 - sum(final.values())
    assume(final[canary])
    aim, here = wanted(final, dict.fromkeys(names, "v1"), steps=(1, 10, 50)), live(before, dict.fromkeys(names, "v1"))
    try:
        steps = plan(aim, here).steps
    except PlanRefused:
        assert sum(len(f"{name}=99 ") for name in {canary, *before}) > 256
        return
    for step in steps:
        if isinstance(step, ShiftTraffic):
            kept = from_tags(to_tags(Facts(stable=before, traffic=step.weights)))
            assert (kept.stable, kept.traffic) == (before, step.weights)
