"""A rollout's facts survive the way through Azure's tags, and damaged tags read as nothing known."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.facts import PREFIX, from_tags, to_tags, weights_from_text, weights_text
from aml_canary.domain.observed import Facts

often = settings(max_examples=60, deadline=None)

text = st.text(max_size=256)
names = st.from_regex(r"[a-z][a-z0-9-]{1,30}[a-z0-9]", fullmatch=True)
stable = st.dictionaries(names, st.integers(0, 100), max_size=6)


@often
@given(st.builds(Facts, text, text, text, text, text, text, stable, stable, st.integers(0, 10**6)))
def test_facts_come_back_from_tags_as_they_went(facts):
    assert from_tags(to_tags(facts)) == facts


@often
@given(st.builds(Facts, st.text(), st.text(), st.text(), st.text(), st.text(), st.text(), stable, stable, st.integers(0)))
def test_tags_keep_azures_limits_and_all_of_them_are_always_written(facts):
    tags = to_tags(facts)
    assert tags.keys() == to_tags(Facts()).keys()
    assert all(key.startswith(PREFIX) and len(value) <= 256 for key, value in tags.items())


@often
@given(st.dictionaries(st.sampled_from([*to_tags(Facts()), "team", "aml-canary"]), st.text(max_size=256)))
def test_whatever_somebody_writes_into_the_tags_they_can_be_read(tags):
    assert isinstance(from_tags(tags), Facts)


def test_what_is_too_long_for_a_tag_is_cut():
    assert to_tags(Facts(manifest="x" * 300))[PREFIX + "manifest"] == "x" * 256


def test_no_tags_are_no_facts():
    assert from_tags({}) == Facts()


def test_weights_are_written_by_name_and_what_does_not_parse_is_left_out():
    assert weights_text({"green": 10, "blue": 90}) == "blue=90 green=10"
    assert weights_from_text("blue=90 green =10 red=x =5 teal=-1 gray=٣ ") == {"blue": 90}
