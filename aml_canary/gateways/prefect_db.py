"""What Prefect's database keeps for rollouts: who holds an endpoint, what was asked and answered, which smoke requests were
answered, which traffic is to stay.

Nothing else is kept anywhere but on Azure itself. This is no task library and starts no flows; the only Prefect used is its client.
May import `errors` and Prefect's client.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType, Variable
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from aml_canary.errors import Transient

LOCK_PREFIX: Final = "aml-canary-lock-"
LOCK_TAG: Final = "aml-canary-lock"
WAITING_TAG: Final = "waiting"
OUTCOME_TAG: Final = "outcome:"
_DEAD: Final = {StateType.COMPLETED, StateType.CANCELLED, StateType.FAILED, StateType.CRASHED}
# With all from 500 on, what another try may not meet again: a request took too long, or there were too many.
_BUSY: Final = {408, 429}
# Prefect's own words when nobody answered a gate in time; it runs no hook then, so the words are all there is.
_NEVER_ANSWERED: Final = "never resumed"


@dataclass(frozen=True)
class Holder:
    """Who holds an endpoint: the rollout's flow run, the runs of the same commit it took over from, and those of others it displaced.

    `token` is another for each process that carries out the run, so that two of them notice each other; `term` is one for as long as the
    run holds the endpoint.
    """

    endpoint: str
    run: str
    commit: str
    manifest: str
    repository: str = ""
    predecessors: tuple[str, ...] = ()
    displaced: tuple[str, ...] = ()
    token: str = ""
    term: str = ""

    @property
    def runs(self) -> frozenset[str]:
        """Every run whose writes on the endpoint this rollout answers for: it goes on with them, or puts them back."""
        return frozenset({self.run, *self.predecessors, *self.displaced})


@dataclass(frozen=True)
class RunState:
    """How a flow run stands: Prefect's state type and name, with its message. `gone`: the run was deleted."""

    type: str
    name: str
    message: str

    @property
    def alive(self) -> bool:
        """Whether the run may still act by itself or by an answer."""
        return self.type not in {str(t.value) for t in _DEAD} and self.type != "GONE"

    @property
    def given_up(self) -> bool:
        """Whether the rollout is over without having ended itself: cancelled, never answered, or deleted.

        A failed or crashed run is not given up: it keeps its endpoint, so that Retry is safe.
        """
        return self.type in ("CANCELLED", "GONE") or self.unanswered

    @property
    def unanswered(self) -> bool:
        """Whether the run waited for an answer for as long as it may, and Prefect ended it."""
        return self.type == "FAILED" and _NEVER_ANSWERED in self.message


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """Prefect's own client, for a block. Raises Transient where its API does not answer, or cannot for now."""
    try:
        with get_client(sync_client=True) as client:
            yield client
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        if status not in _BUSY and status < 500:
            raise
        # Without the address' user and query.
        asked = f"{error.request.method} {error.request.url.path} at {error.request.url.host}"
        raise Transient(
            f"Prefect's API answered HTTP {status} ({error.response.reason_phrase}) to {asked}. Try again in a moment; where it goes on, "
            "look at the log of the Prefect server, at its database, and at the proxy before it."
        ) from error
    except httpx.TransportError as error:
        raise Transient(f"Prefect's API did not answer ({type(error).__name__}). Is the server up, and PREFECT_API_URL right?") from error


def lock_name(endpoint: str) -> str:
    """The name of the endpoint's lock, a Prefect Variable that anybody can see, and remove, in the UI."""
    return LOCK_PREFIX + re.sub(r"[^a-z0-9-]", "-", endpoint.lower())


def take_lock(wanted: Holder) -> Holder:
    """Take the endpoint, atomically. Who holds it now: this run, or another, which had it already.

    A run that holds it already takes it anew, with another token: whoever carried out this run before notices.
    """
    wanted = replace(wanted, term=wanted.token)
    with prefect_client() as client:
        try:
            client.create_variable(VariableCreate(name=lock_name(wanted.endpoint), value=_value(wanted), tags=[LOCK_TAG]))
        except ObjectAlreadyExists:
            variable = client.read_variable_by_name(lock_name(wanted.endpoint))
            held = _holder(variable)
            if variable is None or held is None:
                raise Transient(f"The lock of {wanted.endpoint} was released at this moment; trying again takes it.") from None
            if held.run != wanted.run:
                return held
            again = replace(wanted, predecessors=held.predecessors, displaced=held.displaced, term=held.term)
            try:
                # By id, here and below: since it was read, somebody may have put a new lock of the same name in its place.
                client.request("PATCH", "/variables/{id}", path_params={"id": variable.id}, json={"value": _value(again)})
            except PrefectHTTPStatusError as error:
                _raise_unless(error, 404)
                raise Transient(f"The lock of {wanted.endpoint} was taken at this moment; trying again tells by whom.") from error
            return again
        return wanted


def held_by(endpoint: str) -> Holder | None:
    """Who holds the endpoint now."""
    with prefect_client() as client:
        return _holder(client.read_variable_by_name(lock_name(endpoint)))


def holders() -> tuple[Holder, ...]:
    """All held endpoints."""
    with prefect_client() as client:
        query = {"variables": {"tags": {"all_": [LOCK_TAG]}}, "limit": 200}
        found = Variable.model_validate_list(client.request("POST", "/variables/filter", json=query).json())
    return tuple(holder for holder in map(_holder, found) if holder is not None)


def release_lock(holder: Holder, *, wake: bool = True) -> None:
    """Give the endpoint up, if the lock is still exactly this holder's, token and all, and wake the rollouts that wait for it."""
    with prefect_client() as client:
        variable = client.read_variable_by_name(lock_name(holder.endpoint))
        present = _holder(variable)
        if variable is not None and present is not None and (present.run, present.token) == (holder.run, holder.token):
            try:
                client.request("DELETE", "/variables/{id}", path_params={"id": variable.id})
            except PrefectHTTPStatusError as error:
                _raise_unless(error, 404)
    if wake:
        wake_waiting(holder.endpoint)


def hand_over(dead: Holder, wanted: Holder) -> Holder:
    """Take the endpoint from a run that is not alive. Who holds it now, which is another where somebody was quicker."""
    release_lock(dead, wake=False)
    return take_lock(wanted)


def run_state(run: str) -> RunState:
    """How a flow run stands."""
    with prefect_client() as client:
        try:
            state = client.read_flow_run(UUID(run)).state
        except (ObjectNotFound, ValueError):
            return RunState("GONE", "Deleted", "")
    if state is None:
        return RunState("PENDING", "Pending", "")
    return RunState(state.type.value, state.name or "", state.message or "")


def name_run(run: str, name: str, *added: str) -> None:
    """Name a run for the people who look for it, and tag it. It is at work again, so how it ended before is forgotten."""
    with prefect_client() as client:
        tags = {tag for tag in client.read_flow_run(UUID(run)).tags if not tag.startswith(OUTCOME_TAG)}
        client.update_flow_run(UUID(run), name=name, tags=sorted(tags | set(added)))


def tag_outcome(run: str, word: str) -> None:
    """Tag a run with how it ended, such as `outcome:rolledback` for `RolledBack`. Nothing happens where the run is gone."""
    with prefect_client() as client:
        try:
            tags = {tag for tag in client.read_flow_run(UUID(run)).tags if not tag.startswith(OUTCOME_TAG)}
            client.update_flow_run(UUID(run), tags=sorted(tags | {f"{OUTCOME_TAG}{word.lower()}"}))
        except ObjectNotFound:
            return


def waiting_tag(endpoint: str) -> str:
    """Marks a run that is suspended until the endpoint is free."""
    return f"{WAITING_TAG}-for:{endpoint}"


def mark_waiting(run: str, endpoint: str, *, waiting: bool) -> None:
    """Put the waiting tags on a run, or take them off."""
    ours = {WAITING_TAG, waiting_tag(endpoint)}
    with prefect_client() as client:
        tags = set(client.read_flow_run(UUID(run)).tags)
        wanted = tags | ours if waiting else tags - ours
        if wanted != tags:
            client.update_flow_run(UUID(run), tags=sorted(wanted))


def wake_waiting(endpoint: str) -> tuple[str, ...]:
    """Resume every run that waits for the endpoint; whoever takes the lock first goes on, the others wait again."""
    with prefect_client() as client:
        for run in (waiting := _waiting(client, waiting_tag(endpoint))):
            client.resume_flow_run(run.id)
        return tuple(str(run.id) for run in waiting)


def wake_forgotten() -> tuple[str, ...]:
    """Resume the runs that wait for an endpoint which is free, or whose holder will do nothing by itself any more; their names.

    The endpoint may have been given up in the moment between a run's last look and its suspension, and who fails or dies wakes nobody.
    """
    with prefect_client() as client:
        waiting = _waiting(client, WAITING_TAG)
        woken = []
        for run in waiting:
            endpoints = [tag.removeprefix(waiting_tag("")) for tag in run.tags if tag.startswith(waiting_tag(""))]
            holders = [held_by(endpoint) for endpoint in endpoints]
            if any(holder is None or not run_state(holder.run).alive for holder in holders):
                client.resume_flow_run(run.id)
                woken.append(run.name)
    return tuple(woken)


def _waiting(client: SyncPrefectClient, tag: str) -> list[FlowRun]:
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(all_=[tag]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])),
        )
    )


def keep(run: str, key: str, value: Any) -> bool:
    """Keep a JSON value with a flow run; an earlier value under the key stays as it was. Whether there was none, which is decided atomically."""
    with prefect_client() as client:
        try:
            client.create_flow_run_input(flow_run_id=UUID(run), key=key, value=json.dumps(value))
        except PrefectHTTPStatusError as error:
            _raise_unless(error, 409)
            return False
    return True


def kept(run: str, key: str) -> Any:
    """The JSON value kept under the key, or None."""
    with prefect_client() as client:
        try:
            return json.loads(client.read_flow_run_input(flow_run_id=UUID(run), key=key))
        except PrefectHTTPStatusError as error:
            _raise_unless(error, 404)
            return None


def all_kept(run: str, prefix: str) -> tuple[Any, ...]:
    """The JSON values kept under keys with the prefix, oldest first."""
    with prefect_client() as client:
        found = client.filter_flow_run_input(flow_run_id=UUID(run), key_prefix=prefix, limit=200, exclude_keys=set())
    return tuple(json.loads(item.value) for item in sorted(found, key=lambda item: (item.created is None, item.created)))


def let_stand(run: str, since: str) -> None:
    """Keep with a run that what it wrote to its endpoint at that time is as its order wants it: whatever becomes of the run, it stays."""
    keep(run, _standing(since), True)


def stands(run: str, since: str) -> bool:
    """Whether what the run wrote to its endpoint at that time is to stay."""
    try:
        return kept(run, _standing(since)) is not None
    except ValueError:
        # Anybody may edit a tag on Azure.
        return False


def _standing(since: str) -> str:
    return "stands-" + re.sub(r"[^0-9]", "", since)


def _raise_unless(error: PrefectHTTPStatusError, expected: int) -> None:
    if error.response.status_code != expected:
        raise error


def _value(holder: Holder) -> dict[str, Any]:
    return {**asdict(holder), "predecessors": list(holder.predecessors), "displaced": list(holder.displaced)}


def _holder(variable: Variable | None) -> Holder | None:
    if variable is None or not isinstance(variable.value, dict):
        return None
    value = variable.value
    return Holder(
        endpoint=str(value.get("endpoint", "")),
        run=str(value.get("run", "")),
        commit=str(value.get("commit", "")),
        manifest=str(value.get("manifest", "")),
        repository=str(value.get("repository", "")),
        token=str(value.get("token", "")),
        term=str(value.get("term", "")),
        predecessors=tuple(str(run) for run in value.get("predecessors") or ()),
        displaced=tuple(str(run) for run in value.get("displaced") or ()),
    )
