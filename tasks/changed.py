"""What a commit is, and what it changes of its endpoint, read from git for people. Never in the way: what cannot be read is left out.

May import prefect, `aml_canary.domain`, `aml_canary.errors`, `aml_canary.gateways` and `aml_canary.settings`.
"""

from dataclasses import replace

from prefect.logging import get_run_logger

from aml_canary.domain.changed import Revision, fields_against_live
from aml_canary.domain.links import commit_url
from aml_canary.domain.manifest_reader import read_manifest
from aml_canary.domain.order import Order
from aml_canary.domain.review import changed_files
from aml_canary.errors import AmlCanaryError
from aml_canary.gateways.git import GitTree, mirror_of
from aml_canary.gateways.git_log import described
from aml_canary.settings import settings


def revision_of(repository: str, commit: str) -> Revision:
    """The commit as people know it. Never raises."""
    installed = settings()
    access = installed.git_hosts.get(repository)
    url = commit_url(installed.repositories.get(repository, repository), commit, access.host if access else "")
    try:
        found = described(mirror_of(repository), commit)
    except AmlCanaryError as error:
        get_run_logger().warning("What commit %s says about itself cannot be read: %s", commit[:12], error)
        return Revision(commit, url=url)
    return Revision(commit, found.subject, found.author, found.date, url)


def changes_of(order: Order, base: str) -> Revision:
    """The order's commit, and what of its manifest differs from the commit `base`. Never raises."""
    revision = revision_of(order.repository, order.commit)
    if not base or base == order.commit:
        return revision
    try:
        mirror = mirror_of(order.repository)
        old, new = GitTree(mirror, base), GitTree(mirror, order.commit)
        before = read_manifest(old, order.manifest.path).manifest
        if before is None:
            return revision
        fields = fields_against_live(before, order.manifest)
        return replace(revision, base=base, fields=fields, files=changed_files(before, old, order.manifest, new))
    except AmlCanaryError as error:
        get_run_logger().warning("What differs from commit %s cannot be read: %s", base[:12], error)
        return revision
