"""The audit log of a rollout, kept as inputs of its flow run: `audit-000001` and on.

Prefect creates an input once and for all under its key, so entries are only ever added, and two who add at the same moment do not both take
the same place. What an entry says and how a chain is checked is `domain.audit`'s. May import `domain`, `errors`, its Prefect neighbours and
Prefect's client.
"""

import json
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from aml_canary.domain.audit import Entry, has, hash_of, origin, read
from aml_canary.errors import Transient
from aml_canary.gateways.prefect_db import kept, prefect_client

_KEY: Final = "audit-"
# Of each run what this process has seen of its chain: what was added since is noticed when the next place is taken.
_seen: dict[str, list[Entry]] = {}
_turn = Lock()


def entries_of(run: str) -> tuple[Entry, ...]:
    """The whole chain as it is kept now, by number. Raises Transient."""
    found: dict[str, Any] = {}
    with prefect_client() as client:
        page = 0
        while page == 0 or len(found) >= 100 * page - 1:
            found |= _page(client, run, page)
            page += 1
    return read(found[key] for key in sorted(found))


def _page(client: SyncPrefectClient, run: str, page: int) -> dict[str, Any]:
    """A hundred entries."""
    items = client.filter_flow_run_input(flow_run_id=UUID(run), key_prefix=f"{_KEY}{page:04d}", limit=200, exclude_keys=set())
    return {item.key: json.loads(item.value) for item in items if re.fullmatch(rf"{_KEY}\d{{6}}", item.key)}


def seen_of(run: str) -> list[Entry]:
    """The chain as far as this process knows it, read once."""
    if run not in _seen:
        _seen[run] = list(entries_of(run))
    return _seen[run]


def append(run: str, what: str, about: str, *, who: str, before: Any = None, after: Any = None, evidence: str = "") -> Entry:
    """Add an entry at the chain's end, whoever else adds to it at this moment. Raises Transient, and Prefect's errors where there is no such run."""
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    # As JSON has it, so that what is read again is what was hashed.
    was, is_ = json.loads(json.dumps([before, after], default=str))
    with _turn:
        chain = seen_of(run)
        while True:
            entry = Entry(len(chain) + 1, at, who, what, about, was, is_, evidence, chain[-1].hash if chain else origin(run))
            entry = replace(entry, hash=hash_of(entry))
            if _create(run, entry):
                chain.append(entry)
                return entry
            if (value := kept(run, _key(entry.number))) is None:
                raise Transient(f"Entry {entry.number} of the audit log of flow run {run} can neither be written nor read.")
            [taken] = read([value])
            chain.append(taken)
            if taken == entry:
                # Stored at a try whose reply was lost.
                return entry


def _create(run: str, entry: Entry) -> bool:
    with prefect_client() as client:
        try:
            client.create_flow_run_input(flow_run_id=UUID(run), key=_key(entry.number), value=json.dumps(asdict(entry)))
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 409:
                raise
            return False
    return True


def append_if_possible(
    run: str, what: str, about: str, *, who: str, before: Any = None, after: Any = None, evidence: str = "", once: bool = False
) -> str:
    """The same for where nothing may be in the way, such as going back: why it was not written, or nothing. Never raises.

    `once`: not where what and about are written down already.
    """
    try:
        if not (once and has(seen_of(run), what, about)):
            append(run, what, about, who=who, before=before, after=after, evidence=evidence)
    except (ObjectNotFound, ValueError):
        return "There is no such flow run any more."
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _key(number: int) -> str:
    return f"{_KEY}{number:06d}"
