"""Writes what was measured to where people read it: the results, the tables of docs/judging.md, and its picture."""

import json
from pathlib import Path
from typing import Any

from benchmarks.judge.picture import picture
from benchmarks.judge.tables import everything

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results.json"
DOCUMENT = ROOT / "docs" / "judging.md"
PICTURE = ROOT / "docs" / "img" / "judge.svg"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


def publish(results: dict[str, Any]) -> None:
    RESULTS.write_text(as_text(results))
    DOCUMENT.write_text(between(DOCUMENT.read_text(), everything(results)))
    PICTURE.write_text(picture(results))


def load() -> dict[str, Any]:
    """The stored results."""
    return dict(json.loads(RESULTS.read_text()))


def as_text(results: dict[str, Any]) -> str:
    """JSON with a line for each cell, so that a change is seen where it is."""
    cells = ",\n".join(json.dumps(cell, separators=(",", ":")) for cell in results["cells"])
    rest = json.dumps({key: value for key, value in results.items() if key != "cells"}, separators=(",", ":"))
    return f'{rest[:-1]},"cells":[\n{cells}\n]}}\n'


def between(document: str, block: str) -> str:
    """The document with `block` between its two markers. Raises ValueError where it has not both."""
    before, _, rest = document.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"
