"""Following a branch: does the commit at its head want a rollout of this endpoint, or has it had one.

A rollout is known by what it would bring about (`Order.digest`), not by its commit: a commit that changes something else is no new rollout,
and a branch that is put back to an older commit is one. Nothing here asks Prefect or git. May import `domain` only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aml_canary.domain.observed import Observed, nonzero
from aml_canary.domain.order import Order
from aml_canary.domain.steps import Scale, Step

# A run that ends so has found that it has nothing to say about the endpoint.
OUTDATED = "Outdated"
# A run that ends so has given way to another, which may have been outdated itself by then.
SUPERSEDED = "Superseded"
# A run that ends so has left the endpoint as its order wants it.
PROMOTED = ("Promoted", "Unchanged")


@dataclass(frozen=True)
class Past:
    """A rollout of the endpoint, running or ended: the flow run, the digest of its order, and Prefect's name for its state.

    One that has not `begun` has not looked at the branch yet.
    """

    run: str
    name: str
    order: str
    state: str
    alive: bool
    begun: bool = True

    @property
    def promoted(self) -> bool:
        """Whether it ended with the endpoint as the order wants it."""
        return self.state in PROMOTED

    @property
    def lost(self) -> bool:
        """Whether it crashed before it began, as where Prefect could not submit it: it has done nothing, and nobody gave it up."""
        return self.state == "Crashed" and not self.begun


@dataclass(frozen=True)
class Quarantined:
    """Why an order is not to be applied again, and the run that found out. `lifted`: a person has said that it may, once."""

    commit: str
    why: str
    run: str
    lifted: bool = False


@dataclass(frozen=True)
class Verdict:
    """What following comes to, `told` as a sentence. `settled`: the endpoint is as the branch wants it, and nobody is at work on it.

    `key` is the same for everybody who comes to the same "start" at the same time.
    """

    do: Literal["nothing", "start", "drifted"]
    told: str
    key: str = ""
    settled: bool = False


def decide(
    endpoint: str,
    order: str,
    history: Sequence[Past],
    left: Sequence[Step],
    quarantine: Mapping[str, Quarantined],
    commit: str = "",
    *,
    writer: str = "",
    unfinished: bool = False,
) -> Verdict:
    """What to do about an endpoint whose order at the branch's head has the digest `order`.

    `history` are the endpoint's rollouts, newest first; `left` the steps from the live endpoint to the order; `writer` is the run that
    wrote to the endpoint last. `unfinished`: first its traffic has to go back to stable (`taken_over`).
    """
    # One that has not begun and wants something else finds itself outdated by itself: it takes nobody's place.
    acted = [past for past in history if past.state != OUTDATED and not past.lost and (past.begun or not past.alive or past.order == order)]
    newest = acted[0] if acted else None
    at = f" {commit[:12]}" if commit else ""
    # After the newest of all: one that found itself outdated did nothing, and must not be found again under the same key.
    start = Verdict("start", "", f"{endpoint}:{order}:after:{history[0].run if history else 'nothing'}")
    if newest is not None and newest.alive:
        if newest.order != order:
            return start
        return Verdict("nothing", f"{endpoint}: flow run {newest.name} is at it ({newest.state}).")
    if not left and not unfinished:
        return Verdict("nothing", f"{endpoint} is as the manifest says.", settled=True)
    bad = quarantine.get(order)
    if bad is not None and not bad.lifted:
        return Verdict(
            "nothing",
            f"{endpoint}: commit{at} is in quarantine, because commit {bad.commit[:12]} wanted the same and {bad.why} "
            f"Change the manifest or its files, or lift it with `aml-canary unquarantine {endpoint}`.",
        )
    if newest is None or newest.order != order or newest.state == SUPERSEDED:
        return start
    if bad is not None and bad.run == newest.run:
        return Verdict("start", "", f"{endpoint}:{order}:lifted:{newest.run}:after:{history[0].run}")
    if not newest.promoted:
        return Verdict(
            "nothing",
            f"{endpoint} differs from commit{at}, but that had its rollout: flow run {newest.name} ended as {newest.state}. "
            "Retry that run, or push a commit.",
        )
    if any(past.run == writer and (past.order != order or not past.promoted) for past in history):
        # An older rollout that somebody retried, or one that was ended after it had written.
        return start
    if all(isinstance(step, Scale) for step in left):
        told = f"{endpoint} is as the manifest says but for instance counts, which an autoscaler may have changed."
        return Verdict("nothing", told, settled=True)
    return Verdict(
        "drifted", f"{endpoint} was promoted by flow run {newest.name} and is no longer as commit{at} says: somebody changed it."
    )


def taken_over(live: Observed, history: Sequence[Past], *, stands: bool) -> Observed:
    """The endpoint as a new rollout would find it: an unfinished one ends its step and gives way first, and its traffic goes back to stable.

    `stands`: whoever wrote last was done with it, so that it stays whatever became of the run.
    """
    if live.exists and live.busy and any(past.alive for past in history):
        live = replace(live, state="Succeeded")
    if stands or not live.astray or all(past.run != live.facts.run for past in history):
        return live
    return replace(live, traffic=nonzero(live.facts.stable), mirror_traffic={})


def is_return(history: Sequence[Past], run: str, order: str) -> bool:
    """Whether the flow run goes back to what was promoted before and has been replaced since: a rollback by way of git."""
    older = [past for past in history[_index(history, run) + 1 :] if past.state != OUTDATED]
    return bool(older) and older[0].order != order and any(past.order == order and past.promoted for past in older)


def newer_than(history: Sequence[Past], run: str, order: str) -> Past | None:
    """The newest rollout of something else that was started after the flow run and has not found itself outdated."""
    after = history[: max(0, _index(history, run))]
    return next((past for past in after if past.order != order and past.state != OUTDATED), None)


def is_warm(order: Order, live: Observed) -> bool:
    """Whether what shall carry all traffic in the end still stands, healthy, exactly as this project made it for this order."""
    wanted = order.stages[-1]
    final = nonzero(wanted.stage.endpoint.traffic)
    there = live.deployments
    return bool(final) and all(n in there and there[n].healthy and there[n].fingerprint == wanted.fingerprints.get(n) for n in final)


def safer_traffic(order: Order, live: Observed) -> dict[str, int] | None:
    """The traffic that healing drift puts back: what the last rollout wrote, where the order wants exactly that and all of it is healthy.

    None where that is not so; then a person has to look.
    """
    wrote, wants = nonzero(live.facts.traffic), nonzero(order.stages[-1].stage.endpoint.traffic)
    if not wrote or wrote != wants or wrote == dict(live.traffic) or live.state != "Succeeded":
        return None
    return wrote if is_warm(order, live) else None


def _index(history: Sequence[Past], run: str) -> int:
    return next((index for index, past in enumerate(history) if past.run == run), -1)
