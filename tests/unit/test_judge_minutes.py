"""Which minutes are judged: all of the bake for ever, and of what comes after it the newest."""

from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.judge.minutes import spans


def minutes(first, newest, longest, most):
    return [minute for begin, end in spans(first, newest, longest, most) for minute in range(begin, end + 1)]


@given(st.integers(0, 50), st.integers(-3, 400), st.integers(1, 60), st.integers(1, 100))
def test_the_bake_is_always_whole_and_of_the_rest_only_the_newest_are_read(first, age, longest, most):
    newest = first + age
    read, every = minutes(first, newest, longest, most), list(range(first, newest + 1))
    assert read == sorted(set(read)), "each once, in order"
    assert read[:longest] == every[:longest], "the look at the end is about the same minutes whenever it is taken"
    assert read[longest:] == every[longest:][-most:]
