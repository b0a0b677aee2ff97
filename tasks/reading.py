"""Looking: the manifest at its commit, the endpoint as it is, and the plan from one to the other.

May import prefect, `aml_canary.domain`, `aml_canary.gateways` and `tasks.retry`.
"""

from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from aml_canary.domain.manifest_reader import discover, read_manifest, require
from aml_canary.domain.observed import Observed
from aml_canary.domain.order import Left, Order, order_of, what_is_left
from aml_canary.domain.planner import Plan
from aml_canary.domain.report import plan_report
from aml_canary.domain.simulate import whole_path
from aml_canary.domain.steps import label
from aml_canary.domain.timeline import image, moments, picture
from aml_canary.gateways import azureml, prefect_db
from aml_canary.gateways.expecting import expected
from aml_canary.gateways.git import GitTree, mirror_of
from aml_canary.gateways.prefect_db import Holder
from aml_canary.settings import settings
from tasks.evidence import smoked, watched
from tasks.history import keep_begun
from tasks.retry import retried


@retried("read-manifest")
def read_order(repository: str, commit: str, manifest: str) -> Order:
    """The manifest at the commit. Raises ManifestRefused with every finding, or what reading git raises."""
    tree = GitTree(mirror_of(repository), commit)
    return order_of(require(read_manifest(tree, manifest)), tree, repository, commit)


@retried("find-manifests")
def find_manifests(repository: str, heard_of: str = "") -> tuple[str, tuple[str, ...]]:
    """The commit at the head of the settings' branch, and the paths of all manifests there.

    Another one than the commit that was `heard_of` is newer, or what the branch was put back to; either way it is what git wants now.
    """
    mirror = mirror_of(repository)
    if heard_of:
        mirror.resolve(heard_of)
    head = mirror.resolve(settings().branch)
    return head, discover(GitTree(mirror, head), settings().manifests)


@retried("observe")
def observe(endpoint: str) -> Observed:
    """The endpoint as Azure shows it."""
    return azureml.observe(endpoint)


@retried("plan")
def look(order: Order, holder: Holder) -> Left:
    """What is left to do, from the endpoint as it is now."""
    live = azureml.observe(order.endpoint)
    return what_is_left(order, live, smoked(live), watched(live, holder))


@retried("publish-plan")
def publish_plan(order: Order) -> tuple[str, ...]:
    """Show the whole way before anything is touched; once for a run, however often it is resumed or retried. The names of its steps."""
    kept = prefect_db.kept(str(flow_run.id), "plan")
    if kept is not None:
        return tuple(kept)
    live = azureml.observe(order.endpoint)
    steps = whole_path(order.stages, live, order.waits)
    remarks = what_is_left(order, live).plan.remarks + expected(steps, live, order.manifest.rollout.judge)
    whole, approvals = Plan(steps, remarks), order.manifest.rollout.approvals
    drawn = image(picture(f"{order.endpoint} at {order.commit[:7]}", moments((), live.traffic, steps, approvals)), "The way, step by step")
    text = plan_report(order.endpoint, whole, live, approvals, drawn if steps else "")
    create_markdown_artifact(text, key=f"plan-{order.endpoint}", description=f"{order.manifest.path} at {order.commit[:12]}")
    planned = tuple(label(step) for step in whole.steps)
    keep_begun(live)
    prefect_db.keep(str(flow_run.id), "plan", planned)
    return planned
