"""Filters and orders of lists, as Microsoft's description words them. Pure: records and query in, records out.

Not here: pages (`context`). May import: `errors`, `state`, `wire`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from aml_emulator.errors import malformed
from aml_emulator.state import Asset, Deployment, Endpoint
from aml_emulator.wire import Json, Request

Record = TypeVar("Record", Endpoint, Deployment, Asset)

# Endpoints are ordered by words such as CreatedAtDesc, assets by "createdtime desc"; what deployments take is not described.
ORDER = re.compile(r"(?P<by>created|updated|(?:last)?modified)(?:at|time) ?(?P<way>asc|desc)?", re.IGNORECASE)
COMPUTE_TYPES = ("managed", "kubernetes", "azuremlcompute")
VIEWS = {"activeonly": (False,), "archivedonly": (True,), "all": (False, True)}


def has(wanted: str, given: Json) -> bool:
    """`wanted` is "key1,key2=value2": each key must be there, with that value where one is named."""
    pairs = (part.strip().partition("=") for part in wanted.split(",") if part.strip())
    return all(key in given and (not equals or str(given[key]) == value) for key, equals, value in pairs)


def ordered(found: Iterable[Record], order: str | None, default: str) -> list[Record]:
    match = ORDER.fullmatch((order or default).strip())
    if match is None:
        raise malformed(f"lists are ordered by CreatedAtDesc, CreatedAtAsc, UpdatedAtDesc or UpdatedAtAsc, not by {order!r}")
    created, reverse = match["by"].lower() == "created", (match["way"] or "").lower() == "desc"
    # Of the same moment the newest is still the last that came in.
    records = list(found)[::-1] if reverse else list(found)
    return sorted(records, key=lambda one: one.system.created_at if created else one.system.modified, reverse=reverse)


def endpoints(found: Iterable[Endpoint], request: Request) -> list[Endpoint]:
    query = request.query
    kind = query.get("computeType", "").lower()
    if kind and kind not in COMPUTE_TYPES:
        raise malformed(f"computeType must be Managed, Kubernetes or AzureMLCompute, not {query['computeType']!r}")
    chosen = [
        one
        for one in found
        if query.get("name", one.name).lower() in ("", one.name.lower())
        and (not kind or one.kind.lower() == kind)
        and has(query.get("tags", ""), one.tags)
        and has(query.get("properties", ""), one.properties.get("properties") or {})
    ]
    return ordered(chosen, query["orderBy"], "") if query.get("orderBy") else sorted(chosen, key=lambda one: one.name)


def deployments(found: Iterable[Deployment], request: Request) -> list[Deployment]:
    return ordered(found, request.query.get("$orderBy"), "CreatedAtAsc")


def views(request: Request) -> tuple[bool, ...]:
    """Which values of `isArchived` are wanted."""
    view = request.query.get("listViewType") or "All"
    if view.lower() not in VIEWS:
        raise malformed(f"listViewType must be ActiveOnly, ArchivedOnly or All, not {view!r}")
    return VIEWS[view.lower()]


def versions(found: Iterable[Asset], request: Request) -> list[Asset]:
    query, wanted = request.query, views(request)
    chosen = [
        one
        for one in found
        if bool(one.properties.get("isArchived")) in wanted
        and query.get("version", one.version) in ("", one.version)
        and query.get("description", "") in ("", one.properties.get("description"))
        and has(query.get("tags", ""), one.properties.get("tags") or {})
        and has(query.get("properties", ""), one.properties.get("properties") or {})
    ]
    return ordered(chosen, query.get("$orderBy"), "CreatedAtAsc")
