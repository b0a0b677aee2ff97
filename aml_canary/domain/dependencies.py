"""Endpoints that wait for other endpoints of their repository (`rollout.depends_on`): in which order they are looked at.

May import the standard library only.
"""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter


def by_dependency(depends_on: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The endpoints, those that others depend on first, otherwise by name; and a sentence for each that cannot be placed.

    Left out are endpoints that name one which is not there, endpoints in a circle, and whatever depends on those.
    """
    problems: dict[str, str] = {}
    for name, others in depends_on.items():
        missing = sorted(set(others) - depends_on.keys())
        if missing:
            problems[name] = (
                f"{name}: refused. rollout.depends_on names {', '.join(missing)}, and no readable manifest of the repository does."
            )
    while True:
        open_ = {name: set(others) for name, others in sorted(depends_on.items()) if name not in problems}
        for name, needed in open_.items():
            barred = sorted(needed & problems.keys())
            if barred:
                problems[name] = f"{name}: refused, because {', '.join(barred)}, which it depends on, is refused."
        if any(name in problems for name in open_):
            continue
        try:
            return tuple(TopologicalSorter(open_).static_order()), tuple(problems[name] for name in sorted(problems))
        except CycleError as circle:
            around = [str(name) for name in circle.args[1]]
            for name in set(around):
                problems[name] = f"{name}: refused. rollout.depends_on goes round in a circle: {' -> '.join(around)}."
