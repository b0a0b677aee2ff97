"""What is planned in the cases a reader would ask about, by example. What holds for every plan is in test_planner_properties."""

from dataclasses import replace

import pytest

from aml_canary.domain.manifest import Deployment, Endpoint, Stage
from aml_canary.domain.observed import absent
from aml_canary.domain.planner import Wanted, compare, plan, spread
from aml_canary.domain.steps import DeleteDeployment, ShiftTraffic, label
from aml_canary.errors import PlanRefused
from tests.unit.worlds import NAME, TYPE, live, wanted


def labels(aim, here, smoked=()):
    return [label(step) for step in plan(aim, here, smoked).steps]


BLUE = live({"blue": 100}, {"blue": "v1"})
GREEN_NEXT = wanted({"green": 100}, {"green": "v2"})


def test_the_first_release_is_smoke_invoked_and_gets_everything_at_once():
    aim = wanted({"blue": 100}, {"blue": "v1"}, steps=(10, 50))
    assert labels(aim, absent(NAME)) == ["create-endpoint", "create-blue", "smoke-invoke-blue", "full-blue"]


def test_a_first_release_of_two_is_named_by_the_larger():
    aim = wanted({"blue": 20, "green": 80}, {"blue": "v1", "green": "v2"})
    assert labels(aim, absent(NAME))[-1] == "flight-green-80"


def test_a_release_goes_by_the_manifests_steps_and_retires_what_git_no_longer_names():
    assert labels(GREEN_NEXT, BLUE) == ["create-green", "smoke-invoke-green", "flight-green-10", "full-green", "delete-blue"]


def test_a_rollout_that_stands_at_a_step_goes_on_from_there():
    here = live({"blue": 50, "green": 50}, {"blue": "v1", "green": "v2"})
    aim = wanted({"green": 100}, {"green": "v2"}, steps=(10, 50, 75))
    assert labels(aim, here) == ["flight-green-75", "full-green", "delete-blue"]


def test_a_deployment_that_is_kept_is_not_deleted_and_the_plan_says_so():
    found = plan(wanted({"green": 100}, {"green": "v2"}, retire=False), BLUE)
    assert not any(isinstance(step, DeleteDeployment) for step in found.steps)
    assert found.remarks == ("blue: not in the manifest, kept because rollout.retire.delete is false.",)


def test_going_back_to_blue_is_a_rollout_like_any_other():
    here = live({"blue": 90, "green": 10}, {"blue": "v1", "green": "v2"})
    assert labels(wanted({"blue": 100}, {"blue": "v1"}), here) == ["full-blue", "delete-green"]


def test_a_manifest_without_traffic_never_takes_live_traffic_away():
    assert labels(wanted(None, {"blue": "v1", "green": "v2"}), BLUE) == ["create-green", "smoke-invoke-green"]
    assert labels(wanted(None, {"green": "v2"}), BLUE) == ["create-green", "smoke-invoke-green"]


@pytest.mark.parametrize("traffic", [{}, {"blue": 0}])
def test_taking_all_traffic_from_a_live_endpoint_is_refused(traffic):
    with pytest.raises(PlanRefused, match=r"would take all live traffic from churn.*teardown"):
        plan(wanted(traffic, {"blue": "v1"}), BLUE)


def test_changing_in_place_what_carries_traffic_is_refused_and_another_name_offered():
    with pytest.raises(
        PlanRefused, match=r"Deployment blue carries traffic and would be changed in place: what it runs.*for example green"
    ):
        plan(wanted({"blue": 100}, {"blue": "v2"}), BLUE)


def test_a_mirrored_deployment_is_not_changed_in_place_either():
    here = live({"blue": 100}, {"blue": "v1", "green": "v1"}, mirror={"green": 10})
    with pytest.raises(PlanRefused, match="Deployment green carries traffic"):
        plan(wanted({"blue": 100}, {"blue": "v1", "green": "v2"}, mirror={"green": 10}), here)


def test_scaling_in_place_is_allowed():
    assert labels(wanted({"blue": 100}, {"blue": "v1"}, counts={"blue": 5}), BLUE) == ["scale-blue"]


def test_instances_are_added_before_traffic_comes_and_taken_after_it_went():
    here = live({"blue": 100}, {"blue": "v1", "green": "v2"}, counts={"blue": 4, "green": 1})
    aim = wanted({"blue": 10, "green": 90}, {"blue": "v1", "green": "v2"}, counts={"blue": 1, "green": 4}, steps=())
    assert labels(aim, here, smoked=["green"]) == ["scale-green", "flight-green-90", "scale-blue"]


def test_an_idle_deployment_that_runs_something_else_is_made_anew_and_smoke_invoked_again():
    here = live({"blue": 100}, {"blue": "v1", "green": "old"})
    aim = wanted({"blue": 100, "green": 0}, {"blue": "v1", "green": "v2"})
    assert labels(aim, here, smoked=["green"]) == ["delete-green", "create-green", "smoke-invoke-green"]


def test_a_failed_leftover_is_made_anew():
    here = live({"blue": 100}, {"blue": "v1", "green": "v2"}, states={"green": "Failed"})
    assert labels(GREEN_NEXT, here)[:3] == ["delete-green", "create-green", "smoke-invoke-green"]


def test_a_failed_deployment_that_serves_must_not_get_more_traffic():
    here = live({"blue": 90, "green": 10}, {"blue": "v1", "green": "v2"}, states={"green": "Failed"})
    with pytest.raises(PlanRefused, match="Deployment green is Failed on Azure and must not get more traffic"):
        plan(GREEN_NEXT, here)


def test_two_canaries_at_once_are_refused_and_named():
    here = live({"blue": 100}, {"blue": "v1", "green": "v2", "red": "v3"})
    aim = wanted({"blue": 80, "green": 10, "red": 10}, {"blue": "v1", "green": "v2", "red": "v3"})
    with pytest.raises(PlanRefused, match=r"green and red would all gain.*live: blue=100, wanted: blue=80 green=10 red=10"):
        plan(aim, here)


LONG = [f"deployment-with-a-name-as-long-{n}" for n in range(1, 9)]


def test_weights_that_do_not_fit_into_a_tag_are_refused_before_anything_is_made():
    assert {len(name) for name in LONG} == {32}
    serving = dict.fromkeys(LONG[:7], 10) | {LONG[0]: 40}
    here = live(serving, dict.fromkeys(serving, "v1"))
    aim = wanted(serving | {LONG[0]: 30, LONG[7]: 10}, dict.fromkeys(LONG, "v1"))
    with pytest.raises(PlanRefused, match=r"the weights of 8 deployments .*Azure takes 256 characters.*fewer deployments.*shorter names"):
        plan(aim, here)
    # Seven fit, and eight that no step gives traffic to are left alone.
    moved = wanted(serving | {LONG[0]: 30, LONG[1]: 20}, dict.fromkeys(serving, "v1"))
    assert labels(moved, here) == [f"flight-{LONG[1]}-20"]
    eight = serving | {LONG[0]: 30, LONG[7]: 10}
    assert labels(wanted(eight, dict.fromkeys(LONG, "v1")), live(eight, dict.fromkeys(LONG, "v1"))) == []


def test_one_that_keeps_its_share_keeps_it_on_the_way():
    here = live({"blue": 50, "red": 50}, {"blue": "v1", "red": "v3"})
    aim = wanted({"green": 50, "red": 50}, {"green": "v2", "red": "v3"}, steps=(10, 25))
    assert [step.weights for step in plan(aim, here).steps if isinstance(step, ShiftTraffic)] == [
        {"blue": 40, "green": 10, "red": 50},
        {"blue": 25, "green": 25, "red": 50},
        {"green": 50, "red": 50},
    ]


def test_what_rounding_leaves_is_taken_from_the_largest_remainder_then_by_name():
    thirds = {"aaa": 34, "bbb": 33, "ccc": 33}
    assert spread(thirds, {"ddd": 100}, "ddd", 10) == {"aaa": 30, "bbb": 30, "ccc": 30, "ddd": 10}


def test_an_equal_endpoint_needs_nothing_in_any_of_azures_spellings():
    """Names and authentication mode in another case, zero weights dropped."""
    here = replace(live({"green": 100}, {"blue": "v1", "green": "v2"}), auth_mode="Key")
    here = replace(here, deployments={name: replace(d, instance_type=TYPE.lower()) for name, d in here.deployments.items()})
    assert labels(wanted({"blue": 0, "green": 100}, {"blue": "v1", "green": "v2"}), here) == []


REGISTERED = (
    "azureml:weights:3",
    "azureml://registries/acme/models/weights/versions/3",
    "azureml:/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/models/weights/versions/3",
)


@pytest.mark.parametrize("model", REGISTERED)
def test_a_deployment_made_by_somebody_else_is_compared_by_its_models_name_and_version(model):
    there = replace(live({}, {"blue": None}).deployments["blue"], model="weights:3")
    deployment = Deployment(name="blue", model=model, instance_type=TYPE)
    assert compare(deployment, "v1", there) == ()
    assert compare(deployment, "v1", replace(there, model="weights:2")) == ("model",)


@pytest.mark.parametrize("model", REGISTERED)
def test_a_fingerprint_says_all_about_a_deployment_of_ours(model):
    there = replace(live({}, {"blue": "v1"}).deployments["blue"], model="some-other-spelling:3")
    assert compare(Deployment(name="blue", model=model, instance_type=TYPE), "v1", there) == ()


def test_another_machine_size_is_another_deployment():
    there = replace(live({}, {"blue": None}).deployments["blue"], instance_type="Standard_DS3_v2")
    assert compare(Deployment(name="blue", instance_type=TYPE), "v1", there) == ("instance_type",)


def test_a_deployment_made_by_somebody_else_is_left_alone_and_the_plan_says_so():
    found = plan(wanted({"blue": 100}, {"blue": "v1"}, counts={"blue": 7}), live({"blue": 100}, {"blue": None}))
    assert found.steps == ()
    assert "blue was not created by a rollout" in found.remarks[0]


def test_another_authentication_mode_is_refused_because_it_would_break_every_caller():
    with pytest.raises(PlanRefused, match="has auth_mode aml_token, the manifest says key"):
        plan(GREEN_NEXT, replace(BLUE, auth_mode="aml_token"))


def test_an_endpoint_that_azure_calls_failed_is_refused():
    with pytest.raises(PlanRefused, match="Endpoint churn is Failed on Azure"):
        plan(GREEN_NEXT, replace(BLUE, state="Failed"))


def test_a_mirror_is_set_and_removed_with_the_traffic_as_it_is():
    mirrored = wanted({"blue": 100, "green": 0}, {"blue": "v1", "green": "v2"}, mirror={"green": 10})
    bare = wanted({"blue": 100, "green": 0}, {"blue": "v1", "green": "v2"})
    here = live({"blue": 100}, {"blue": "v1", "green": "v2"})
    assert plan(mirrored, here).steps == (ShiftTraffic("", {"blue": 100}, {"green": 10}),)
    assert plan(bare, replace(here, mirror_traffic={"green": 10})).steps == (ShiftTraffic("", {"blue": 100}, {}),)


def test_a_mirror_written_without_traffic_is_obeyed():
    aim = wanted(None, {"green": "v2"}, mirror={"green": 10})
    assert plan(aim, live({"blue": 100}, {"blue": "v1", "green": "v2"})).steps == (ShiftTraffic("", {"blue": 100}, {"green": 10}),)
    with pytest.raises(PlanRefused, match="names green, which has live traffic"):
        plan(aim, live({"green": 100}, {"green": "v2"}))


def test_a_mirror_without_live_traffic_to_copy_is_refused():
    with pytest.raises(PlanRefused, match="has no live traffic to copy"):
        plan(wanted({"green": 0}, {"green": "v2"}, mirror={"green": 10}), live({}, {"green": "v2"}))


def test_the_end_of_a_mirrored_deployment_is_first_the_mirror_then_the_deployment():
    here = live({"blue": 100}, {"blue": "v1", "green": "v2"}, mirror={"green": 10})
    assert labels(wanted({"blue": 100}, {"blue": "v1"}), here) == ["set-traffic", "delete-green"]


def test_a_manifest_says_which_file_it_is_when_it_is_refused():
    stage = Stage(name="s", file="configs/churn.canary.yml", endpoint=Endpoint(name=NAME, traffic={}), deployments={})
    with pytest.raises(PlanRefused, match=r"^configs/churn\.canary\.yml: "):
        plan(Wanted(stage, {}, (), True), BLUE)
