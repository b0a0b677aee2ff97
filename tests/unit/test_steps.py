"""What people see of a step: its label, its sentence, and which kind of approval stands before it."""

import pytest

from aml_canary.domain.steps import (
    CreateDeployment,
    CreateEndpoint,
    DeleteDeployment,
    DeleteEndpoint,
    Scale,
    ShiftTraffic,
    SmokeInvoke,
    gate_of,
    label,
    sentence,
)

MIXED = {"blue": 90, "green": 10}


@pytest.mark.parametrize(
    ("step", "name", "gate", "said"),
    [
        (CreateEndpoint(), "create-endpoint", None, "Create the endpoint, without traffic."),
        (CreateDeployment("green"), "create-green", None, "Create deployment green, with no live traffic."),
        (Scale("blue", 3, 5), "scale-blue", None, "Scale blue from 3 to 5 instances."),
        (SmokeInvoke("green"), "smoke-invoke-green", None, "Send the smoke requests straight to green and check each answer."),
        (ShiftTraffic("green", MIXED), "flight-green-10", "traffic", "Set live traffic to blue 90 %, green 10 %."),
        (ShiftTraffic("green", {"green": 100}), "full-green", "full", "Set live traffic to green 100 %."),
        (
            ShiftTraffic("", {"blue": 100}, {"green": 20}),
            "mirror-green-20",
            "traffic",
            "Set live traffic to blue 100 %, mirrored to green 20 %.",
        ),
        (ShiftTraffic("", {"blue": 100}), "set-traffic", "traffic", "Set live traffic to blue 100 %."),
        (DeleteDeployment("blue", retire=True), "delete-blue", "retire", "Delete deployment blue: git no longer names it."),
        (
            DeleteDeployment("green", retire=False),
            "delete-green",
            None,
            "Delete deployment green: it has no traffic, and a new one takes its name.",
        ),
        (DeleteEndpoint(), "delete-endpoint", "retire", "Delete the endpoint and every deployment in it."),
    ],
)
def test_each_step_has_a_label_a_gate_and_a_sentence(step, name, gate, said):
    assert (label(step), gate_of(step), sentence(step)) == (name, gate, said)
