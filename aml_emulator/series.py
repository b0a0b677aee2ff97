"""Azure Monitor's way to cut counts into time series: `$filter`, split by dimension, time grains, aggregations. Pure.

Not here: HTTP, resources (`monitor`). May import: `stats`, `wire`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aml_emulator.stats import Kind, Tally, percentile
from aml_emulator.wire import Json

Minutes = list[tuple[int, list[tuple[Kind, Tally]]]]
TERM = re.compile(r"\s*\(?\s*(\w+)\s+(eq|ne|sw)\s+'((?:[^']|'')*)'\s*\)?\s*", re.IGNORECASE)
JOIN = re.compile(r"\s*(and|or)\b", re.IGNORECASE)
MAX_FILTER = 4096
# What a dimension says of a request that never came so far; Azure's own word is not public.
NONE = "N/A"


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    unit: str
    dimensions: tuple[str, ...]
    share: float | None = None

    def measure(self, tallies: list[Tally]) -> float:
        """Its value for one minute."""
        if self.unit == "Count":
            return float(sum(tally.count for tally in tallies))
        if self.unit == "BytesPerSecond":
            return sum(tally.request_bytes + tally.response_bytes for tally in tallies) / 60
        if self.share is None:
            return sum(tally.milliseconds for tally in tallies) / sum(tally.count for tally in tallies)
        classes: Counter[int] = sum((tally.classes for tally in tallies), Counter())
        return percentile(classes, self.share)


@dataclass(slots=True)
class Condition:
    """What is asked of one dimension. Naming it is also what splits by it."""

    dimension: str
    any_of: list[tuple[str, str]] = field(default_factory=list)
    none_of: list[str] = field(default_factory=list)

    def admits(self, value: str) -> bool:
        text = value.lower()
        if text in self.none_of:
            return False
        return not self.any_of or any(
            wanted == "*" or (text.startswith(wanted) if operator == "sw" else text == wanted) for operator, wanted in self.any_of
        )


def parse(text: str, metric: Metric, bad: Callable[[str], Exception]) -> list[Condition]:
    """`a eq 'x' or a eq 'y' and b ne 'z'`: `or` joins values of one dimension, `and` joins dimensions. Raises what `bad` makes."""
    found: dict[str, Condition] = {}
    position, previous, join = 0, "", ""
    if len(text) > MAX_FILTER:
        raise bad("The filter is too long")
    while text.strip():
        match = TERM.match(text, position)
        if match is None:
            raise bad(f"Invalid filter near: {text[position : position + 40]!r}")
        asked, operator, value = match[1], match[2].lower(), match[3].replace("''", "'").lower()
        dimension = next((one for one in metric.dimensions if one.lower() == asked.lower()), None)
        if dimension is None:
            supported = ",".join(metric.dimensions)
            raise bad(f"Metric: {metric.name} does not support requested dimension combination: {asked}, supported ones are: {supported}")
        if join == "or" and dimension != previous:
            raise bad("The logical or operator cannot separate two different dimensions")
        condition = found.setdefault(dimension, Condition(dimension))
        condition.none_of.append(value) if operator == "ne" else condition.any_of.append((operator, value))
        previous, position = dimension, match.end()
        if position == len(text):
            break
        joined = JOIN.match(text, position)
        if joined is None:
            raise bad(f"Invalid filter near: {text[position : position + 40]!r}")
        join, position = joined[1].lower(), joined.end()
    return list(found.values())


def value_of(dimension: str, kind: Kind) -> str:
    if dimension == "deployment":
        return kind.deployment or NONE
    if dimension == "statusCodeClass":
        return f"{kind.status // 100}xx"
    if dimension == "modelStatusCode":
        return str(kind.model_status) if kind.model_status else NONE
    return str(kind.status)


def cut(
    metric: Metric, minutes: Minutes, filters: list[Condition], span: tuple[datetime, datetime], grain: int, wanted: list[str]
) -> list[Json]:
    """One series per combination of the filters' dimensions; just one when there is no filter. The busiest come first."""
    first, last = int(span[0].timestamp() // 60), span[1].timestamp() / 60
    first -= first % grain
    values: dict[tuple[str, ...], dict[int, float]] = {} if filters else {(): {}}
    for minute, tallies in minutes:
        if not first <= minute < last:
            continue
        groups: dict[tuple[str, ...], list[Tally]] = {}
        for kind, tally in tallies:
            names = tuple(value_of(one.dimension, kind) for one in filters)
            if all(one.admits(name) for one, name in zip(filters, names, strict=True)):
                groups.setdefault(names, []).append(tally)
        for names, group in groups.items():
            values.setdefault(names, {})[minute] = metric.measure(group)
    ordered = sorted(values.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return [
        {
            "metadatavalues": [
                {"name": {"value": one.dimension.lower(), "localizedValue": one.dimension.lower()}, "value": name}
                for one, name in zip(filters, names, strict=True)
            ],
            "data": [_point(start, grain, by_minute, wanted) for start in range(first, -int(-last // 1), grain)],
        }
        for names, by_minute in ordered
    ]


def _point(start: int, grain: int, by_minute: dict[int, float], wanted: list[str]) -> Json:
    point: Json = {"timeStamp": stamp(datetime.fromtimestamp(start * 60, UTC))}
    found = [by_minute[minute] for minute in range(start, start + grain) if minute in by_minute]
    if found:
        total = sum(found)
        all_of = {"average": total / len(found), "total": total, "minimum": min(found), "maximum": max(found)}
        point |= {name: value for name, value in (all_of | {"count": float(len(found))}).items() if name in wanted}
    return point


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
