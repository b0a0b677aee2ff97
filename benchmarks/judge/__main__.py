"""The judge's benchmark: `python -m benchmarks.judge [--runs N] [--write]`. Exit code 1 where a claim of `claims` is broken.

May import everything beside it and the standard library. The same runs give the same figures on every machine, CPU time apart.
"""

import argparse
import multiprocessing
import sys
import time
from itertools import product
from typing import Any

from benchmarks.judge.claims import claims, losses
from benchmarks.judge.families import FAMILIES, RATES, SHARES, Family
from benchmarks.judge.panel import Outcomes, outcomes
from benchmarks.judge.publish import publish
from benchmarks.judge.scores import cpu, stored
from benchmarks.judge.traffic import SEED, Cell

RUNS, EXTRA, SINGLE = 200, 20, 10


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="canaries in each cell")
    parser.add_argument("--extra", type=int, default=EXTRA, help="of these, before the variants of our judge")
    parser.add_argument("--single", type=int, default=SINGLE, help="canaries request by request")
    parser.add_argument("--families", nargs="*", help="only these, and the healthy ones they need")
    parser.add_argument("--rates", type=int, nargs="*", default=RATES)
    parser.add_argument("--shares", type=int, nargs="*", default=SHARES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="store the results, the tables of docs/judging.md and its picture")
    args = parser.parse_args()
    began = time.monotonic()
    cells = [Cell(*what) for what in product(wanted(args.families), args.rates, args.shares)]
    results = measure(cells, args.runs, args.extra, args.single, args.workers)
    print(f"{len(cells)} cells, {args.runs} canaries each, {time.monotonic() - began:.0f} s")
    if args.write:
        publish(results)
    sys.exit(report(results))


def wanted(names: list[str] | None) -> list[Family]:
    if not names:
        return list(FAMILIES)
    matching = {family.healthy for family in FAMILIES if family.name in names}
    return [family for family in FAMILIES if family.name in {*names, *matching}]


def measure(cells: list[Cell], runs: int, extra: int = 0, single: int = 0, workers: int = 1) -> dict[str, Any]:
    """The results of these cells, as they are stored."""
    # The slowest first, so that no worker is left alone with one at the end.
    jobs = [(cell, runs, extra, single) for cell in sorted(cells, key=lambda cell: -cell.rate)]
    if workers > 1:
        with multiprocessing.Pool(workers) as pool:
            found = pool.map(_outcomes, jobs, chunksize=1)
    else:
        found = [_outcomes(job) for job in jobs]
    order = {str(cell): place for place, cell in enumerate(cells)}
    found.sort(key=lambda one: order[str(one.cell)])
    return {"seed": SEED, "runs": runs, "cpu": {str(rate): round(s, 6) for rate, s in cpu(found).items()}, "cells": stored(found)}


def _outcomes(job: tuple[Cell, int, int, int]) -> Outcomes:
    return outcomes(*job)


def report(results: dict[str, Any]) -> int:
    """Print every claim, and where others are better. 1 where a claim is broken, else 0."""
    broken = 0
    for claim in claims(results):
        print(f"{'holds ' if claim.holds else 'BROKEN'}  {claim.text}")
        broken += not claim.holds
    for rival, cell, theirs, ours in losses(results):
        where = f"{cell['family']}, {cell['rate']}/min, {cell['share']} %"
        print(f"        {rival} is better at {where}: alone right in {theirs} runs, we in {ours}, of {cell['pairs']} pairs")
    return 1 if broken else 0


if __name__ == "__main__":
    main()
