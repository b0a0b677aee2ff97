"""The audit log is a chain: whatever is changed, removed, put in or moved shows, and at the first place where it does."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_canary.domain.audit import Entry, audit_lines, audit_table, digest_of, hash_of, origin, read, unfinished, verify

often = settings(max_examples=60, deadline=None)
RUN = "0b8e7c1e-4c5f-4f0a-9f57-0d5c1f7d2a11"
WORDS = st.sampled_from(["asked", "approved", "writes", "wrote", "verdict"])
STATES = st.none() | st.fixed_dictionaries({"traffic": st.dictionaries(st.sampled_from(["blue", "green"]), st.integers(0, 100))})


def chain(said, run=RUN) -> list[Entry]:
    """Entries that say this, one after the other."""
    made: list[Entry] = []
    for what, about, before, after in said:
        previous = made[-1].hash if made else origin(run)
        entry = Entry(len(made) + 1, f"2026-11-26T00:00:{len(made):02}+00:00", "rollout", what, about, before, after, "", previous)
        made.append(replace(entry, hash=hash_of(entry)))
    return made


def of(*whats: str) -> list[Entry]:
    return chain([(what, "x", None, None) for what in whats])


chains = st.lists(st.tuples(WORDS, st.text(max_size=5), STATES, STATES), min_size=1, max_size=8).map(chain)
ended = chains.map(lambda entries: chain([*((e.what, e.about, e.before, e.after) for e in entries), ("ended", "Promoted", None, None)]))


@often
@given(chains)
def test_a_chain_as_it_was_written_is_whole_also_after_it_was_kept_as_json(entries):
    assert verify(RUN, entries, over=False) == ""
    assert read(asdict(entry) for entry in entries) == tuple(entries)


CHANGES = {
    "number": lambda value: value + 1,
    "at": lambda value: value + "Z",
    "who": lambda value: value + " (verified)",
    "what": lambda value: "approved" if value != "approved" else "asked",
    "about": lambda value: value + "x",
    "before": lambda _: {"traffic": {"red": 100}},
    "after": lambda _: {"traffic": {"red": 100}},
    "evidence": lambda _: "0" * 64,
    "previous": lambda _: "0" * 64,
    "hash": lambda _: "0" * 64,
}


@pytest.mark.parametrize("field", CHANGES)
@often
@given(entries=chains, where=st.floats(0, 1, exclude_max=True))
def test_any_change_to_any_entry_shows_there(field, entries, where):
    place = int(where * len(entries))
    changed = replace(entries[place], **{field: CHANGES[field](getattr(entries[place], field))})
    found = verify(RUN, [*entries[:place], changed, *entries[place + 1 :]], over=False)
    assert found.startswith(f"Entry {place + 1} ")


@often
@given(entries=chains, where=st.floats(0, 1, exclude_max=True))
def test_a_change_that_is_hashed_again_shows_at_the_next_entry(entries, where):
    entries = chain([*((e.what, e.about, e.before, e.after) for e in entries), ("ended", "x", None, None)])
    place = int(where * (len(entries) - 1))
    forged = replace(entries[place], who="eve")
    forged = replace(forged, hash=hash_of(forged))
    assert verify(RUN, [*entries[:place], forged, *entries[place + 1 :]], over=False).startswith(f"Entry {place + 2} does not follow")


@often
@given(entries=ended, data=st.data())
def test_removing_moving_and_putting_in_show(entries, data):
    place = data.draw(st.integers(0, len(entries) - 1))
    removed = [*entries[:place], *entries[place + 1 :]]
    assert verify(RUN, removed, over=True)
    other = data.draw(st.integers(0, len(entries) - 1).filter(lambda other: other != place))
    moved = [entry for entry in entries if entry != entries[place]]
    moved.insert(other, entries[place])
    assert verify(RUN, moved, over=True)
    again = [*entries[:place], entries[place], *entries[place:]]
    assert verify(RUN, again, over=True)


@often
@given(entries=ended, keep=st.floats(0, 1, exclude_max=True))
def test_what_is_cut_off_at_the_end_of_a_run_that_is_over_shows(entries, keep):
    left = entries[: int(keep * len(entries))]
    found = verify(RUN, left, over=True)
    assert "cut off" in found if left else "There is no entry" in found
    assert verify(RUN, left, over=False) == ""


@often
@given(chains)
def test_the_chain_of_one_run_is_none_of_another(entries):
    assert verify("another", entries, over=False).startswith("Entry 1 does not follow")


def test_each_attempt_has_an_end_of_its_own():
    assert verify(RUN, of("began", "failed", "began", "ended"), over=True) == ""
    assert "is no end" in verify(RUN, of("began", "failed", "began", "wrote"), over=True)
    assert verify(RUN, of("began", "failed", "began", "wrote"), over=False) == ""


@pytest.mark.parametrize("kept", [None, 7, [], {}, {"number": 1}, {**asdict(of("began")[0]), "more": 1}])
def test_what_does_not_look_like_an_entry_is_found(kept):
    assert verify(RUN, read([kept]), over=False).startswith("Entry 1 is not there; entry 0 (unreadable )")


def test_a_write_without_a_result_is_unfinished_until_somebody_says_what_became_of_it():
    assert unfinished(of("began", "writes", "wrote")) is None
    assert unfinished(of("began", "writes", "not written")) is None
    assert unfinished(of("began", "writes", "interrupted", "asked")) is None
    left = of("began", "writes", "asked")
    assert unfinished(left) == left[1]


def test_people_read_one_line_for_each_entry_and_a_table_that_nothing_in_it_breaks():
    entries = chain(
        [("writes", "flight-green-10", {"traffic": {"blue": 100}}, {"traffic": {"green": 10}}), ("asked", "a|b\n<i>", None, None)]
    )
    assert audit_lines(entries)[0] == (
        '   1  2026-11-26T00:00:00  rollout: writes flight-green-10: {"traffic": {"blue": 100}} -> {"traffic": {"green": 10}}'
    )
    table = audit_table("churn", RUN, entries)
    assert f"Last hash: `{entries[-1].hash}`" in table
    rows = [line for line in table.splitlines() if line.startswith("| 2 ")]
    assert rows == [f"| 2 | 2026-11-26T00:00:01 | rollout | asked a\\|b &lt;i> | `{entries[1].hash[:12]}` |"]


def test_a_digest_is_the_same_for_the_same_value_only():
    assert digest_of({"a": 1, "b": [1.5, None]}) == digest_of({"b": [1.5, None], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})
