"""Reading a pull request, planning what it changes, and writing that down where its author looks.

May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways`, `aml_canary.githosts`, `aml_canary.settings` and the other tasks.
"""

import re
from dataclasses import replace
from typing import NamedTuple

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.utilities.urls import url_for

from aml_canary.domain.dependencies import by_dependency
from aml_canary.domain.findings import Finding
from aml_canary.domain.manifest_reader import discover, read_manifest
from aml_canary.domain.order import Order, order_of, what_is_left
from aml_canary.domain.quota import Quota
from aml_canary.domain.review import Planned, Review, changed_fields, changed_files, verdict
from aml_canary.domain.review_text import comment
from aml_canary.domain.simulate import walk
from aml_canary.domain.tree import Tree
from aml_canary.errors import AmlCanaryError, Permanent, PlanRefused, Transient
from aml_canary.gateways import azureml, githost
from aml_canary.gateways.expecting import expected
from aml_canary.gateways.git import GitTree, mirror_of
from aml_canary.githosts.delivery import State
from aml_canary.settings import settings
from tasks.retry import retried
from tasks.telling import CONTEXT, tell

REVIEW = CONTEXT + "review"
# Azure is asked about each endpoint, and whoever may open pull requests says how many there are.
MOST_ENDPOINTS = 100


class Read(NamedTuple):
    """Every manifest of a commit: the orders of those that can be read, by endpoint, and what was found in all of them, by path.

    `doubled` has a sentence for each endpoint that two manifests name.
    """

    tree: Tree
    orders: dict[str, Order]
    findings: dict[str, tuple[Finding, ...]]
    doubled: tuple[str, ...]

    @property
    def unreadable(self) -> frozenset[str]:
        return frozenset(path for path, found in self.findings.items() if any(finding.severity == "error" for finding in found))


@retried("fetch-pull-request")
def fetch_request(repository: str, ref: str, commit: str) -> str:
    """The full id of the commit to review; empty where the pull request has moved on to another one."""
    mirror = mirror_of(repository)
    head = mirror.fetch(ref)
    if head.startswith(commit):
        return head
    try:
        known = mirror.resolve(commit)
    except Permanent as error:
        # Hosts tell of a commit before its ref is there.
        raise Transient(f"{ref} is at {head[:12]} and not, or not yet, at {commit[:12]}. {error}") from error
    return known if mirror.is_ancestor(head, known) else ""


def look_at(repository: str, commit: str) -> Review:
    """What merging the commit would do."""
    base, before, after = read_both(repository, commit)
    changed = [order for name, order in after.orders.items() if name not in before.orders or before.orders[name].digest != order.digest]
    planned = tuple(_plan(order, before, after) for order in changed[:MOST_ENDPOINTS])
    _, problems = by_dependency({name: order.manifest.rollout.depends_on for name, order in after.orders.items()})
    if len(changed) > MOST_ENDPOINTS:
        problems += (f"{len(changed)} endpoints change at once; only {MOST_ENDPOINTS} were planned. Change fewer.",)
    told_of = {order.manifest.path for order in changed} | after.unreadable
    quota, unread = _quota() if any(one.way for one in planned) else (Quota({}, {}), "")
    return Review(
        commit=commit,
        branch=f"{settings().branch} ({base[:12]})",
        planned=planned,
        unchanged=tuple(sorted(after.orders.keys() - {order.endpoint for order in changed})),
        # A manifest that cannot be read names no endpoint, so it may be about any of them.
        removed=() if after.unreadable else tuple(sorted(before.orders.keys() - after.orders.keys())),
        findings=tuple(finding for path in sorted(told_of) for finding in after.findings[path]),
        problems=after.doubled + problems,
        quota=quota,
        quota_unread=unread,
    )


@retried("read-pull-request")
def read_both(repository: str, commit: str) -> tuple[str, Read, Read]:
    """The commit that both sides have, and every manifest there and at the commit that is to be merged."""
    mirror = mirror_of(repository)
    head = mirror.resolve(settings().branch)
    base = mirror.merge_base(head, commit) or head
    return base, _read(repository, base), _read(repository, commit)


def _read(repository: str, commit: str) -> Read:
    tree = GitTree(mirror_of(repository), commit)
    orders: dict[str, Order] = {}
    findings: dict[str, tuple[Finding, ...]] = {}
    doubled: list[str] = []
    for path in discover(tree, settings().manifests):
        reading = read_manifest(tree, path)
        findings[path] = reading.findings
        if reading.manifest is None:
            continue
        order = order_of(reading.manifest, tree, repository, commit)
        if other := orders.get(order.endpoint):
            doubled.append(f"{order.endpoint} is named by {other.manifest.path} and by {path}. Keep one.")
        orders[order.endpoint] = order
    return Read(tree, orders, findings, tuple(doubled))


def _plan(order: Order, before: Read, after: Read) -> Planned:
    """One endpoint; what is wrong with it holds up no other."""
    was = before.orders.get(order.endpoint)
    found = Planned(order.endpoint, order.manifest.path, new=was is None, approvals=order.manifest.rollout.approvals)
    if was is not None:
        files = changed_files(was.manifest, before.tree, order.manifest, after.tree)
        found = replace(found, fields=changed_fields(was.manifest, order.manifest), files=files)
    try:
        return plan_endpoint(order, found)
    except PlanRefused as refused:
        return replace(found, refused=str(refused))
    except Permanent as broke:
        get_run_logger().error("%s: %s", order.endpoint, broke)
        return replace(found, broke=str(broke))


@retried(lambda parameters: f"plan-{parameters['order'].endpoint}")
def plan_endpoint(order: Order, found: Planned) -> Planned:
    """The whole way from what is live now. Raises PlanRefused."""
    live = azureml.observe(order.endpoint)
    way = tuple(walk(order.stages, live, order.waits))
    remarks = what_is_left(order, live).plan.remarks + expected([step for step, _ in way], live, order.manifest.rollout.judge)
    return replace(found, live=live, way=way, remarks=remarks)


def _quota() -> tuple[Quota, str]:
    """The quota, and why it could not be read. Nobody waits for it: a review is worth having without."""
    try:
        return azureml.read_quota(), ""
    except AmlCanaryError as error:
        return Quota({}, {}), str(error)


def publish(repository: str, number: int, host: str, found: Review) -> str:
    """Show the review in Prefect, and where its host is known to the settings, there. A sentence on what was told to whom."""
    there = githost.connection(repository)
    marker = f"[//]: # (aml-canary review {re.sub('[^A-Za-z0-9_.-]', '-', settings().workspace)})"
    text = comment(found, marker, there.longest_comment if there else 60_000)
    state, told = verdict(found)
    key = re.sub("[^a-z0-9]+", "-", f"review-{repository}-{number}".lower())
    create_markdown_artifact(text, key=key, description=told[:500])
    if there is None:
        wanted = host or "its git host"
        return f"{told} Nothing was sent: AML_CANARY_GIT_HOSTS has no token for {wanted} of {repository}. See artifact {key}."
    try:
        commented = write_comment(repository, number, text, marker)
    finally:
        # The status is what counts, whatever became of the comment.
        post_review(repository, found.commit, State(state), told)
    return f"{told} {commented}"


@retried("tell-aml-canary/review")
def post_review(repository: str, commit: str, state: State, told: str) -> None:
    """The status of the commit."""
    if there := githost.connection(repository):
        there.set_status(commit, state, told, url_for("flow-run", obj_id=str(flow_run.id)) or "", REVIEW)


@retried("write-comment")
def write_comment(repository: str, number: int, text: str, marker: str) -> str:
    """The one comment of the pull request."""
    there = githost.connection(repository)
    if there is None:
        return ""
    added = there.write_comment(number, text, marker)
    return f"Pull request {number} has a comment about it." if added else f"The comment of pull request {number} says so now."


def tell_broken(repository: str, commit: str, error: AmlCanaryError) -> None:
    """The commit shows that its review broke. Never raises: the error itself is what counts."""
    told = f"It could not be reviewed: {type(error).__name__}. See the flow run."
    tell(repository, commit, REVIEW.removeprefix(CONTEXT), State.ERROR, told)
