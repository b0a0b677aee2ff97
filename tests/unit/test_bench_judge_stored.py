"""What `make bench-judge` stored: of all cells, shown as it is, and come to again from the same seed."""

import xml.etree.ElementTree as ElementTree
from itertools import product

import pytest

from benchmarks.judge.claims import claims
from benchmarks.judge.families import FAMILIES, RATES, SHARES, family
from benchmarks.judge.panel import OURS, PEERS, ours, rules
from benchmarks.judge.picture import picture, points
from benchmarks.judge.publish import DOCUMENT, PICTURE, RESULTS, as_text, between, load
from benchmarks.judge.tables import everything
from benchmarks.judge.traffic import Cell, bake


@pytest.fixture(scope="module")
def results():
    return load()


def test_the_stored_results_are_of_all_cells(results):
    cells = {(cell["family"], cell["rate"], cell["share"]) for cell in results["cells"]}
    assert cells == {(one.name, rate, share) for one, rate, share in product(FAMILIES, RATES, SHARES)}
    assert min(cell["judges"][OURS]["runs"] for cell in results["cells"]) >= 200
    assert RESULTS.read_text() == as_text(results)


def test_the_gate_is_open(results):
    assert [claim.text for claim in claims(results) if not claim.holds] == []


def test_the_tables_and_the_picture_are_what_the_results_say(results):
    shown = DOCUMENT.read_text()
    assert shown == between(shown, everything(results)), "run `python -m benchmarks.judge --write`"
    assert PICTURE.read_text() == picture(results)


def test_the_picture_shows_every_judge_that_saw_everything(results):
    ElementTree.fromstring(picture(results))  # noqa: S314 -- ours
    assert set(points(results)) >= {OURS, *PEERS}
    for name in points(results):
        assert f">{name}</text>" in picture(results)


@pytest.mark.parametrize("number", [0, 7])
def test_a_stored_cell_is_what_its_runs_give(results, number):
    """One cheap cell, run again from its seed with as many runs as are stored: the same counts."""
    cell = Cell(family("all errors"), 60, (5, 50)[number > 0])
    stored = next(c for c in results["cells"] if (c["family"], c["rate"], c["share"]) == ("all errors", 60, cell.share))
    figures = stored["judges"][OURS]
    again = [ours(bake(cell, run), cell, rules()) for run in range(figures["runs"])]
    assert sum(outcome.failed is not None for outcome in again) == figures["failed"]
