"""What is written into the audit log of a rollout (`domain.audit`): each decision, each write to Azure, each verdict, its beginning and end.

A write is written down before it is done, and what came of it after; where the process dies between the two, the next one says so. What makes
traffic safer waits for no log: it is written down afterwards, if that is possible. May import prefect, `aml_canary.domain`,
`aml_canary.errors` and `aml_canary.gateways`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from aml_canary.domain.audit import BEGAN, WRITES, audit_table, digest_of, has, unfinished
from aml_canary.domain.observed import Observed
from aml_canary.domain.order import Order
from aml_canary.gateways import azureml, prefect_audit
from aml_canary.gateways.git import shown_address
from aml_canary.gateways.prefect_db import Holder


def audit(what: str, about: str, *, who: str = "", before: Any = None, after: Any = None, evidence: Any = None) -> None:
    """Write an entry into this run's log; only the digest of the evidence. Raises Transient."""
    evident = "" if evidence is None else digest_of(evidence)
    prefect_audit.append(_run(), what, about, who=who or _whoever(_run()), before=before, after=after, evidence=evident)


def audit_once(what: str, about: str, *, who: str = "", after: Any = None, evidence: Any = None) -> None:
    """The same, unless that is written down already. Raises Transient."""
    if not has(prefect_audit.seen_of(_run()), what, about):
        audit(what, about, who=who, after=after, evidence=evidence)


def audit_if_possible(
    what: str, about: str, *, run: str = "", who: str = "", after: Any = None, evidence: Any = None, once: bool = False
) -> None:
    """Write an entry into the log of this or another run. Never raises; what is not written down is told in this run's log."""
    run = run or _run()
    evident = "" if evidence is None else digest_of(evidence)
    problem = prefect_audit.append_if_possible(run, what, about, who=who or _whoever(run), after=after, evidence=evident, once=once)
    if problem:
        get_run_logger().warning("The audit log of flow run %s does not say %s %s: %s", run, what, about, problem)


def begin(order: Order, holder: Holder) -> None:
    """Say which attempt of which rollout this is, once for each attempt; and what became of a write during which a process died."""
    said = {"repository": shown_address(order.repository), "commit": order.commit, "manifest": order.manifest.path, "order": order.digest}
    taken_over = {"took_over_from": sorted(holder.runs - {holder.run})} if len(holder.runs) > 1 else {}
    audit_once(BEGAN, f"attempt {flow_run.run_count}", after={**said, **taken_over})
    if (left := unfinished(prefect_audit.seen_of(holder.run))) is not None:
        audit("interrupted", left.about, before=left.before, after=state_of(azureml.glance(order.endpoint)))


@contextmanager
def writing(about: str, live: Observed, wanted: Observed) -> Iterator[None]:
    """A write to Azure, for a block: what is meant before, that it is so after. The gateway has looked whether it is."""
    before, after = state_of(live), state_of(wanted)
    audit(WRITES, about, before=before, after=after)
    try:
        yield
    except Exception as error:
        audit_if_possible("not written", about, after={"told": f"{type(error).__name__}: {error}"})
        raise
    audit("wrote", about, before=before, after=after)


def state_of(live: Observed) -> dict[str, Any]:
    """What of an endpoint a write changes: traffic, mirror, and what each deployment runs on how many instances."""
    runs = {name: f"{there.fingerprint or there.model or 'unknown'} x {there.instance_count}" for name, there in live.deployments.items()}
    mirror = {"mirror": dict(live.mirror_traffic)} if live.mirror_traffic else {}
    return {"traffic": dict(live.traffic), **mirror, "deployments": runs} if live.exists else {"exists": False}


def audit_end(endpoint: str, how: str, told: str, *, run: str = "") -> str:
    """The end of this or another run, and the whole log as the artifact `audit-<endpoint>`. Never raises; what was `told`."""
    run = run or _run()
    audit_if_possible("ended", how, run=run, after={"told": told})
    try:
        entries = prefect_audit.entries_of(run)
        if entries:
            text = audit_table(endpoint, run, entries)
            create_markdown_artifact(text, key=f"audit-{endpoint}", description=f"{how}: {len(entries)} entries")
            get_run_logger().info("The audit log has %d entries; the last hash is %s.", len(entries), entries[-1].hash)
    except Exception as error:
        get_run_logger().warning("The audit log of flow run %s was not shown: %s", run, error)
    return told


def audit_stopped(what: str, run: str, told: str) -> None:
    """That another run stopped without a word of its own, once for each of its attempts. Never raises."""
    try:
        attempts = [entry.about for entry in prefect_audit.seen_of(run) if entry.what == BEGAN]
    except Exception as error:
        get_run_logger().warning("The audit log of flow run %s does not say %s: %s", run, what, error)
        return
    audit_if_possible(what, attempts[-1] if attempts else "attempt unknown", run=run, after={"told": told}, once=True)


def _run() -> str:
    return str(flow_run.id)


def _whoever(run: str) -> str:
    """The rollout itself, or the other run that writes into its log."""
    return "rollout" if run == _run() else f"{flow_run.flow_name} ({_run()})"
