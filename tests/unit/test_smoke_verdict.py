"""Which answers to a smoke request are right. HTTP 200 alone says nothing."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.manifest import Expect
from aml_canary.domain.smoke import problem_with

often = settings(max_examples=60, deadline=None)

NUMBERS = Expect(json_schema={"type": "array", "minItems": 2, "items": {"type": "number", "exclusiveMinimum": 1}})


def problem(expect: Expect, body: str = "[2, 3]", *, status: int = 200, answered_by: str = "green", milliseconds: float = 5.0) -> str:
    return problem_with(expect, status=status, answered_by=answered_by, asked="green", body=body, milliseconds=milliseconds)


@pytest.mark.parametrize(
    ("expect", "body"),
    [
        (Expect(), "anything, for nothing was asked of it"),
        (NUMBERS, "[2, 3.5]"),
        (Expect(equals=[1.0, 2]), "[1, 2.0]"),
        (Expect(equals=[1.0, 2.0], tolerance=0.1), "[1.05, 1.95]"),
        (Expect(equals={"label": "cat", "scores": [0.5]}), '{"scores": [0.5], "label": "cat"}'),
        (Expect(equals=False), "false"),
        (Expect(max_latency_ms=5), "1"),
    ],
)
def test_a_right_answer_has_no_problem(expect, body):
    assert problem(expect, body) == ""


@pytest.mark.parametrize(
    ("expect", "body", "why"),
    [
        (NUMBERS, "[2]", r"breaks the schema at \$: "),
        (NUMBERS, "[2, 0.5]", r"breaks the schema at \$\[1\]: 0.5 is less"),
        (NUMBERS, "<html>", "is not JSON: <html>"),
        (NUMBERS, "", "is not JSON"),
        (NUMBERS, "[NaN, NaN]", "is not JSON: .*NaN"),
        (NUMBERS, "[Infinity, 3]", "is not JSON"),
        (Expect(equals=[1]), "[NaN]", "is not JSON"),
        (Expect(equals=[1.0, 2.0]), "[1.0, 2.1]", r"at \$\[1\] the answer is 2.1, expected 2.0"),
        (Expect(equals=[1.0, 2.0]), "[1.0]", r"at \$ the answer has 1 items, expected 2"),
        (Expect(equals={"a": 1}), '{"b": 1}', r"at \$ the answer has the keys \['b'\], expected \['a'\]"),
        (Expect(equals={"a": {"b": "x"}}), '{"a": {"b": "y"}}', r'at \$\.a\.b the answer is "y", expected "x"'),
        (Expect(equals=1), "true", r"at \$ the answer is true, expected 1"),
        (Expect(equals=True), "1", r"at \$ the answer is 1, expected true"),
        (Expect(equals=[1]), '{"0": 1}', r"at \$ the answer is"),
        (Expect(equals=1.0), "9" * 400, "the answer is 9999"),
        (NUMBERS, "[" * 100_000, "is not JSON"),
    ],
)
def test_a_wrong_body_is_a_problem_that_says_where(expect, body, why):
    assert re.search(why, problem(expect, body))


def test_an_error_status_comes_with_what_was_said():
    assert problem(Expect(), "no\n features", status=424) == "the model failed (HTTP 424): no features"
    assert problem(Expect(), "x" * 900, status=500) == "HTTP 500: " + "x" * 197 + "..."
    assert problem(Expect(), "", status=404) == "HTTP 404: "


def test_an_answer_from_somebody_else_says_nothing_about_the_one_that_was_asked():
    assert problem(Expect(), answered_by="blue") == "blue answered instead of green"
    assert problem(Expect(), answered_by="Green") == ""
    assert problem(Expect(), answered_by="") == ""


def test_a_late_answer_is_wrong():
    assert problem(Expect(max_latency_ms=100), milliseconds=250.4) == "it took 250 ms, at most 100 ms are allowed"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=8
)


@often
@given(json_values, st.text() | json_values.map(repr))
def test_whatever_is_expected_and_whatever_comes_back_there_is_a_verdict(expected, body):
    assert isinstance(problem(Expect(equals=expected), body), str)


@often
@given(json_values.filter(lambda v: v is not None))
def test_every_json_value_equals_itself(value):
    try:
        body = json.dumps(value, allow_nan=False)
    except ValueError:
        return
    assert problem(Expect(equals=value), body) == ""
