"""Rules that Azure has and its SDK does not check: names, weights, mirrors, placeholders, keys that differ in case only.

They look at values that may be wrong in any way (types are `shape`'s business) and report all they find. No files here (`references`).
May import the standard library and its neighbours here.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from aml_canary.domain.findings import Finding
from aml_canary.domain.reading.section import Path, Section
from aml_canary.domain.reading.yaml_reader import PLACEHOLDER

_NAME = re.compile(r"[a-z](-?[a-z0-9])*")
_NAME_RULE = "3 to 32 of a-z, 0-9 and single dashes; a letter first, a letter or digit last"
_NOT_SETTINGS = ("description", "expect")  # Prose and assertions may hold anything.


def name(section: Section, path: Path, written: str, what: str) -> tuple[str, list[Finding]]:
    """The name as Azure keeps it (lower case), and what is wrong with it. `what` is `endpoint` or `deployment`."""
    lower = written.lower()
    if not _NAME.fullmatch(lower) or not 3 <= len(lower) <= 32:
        return lower, [section.finding(path, f"{what}-name", f"{written!r} is no {what} name", f"Names have {_NAME_RULE}.")]
    if lower != written:
        message = f"Azure keeps `{written}` as `{lower}`; so does this manifest"
        return lower, [section.finding(path, "name-lower-cased", message, f"Write `{lower}`.", "note")]
    return lower, []


def traffic(endpoint: Section, deployments: Iterable[str]) -> list[Finding]:
    """What is wrong with `traffic` and `mirror_traffic` of this endpoint, whose deployments have these names (lower case)."""
    names = sorted(deployments)
    live, mirror = endpoint.mapping.get("traffic"), endpoint.mapping.get("mirror_traffic")
    findings = []
    for field, weights in (("traffic", live), ("mirror_traffic", mirror)):
        for key in weights if isinstance(weights, dict) and names else ():
            if key.lower() not in names:
                message = f"there is no deployment `{key}` in this manifest"
                findings.append(
                    endpoint.finding((field, key), f"{field.replace('_', '-')}-unknown", message, f"There are: {', '.join(names)}.")
                )
    weights = whole(live)
    if weights is not None and sum(weights.values()) not in (0, 100):
        message = f"the weights total {sum(weights.values())}, not 100"
        findings.append(endpoint.finding(("traffic",), "traffic-total", message, "Make them total 100, such as {blue: 90, green: 10}."))
    shares = {key: share for key, share in (whole(mirror) or {}).items() if share}
    if len(shares) > 1:
        message = f"traffic is mirrored to {' and '.join(sorted(shares))}; Azure mirrors to one deployment"
        findings.append(endpoint.finding(("mirror_traffic",), "mirror-one", message, "Keep one."))
    for key, share in shares.items():
        if share > 50:
            findings.append(endpoint.finding(("mirror_traffic", key), "mirror-share", f"a mirror of {share} % is too much", "At most 50."))
        if (weights or {}).get(key, 0) > 0:
            message = f"`{key}` has live traffic, and what is live cannot be mirrored to as well"
            findings.append(
                endpoint.finding(("mirror_traffic", key), "mirror-live", message, f"Set `traffic.{key}` to 0, or remove the mirror.")
            )
    return findings


def whole(weights: Any) -> dict[str, int] | None:
    """The weights by lower-case name, where they are what weights should be: whole numbers."""
    if not isinstance(weights, dict) or any(type(weight) is not int for weight in weights.values()):
        return None
    return {key.lower(): weight for key, weight in weights.items()}


def case_clashes(section: Section, path: Path, keys: Iterable[str]) -> list[Finding]:
    """Keys that Azure takes for the same: it compares names without regard to case, and would keep one of them."""
    seen: dict[str, str] = {}
    findings = []
    for key in keys:
        first = seen.setdefault(key.lower(), key)
        if first != key:
            message = f"`{first}` and `{key}` differ in case only; to Azure they are the same"
            findings.append(section.finding((*path, key), "duplicate-key", message, "Remove one, or rename it."))
    return findings


def placeholders(section: Section) -> list[Finding]:
    """Template placeholders that nobody filled in."""
    findings = []
    for path, text in _texts(section.value, ()):
        if found := PLACEHOLDER.search(text):
            message = f"`{found[0]}` is a template placeholder; nothing fills it in on the way to Azure"
            findings.append(section.finding(path, "placeholder", message, "Commit the rendered value."))
    return findings


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """All texts in `value`, keys included, with their paths; recursion is bounded by the reader's depth."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in _NOT_SETTINGS:
                if key != "$schema":
                    yield (*path, key), key
                yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))
