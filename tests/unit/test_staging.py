"""Where in a staged folder an endpoint is, found by looking at it: the project's own folder, and folders drawn at random."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from aml_canary.domain.manifest_reader import read_manifest, require
from aml_canary.domain.observed import absent, nonzero
from aml_canary.domain.order import order_of, what_is_left
from aml_canary.domain.planner import Wanted, plan
from aml_canary.domain.staging import next_stage
from aml_canary.domain.steps import CreateDeployment, DeleteDeployment, Scale, ShiftTraffic, Step, label
from aml_canary.errors import PlanRefused
from aml_canary.gateways.folder import FolderTree
from tests.unit.worlds import NAME, NAMES, PLENTY, World, live, shape, wanted

TREE = FolderTree(Path(__file__).parents[2])
SEED = order_of(require(read_manifest(TREE, "configs/online-endpoint/mir/gitops")), TREE, "repository", "commit")
NOTHING = World(absent(SEED.endpoint))


def way(stages: tuple[Wanted, ...], world: World) -> list[tuple[int, Step, World]]:
    """Every stage worked on, step taken and world before it, as the flow goes: it plans anew after each step."""
    found = []
    for _ in range(PLENTY):
        index = next_stage(stages, world.live)
        if index is None:
            return found
        steps = world.steps(stages[index])
        assert steps, f"stage {index} is said to be next, and there is nothing to do"
        found.append((index, steps[0], world))
        world = world.do(steps[0], stages[index])
    raise AssertionError("the stages do not end")


def end_of(stages: tuple[Wanted, ...], world: World) -> World:
    taken = way(stages, world)
    return taken[-1][2].do(taken[-1][1], stages[taken[-1][0]]) if taken else world


SEED_WAY = way(SEED.stages, NOTHING)


def test_the_seeds_folder_is_walked_stage_by_stage_from_nothing():
    assert [(index + 1, label(step)) for index, step, _ in SEED_WAY] == [
        (1, "create-endpoint"),
        (1, "create-blue"),
        (1, "smoke-invoke-blue"),
        (1, "full-blue"),
        (2, "scale-blue"),
        (3, "create-green"),
        (4, "smoke-invoke-green"),
        (4, "flight-green-10"),
        (5, "full-green"),
        (6, "delete-blue"),
    ]


def test_after_each_stage_of_the_seed_the_endpoint_is_exactly_as_that_file_says():
    for (index, _, _), (following, _, world) in itertools.pairwise(SEED_WAY):
        if following != index:
            stage = SEED.stages[index].stage
            assert dict(world.live.traffic) == nonzero(stage.endpoint.traffic)
            assert {n: d.instance_count for n, d in world.live.deployments.items()} == {
                n: d.instance_count for n, d in stage.deployments.items()
            }


@pytest.mark.parametrize("at", range(len(SEED_WAY)))
def test_killed_before_any_step_of_the_seed_the_rest_is_done_and_nothing_twice(at):
    again = way(SEED.stages, SEED_WAY[at][2].killed())
    left = [label(step) for _, step, _ in SEED_WAY[at:]]
    smoked_again = [label(step) for _, step, _ in again if label(step) not in left]
    assert [label(step) for _, step, _ in again if label(step) not in smoked_again] == [
        name for name in left if name in [label(step) for _, step, _ in again]
    ]
    # Only a smoke request may be sent once more, because the answer was not kept; one for no weight may be left to the next stage.
    assert all(name.startswith("smoke-invoke-") for name in {*smoked_again, *left} - ({*left} & {label(s) for _, s, _ in again}))
    assert shape(end_of(SEED.stages, SEED_WAY[at][2].killed())) == shape(end_of(SEED.stages, NOTHING))


@pytest.mark.parametrize("at", [n for n, (_, step, _) in enumerate(SEED_WAY) if isinstance(step, CreateDeployment)])
def test_a_deployment_of_the_seed_that_failed_is_made_again(at):
    _, step, world = SEED_WAY[at]
    failed = world.failing(step).killed()
    taken = [label(s) for _, s, _ in way(SEED.stages, failed)]
    assert taken[:2] == [f"delete-{step.name}", f"create-{step.name}"]
    assert shape(end_of(SEED.stages, failed)) == shape(end_of(SEED.stages, NOTHING))


def test_at_the_last_stage_nothing_is_left():
    assert what_is_left(SEED, end_of(SEED.stages, NOTHING).live).plan.steps == ()


def test_a_leftover_that_could_not_be_deleted_keeps_the_last_stage_from_being_reached():
    _, step, world = SEED_WAY[-1]
    assert step == DeleteDeployment("blue", retire=True)
    blue = world.live.deployments["blue"]
    stuck = World(live_with(world, blue, state="Failed"))
    assert [label(s) for _, s, _ in way(SEED.stages, stuck)] == ["delete-blue"]


def live_with(world: World, deployment, **changes):
    return replace(world.live, deployments={**world.live.deployments, deployment.name: replace(deployment, **changes)})


def test_a_deployment_of_somebody_elses_without_traffic_hides_nothing_and_ends_behind_a_gate():
    _, _, world = next(found for found in SEED_WAY if label(found[1]) == "create-green")
    stranger = replace(world.live.deployments["blue"], name="test-of-ann", fingerprint=None)
    taken = [s for _, s, _ in way(SEED.stages, World(live_with(world, stranger)))]
    assert DeleteDeployment("test-of-ann", retire=True) in taken
    assert [label(s) for s in taken if "ann" not in label(s)] == [label(s) for _, s, _ in SEED_WAY[5:]]


def test_instances_that_an_autoscaler_moved_do_not_hide_where_the_endpoint_is():
    _, _, world = next(found for found in SEED_WAY if label(found[1]) == "full-green")
    moved = World(live_with(world, world.live.deployments["green"], instance_count=9))
    assert next((i + 1, label(s)) for i, s, _ in way(SEED.stages, moved)) == (5, "full-green")
    end = end_of(SEED.stages, moved).live
    assert (end.traffic, {name: d.instance_count for name, d in end.deployments.items()}) == ({"green": 100}, {"green": 9}), "left alone"


def test_instances_of_a_deployment_whose_written_count_is_not_known_are_brought_to_the_file_s():
    _, _, world = next(found for found in SEED_WAY if label(found[1]) == "full-green")
    moved = World(live_with(world, world.live.deployments["green"], instance_count=9, applied_count=None))
    assert next((i + 1, label(s)) for i, s, _ in way(SEED.stages, moved)) == (4, "scale-green")
    assert end_of(SEED.stages, moved).live.deployments["green"].instance_count == 5


def test_an_endpoint_that_is_at_no_stage_is_refused_with_the_names_of_the_stages():
    _, _, world = SEED_WAY[-1]
    lost = World(replace(world.live, traffic={"blue": 33, "green": 67}))
    with pytest.raises(PlanRefused, match=r"1-create-endpoint, .*6-delete-blue"):
        next_stage(SEED.stages, lost.live)


def stages(*given: dict) -> tuple[Wanted, ...]:
    return tuple(wanted(**one, steps=(), name=f"{n}-stage") for n, one in enumerate(given, 1))


def test_a_first_stage_without_traffic_is_a_stage_like_any_other():
    folder = stages(
        {"traffic": {"blue": 0}, "runs": {"blue": "v1"}},
        {"traffic": {"blue": 100}, "runs": {"blue": "v1"}},
    )
    assert [(i, label(s)) for i, s, _ in way(folder, World(absent(NAME)))][-1] == (1, "full-blue")


def test_one_file_may_create_shift_and_delete():
    folder = stages(
        {"traffic": {"blue": 100}, "runs": {"blue": "v1"}},
        {"traffic": {"green": 100}, "runs": {"green": "v2"}},
    )
    taken = [label(s) for _, s, _ in way(folder, World(live({"blue": 100}, {"blue": "v1"})))]
    assert taken == ["create-green", "smoke-invoke-green", "full-green", "delete-blue"]


def test_one_file_may_scale_and_shift():
    folder = stages(
        {"traffic": {"blue": 100, "green": 0}, "runs": {"blue": "v1", "green": "v2"}},
        {"traffic": {"blue": 90, "green": 10}, "runs": {"blue": "v1", "green": "v2"}, "counts": {"green": 4}},
    )
    taken = [label(s) for _, s, _ in way(folder, World(live({"blue": 100}, {"blue": "v1", "green": "v2"})))]
    assert taken == ["scale-green", "smoke-invoke-green", "flight-green-10"]


@st.composite
def folders(draw: st.DrawFn) -> tuple[Wanted, ...]:
    """Up to five files, each a little different from the one before it, some in several ways at once."""
    traffic: dict[str, int] = {"blue": draw(st.sampled_from([0, 100]))}
    runs, counts, given = {"blue": "v1"}, {"blue": 2}, []
    for _ in range(draw(st.integers(2, 5))):
        given.append({"traffic": dict(traffic), "runs": dict(runs), "counts": dict(counts)})
        for change in draw(st.sets(st.sampled_from(["add", "shift", "scale", "drop", "renew"]), min_size=1, max_size=3)):
            idle = sorted(name for name in runs if not traffic.get(name))
            if change == "add":
                name = draw(st.sampled_from(NAMES))
                runs.setdefault(name, "v1")
                counts.setdefault(name, 2)
            if change == "shift":
                canary = draw(st.sampled_from(sorted(runs)))
                kept = {n: draw(st.sampled_from([w, w // 2, 0])) for n, w in sorted(traffic.items()) if n != canary}
                if sum(traffic.values()) == 0 or 100 - sum(kept.values()) > traffic.get(canary, 0):
                    traffic = {**kept, canary: 100 - sum(kept.values())}
            if change == "scale":
                counts[draw(st.sampled_from(sorted(runs)))] = draw(st.integers(1, 4))
            if change == "drop" and idle and len(runs) > 1:
                name = draw(st.sampled_from(idle))
                traffic.pop(name, None), runs.pop(name)
            if change == "renew" and idle and given[-1]["traffic"].get(idle[0], 0) == 0:
                runs[idle[0]] = "v2"
    return stages(*given)


def possible(folder: tuple[Wanted, ...]) -> bool:
    """Whether each file can follow on the one before it, and no state comes twice: then its place would be anybody's guess."""
    world, seen = World(absent(NAME)), [shape(World(absent(NAME)))]
    for aim in folder:
        try:
            steps = plan(aim, world.live).steps
        except PlanRefused:
            return False
        for step in steps:
            world = world.do(step, aim)
            if shape(world) != seen[-1]:
                seen.append(shape(world))
    return not any(one in seen[:n] for n, one in enumerate(seen))


often = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@often
@given(folders())
def test_any_folder_is_walked_in_order_without_leaving_out_a_stage(folder):
    assume(possible(folder))
    taken = way(folder, World(absent(NAME)))
    indices = [index for index, _, _ in taken]
    assert indices == sorted(indices)
    printed, world = [], World(absent(NAME))
    for index, aim in enumerate(folder):
        for step in world.steps(aim):
            printed.append((index, label(step)))
            world = world.do(step, aim)
    done = [(index, label(step)) for index, step, _ in taken]
    smoke = [p for p in printed if p not in done]
    # What gets no weight in its stage may be smoke-invoked in the one that gives it some.
    assert all(name.startswith("smoke-invoke-") for _, name in smoke)
    assert [p for p in done if not p[1].startswith("smoke")] == [p for p in printed if not p[1].startswith("smoke")]


@often
@given(folders(), st.data())
def test_any_folder_comes_to_its_end_however_often_it_is_killed_or_azure_fails(folder, data):
    assume(possible(folder))
    disasters = data.draw(st.lists(st.sampled_from(["go on", "killed", "killed", "failed"]), max_size=PLENTY))
    world = World(absent(NAME))
    for disaster in disasters:
        index = next_stage(folder, world.live)
        if index is None:
            break
        step = world.steps(folder[index])[0]
        if isinstance(step, ShiftTraffic):
            gaining = [n for n, w in step.weights.items() if w > world.live.traffic.get(n, 0)]
            assert all(n in world.smoked or world.live.traffic.get(n) for n in gaining)
        if isinstance(step, Scale):
            assert step.after > step.before or world.live.traffic.get(step.name, 0) <= (folder[index].stage.endpoint.traffic or {}).get(
                step.name, 0
            )
        failing = disaster == "failed" and isinstance(step, CreateDeployment)
        world = world.failing(step) if failing else world.do(step, folder[index])
        if disaster == "killed":
            world = world.killed()
    end = end_of(folder, world).live
    last = folder[-1].stage
    assert dict(end.traffic) == nonzero(last.endpoint.traffic)
    assert {n: (d.fingerprint, d.instance_count, d.state) for n, d in end.deployments.items()} == {
        n: (folder[-1].fingerprints[n], d.instance_count, "Succeeded") for n, d in last.deployments.items()
    }
