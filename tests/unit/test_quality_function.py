"""A function of the user's that judges answers: its value is taken as it is, and its failure says whose it is."""

import pytest

from aml_canary.errors import Permanent
from examples.quality import follows_the_rows
from tasks.replaying import value_of

ROWS = b'{"data": [[1, 2], [3, 4]]}'


def test_the_example_values_answers_that_follow_the_rows():
    assert value_of(follows_the_rows, ROWS, "[1.5, 3.5]") == 1.0
    assert value_of(follows_the_rows, ROWS, "[0.5, 0.5]") == 0.0


@pytest.mark.parametrize("response", ["not JSON", "[1]", '{"error": "none"}'])
def test_a_function_that_makes_nothing_of_an_answer_ends_the_bake_and_the_answer_is_shown(response):
    with pytest.raises(Permanent, match=r"rollout\.judge\.quality\.function failed") as failed:
        value_of(follows_the_rows, ROWS, response)
    assert response in str(failed.value)
