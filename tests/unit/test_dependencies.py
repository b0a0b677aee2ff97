"""`depends_on`: who is looked at first, and who cannot be."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.dependencies import by_dependency

often = settings(max_examples=200, deadline=None)
names = st.sampled_from("abcdef")
graphs = st.dictionaries(names, st.lists(names, max_size=3, unique=True), max_size=6)


def test_those_that_others_depend_on_come_first():
    assert by_dependency({"churn": ["features"], "features": [], "alone": []}) == (("alone", "features", "churn"), ())


def test_a_circle_is_refused_and_holds_up_nobody_else():
    ordered, problems = by_dependency({"a": ["b"], "b": ["a"], "c": ["a"], "d": []})
    assert ordered == ("d",)
    assert len(problems) == 3
    assert "circle" in problems[0] + problems[1]
    assert problems[2] == "c: refused, because a, which it depends on, is refused."


def test_a_name_that_no_manifest_has_is_refused():
    ordered, problems = by_dependency({"a": ["nowhere"], "b": []})
    assert ordered == ("b",)
    assert problems == ("a: refused. rollout.depends_on names nowhere, and no readable manifest of the repository does.",)


@often
@given(graphs)
def test_everybody_is_placed_after_what_they_depend_on_or_told_of(depends_on):
    ordered, problems = by_dependency(depends_on)
    assert len(ordered) + len(problems) == len(depends_on)
    for index, name in enumerate(ordered):
        assert set(depends_on[name]) <= set(ordered[:index])
