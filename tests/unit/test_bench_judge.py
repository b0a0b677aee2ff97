"""A short version of `make bench-judge`: the gate on few cells, and that the gate itself closes."""

import pytest

from benchmarks.judge.__main__ import measure, report
from benchmarks.judge.claims import claims, tally
from benchmarks.judge.families import family
from benchmarks.judge.panel import OURS, PEERS, Outcome, Outcomes, ours, rules
from benchmarks.judge.publish import BEGIN, END, between
from benchmarks.judge.scores import at_most, cpu, duel, summary
from benchmarks.judge.traffic import Cell, bake

# The chance that these few runs fail this test, if the judge is as good as promised, is at most this.
LUCK = 1e-4


def most(runs: int, chance: float) -> int:
    """More than so many of `runs` are not luck, if each has `chance`."""
    return next(count for count in range(runs + 1) if at_most(count, runs, chance) > 1 - LUCK)


@pytest.fixture(scope="module")
def short():
    """Where each kind of fault can be seen in few minutes, and healthy canaries that others fail."""
    cells = [Cell(family("shared incident"), 600, 10), Cell(family("clustered retries"), 60, 10)]
    cells += [
        Cell(family(name), 600, 10) for name in ("healthy", "healthy 0 %", "errors x5", "0 against 3 %", "latency x1.5", "late onset")
    ]
    return measure(cells, runs=15)


def test_few_healthy_canaries_are_failed(short):
    healthy = [cell["judges"][OURS] for cell in short["cells"] if not family(cell["family"]).bad]
    runs = sum(figures["runs"] for figures in healthy)
    assert sum(figures["failed"] for figures in healthy) <= most(runs, 0.01)


def test_bad_canaries_are_failed_while_others_miss_them_or_fail_healthy_ones(short):
    figures = {cell["family"]: cell["judges"] for cell in short["cells"]}
    for name in ("errors x5", "0 against 3 %", "latency x1.5", "late onset"):
        judged = figures[name][OURS]
        # At least nine of ten in the stored results; here, what is not luck.
        assert judged["runs"] - judged["failed"] <= most(judged["runs"], 0.1), name
    assert figures["shared incident"]["Flagger"]["failed"] == figures["shared incident"]["Flagger"]["runs"]
    assert tally(short, "Flagger").larger == 0
    assert tally(short, "Kayenta").larger == 0
    assert tally(short, "Flagger").smaller == 4


def test_a_decision_is_quick(short):
    """Far below what the gate allows, so that a busy machine is no reason."""
    assert max(short["cpu"].values()) < 0.05


def test_the_gate_is_closed_to_a_judge_that_is_no_good(capsys):
    """It is asked about results of which we know that they are bad."""
    where = [Cell(family(name), 60, 10) for name in ("healthy", "errors x10")]
    fails_all = [Outcomes(cell, {name: [Outcome(1, cpu=1.0, decisions=1)] * 40 for name in (OURS, *PEERS)}) for cell in where]
    results = {"seed": "", "runs": 40, "cpu": cpu(fails_all), "cells": [row(found, fails_all) for found in fails_all]}
    assert report(results) == 1
    assert [claim.holds for claim in claims(results)] == [False] * 4
    assert capsys.readouterr().out.count("BROKEN") == 4


def row(found: Outcomes, all_of: list[Outcomes]) -> dict:
    figures = {name: summary(found, name) for name in found.by_judge}
    cell = {"family": found.cell.family.name, "rate": 60, "share": 10, "judges": figures}
    return {**cell, "duels": {name: duel(found, all_of[0], name) for name in ("Kayenta", "Flagger")}, "pairs": 40}


def test_a_duel_counts_the_runs_that_only_one_got_right():
    good, bad = Cell(family("healthy"), 60, 10), Cell(family("errors x10"), 60, 10)
    fail, none = Outcome(5), Outcome(None)
    healthy = Outcomes(good, {OURS: [none, none, fail, none], "Kayenta": [none, fail, none, fail]})
    broken = Outcomes(bad, {OURS: [fail, fail, none], "Kayenta": [none, fail, fail]})
    # Of the first three of each: healthy 1 better and 1 worse, bad 1 better and 1 worse.
    assert duel(broken, healthy, "Kayenta") == (2, 2)


def test_our_judge_is_asked_until_it_fails():
    run = bake(Cell(family("all errors"), 600, 50), 0)
    outcome = ours(run, Cell(family("all errors"), 600, 50), rules())
    assert outcome.failed is not None
    assert outcome.decisions == outcome.failed
    assert outcome.harm == sum(run.harm[: outcome.failed])
    assert outcome.unjudged == sum(run.harm)


def test_markers_are_needed():
    assert between(f"a {BEGIN} old {END} b", "new") == f"a {BEGIN}\nnew\n{END} b"
    with pytest.raises(ValueError, match="missing"):
        between("a b", "new")
