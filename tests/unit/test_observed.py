"""What is read off an endpoint: has its traffic yet to come back to where it was?"""

import pytest

from aml_canary.domain.observed import Facts, Observed

WROTE = Facts(run="r", stable={"blue": 100}, traffic={"blue": 90, "green": 10})


@pytest.mark.parametrize(
    ("traffic", "mirror", "astray"),
    [
        ({"blue": 90, "green": 10}, {}, True),
        ({"blue": 100}, {}, False),
        ({"blue": 100}, {"green": 10}, True),
        ({"blue": 70, "green": 30}, {}, True),
        ({"green": 100}, {}, True),
        ({"red": 100}, {}, False),
        ({"red": 50, "blue": 50}, {}, False),
        ({"red": 100}, {"green": 10}, True),
        ({}, {}, False),
    ],
)
def test_traffic_is_astray_as_long_as_the_canary_has_some_of_it(traffic, mirror, astray):
    assert Observed("churn", exists=True, traffic=traffic, mirror_traffic=mirror, facts=WROTE).astray is astray


def test_without_anything_to_come_back_to_nothing_is_astray():
    assert not Observed("churn", exists=True, traffic={"green": 100}, facts=Facts(run="r", traffic={"green": 100})).astray
