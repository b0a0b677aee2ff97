"""What a pull request would change: field by field, file by file, and what came of planning it. Values only.

How a person reads it is in `review_text`. May import `domain` and `domain.reading.files`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aml_canary.domain.findings import Finding
from aml_canary.domain.manifest import Approvals, Deployment, Manifest
from aml_canary.domain.observed import Observed
from aml_canary.domain.quota import Need, Quota, against, needs
from aml_canary.domain.reading.files import is_remote
from aml_canary.domain.steps import Step, gate_of, label
from aml_canary.domain.tree import Tree, files_under

Verdict = Literal["success", "failure", "error"]


@dataclass(frozen=True)
class Change:
    """One field, by its dotted name. None: it is not there."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Planned:
    """One endpoint that changes, and the way there from what is live. `new`: the branch has no readable manifest of it.

    `refused`: no safe way leads there. `broke`: it could not be found out.
    """

    endpoint: str
    path: str
    new: bool = False
    fields: tuple[Change, ...] = ()
    files: tuple[Change, ...] = ()
    approvals: Approvals = field(default_factory=Approvals)
    live: Observed | None = None
    way: tuple[tuple[Step, Observed], ...] = ()
    remarks: tuple[str, ...] = ()
    refused: str = ""
    broke: str = ""

    @property
    def gates(self) -> tuple[str, ...]:
        """The steps that a person is asked before."""
        return tuple(label(step) for step, _ in self.way if gate_of(step) in self.approvals.before)

    @property
    def needs(self) -> tuple[Need, ...]:
        return () if self.live is None else needs(self.live, [after for _, after in self.way])


@dataclass(frozen=True)
class Review:
    """What came of looking at one commit that is to be merged into `branch`. `problems` are about several endpoints at once."""

    commit: str
    branch: str
    planned: tuple[Planned, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    problems: tuple[str, ...] = ()
    quota: Quota = field(default_factory=lambda: Quota({}, {}))
    quota_unread: str = ""

    @property
    def errors(self) -> int:
        """How much has to be put right before this may be merged."""
        refused = sum(bool(one.refused) for one in self.planned)
        return sum(finding.severity == "error" for finding in self.findings) + refused + len(self.problems)

    @property
    def short_of_quota(self) -> bool:
        return any(not against(need, self.quota)[0] for one in self.planned for need in one.needs)


def verdict(review: Review) -> tuple[Verdict, str]:
    """The state of the commit, and why, in few words."""
    broke = [one.endpoint for one in review.planned if one.broke]
    if review.errors:
        return "failure", f"{counted(review.errors, 'error')} in the manifests."
    if broke:
        return "error", f"{', '.join(broke)} could not be planned."
    changes = counted(len(review.planned), "endpoint")
    told = [f"{changes} would change" if review.planned else "No endpoint would change"]
    told += [f"{counted(len(review.removed), 'manifest')} removed"] if review.removed else []
    told += ["not enough quota"] if review.short_of_quota else []
    return "success", f"{', '.join(told)}."


def counted(number: int, word: str) -> str:
    """`1 endpoint`, `2 endpoints`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def changed_fields(before: Manifest, after: Manifest) -> tuple[Change, ...]:
    """Every field whose value differs, by name."""
    old, new = dict(_fields(before)), dict(_fields(after))
    names = sorted(old.keys() | new.keys())
    return tuple(Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))


def changed_files(before: Manifest, old: Tree, after: Manifest, new: Tree) -> tuple[Change, ...]:
    """Every file whose content differs, below what both manifests refer to. Another reference is a field that changes."""
    found: dict[str, Change] = {}
    for place in references(before) & references(after):
        for name in {*files_under(old, place), *files_under(new, place)}:
            change = Change(name, old.blob_id(name), new.blob_id(name))
            if change.before != change.after:
                found[name] = change
    return tuple(found[name] for name in sorted(found))


def references(manifest: Manifest) -> frozenset[str]:
    """The files and folders of the repository that the manifest refers to."""
    named = {request.file for request in manifest.rollout.smoke.requests}
    for stage in manifest.stages:
        for deployment in stage.deployments.values():
            named.update(_references(deployment))
    return frozenset(path for path in named if not is_remote(path))


def _references(deployment: Deployment) -> Iterator[str]:
    if deployment.code_configuration is not None:
        yield deployment.code_configuration.code
    for block in (deployment.model, deployment.environment):
        if isinstance(block, Mapping):
            build = block.get("build")
            inner = build.get("path") if isinstance(build, Mapping) else None
            yield from (path for path in (block.get("path"), block.get("conda_file"), inner) if isinstance(path, str))


def _fields(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for stage in manifest.stages:
        said = stage.model_dump(mode="json", include={"endpoint", "deployments"})
        yield from _flat(said, f"{stage.name}." if len(manifest.stages) > 1 else "")
    yield from _flat({"rollout": manifest.rollout.model_dump(mode="json")}, "")


def _flat(said: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Dotted names and values. Lists of named blocks are walked by name, other lists are one value."""
    for key, value in said.items():
        name = f"{prefix}{'schema' if key == 'json_schema' else key}"
        if isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
            yield from _flat({str(item["name"]): item for item in value}, f"{name}.")
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif value is not None and value != []:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
