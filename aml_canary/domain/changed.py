"""What a commit changes of an endpoint, short enough for a form. May import `domain` and the standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass

from aml_canary.domain.manifest import Manifest
from aml_canary.domain.review import Change, changed_fields
from aml_canary.domain.review_text import code, field_line, file_line

# Of fields, and of files; the page behind the link has all.
_MOST = 8


@dataclass(frozen=True)
class Revision:
    """A commit as people know it. `date` is ISO 8601, `url` its page on the git host, where that is known.

    `fields` and `files` are what differs from the commit `base`, which was live before; `base` is empty where that is not known.
    """

    commit: str
    subject: str = ""
    author: str = ""
    date: str = ""
    url: str = ""
    base: str = ""
    fields: tuple[Change, ...] = ()
    files: tuple[Change, ...] = ()


def fields_against_live(before: Manifest, after: Manifest) -> tuple[Change, ...]:
    """Every field that differs, as somebody wants to know who decides: the traffic apart, which the picture shows, and where one deployment
    takes the place of another, the new one against the old one."""
    if len(before.stages) == len(after.stages) == 1:
        old, new = before.stages[0].deployments, after.stages[0].deployments
        gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
        if len(gone) == len(come) == 1:
            kept = {name: deployment for name, deployment in old.items() if name in new}
            stage = before.stages[0].model_copy(
                update={"deployments": {**kept, come[0]: old[gone[0]].model_copy(update={"name": come[0]})}}
            )
            before = before.model_copy(update={"stages": (stage,)})
    return tuple(change for change in changed_fields(before, after) if "endpoint.traffic" not in change.field)


def revision_line(revision: Revision) -> str:
    """The commit, with a link where there is one, its subject, its author and its day."""
    # The first UI shows no code in a link.
    name = revision.commit[:12]
    told = f"[{name}]({revision.url})" if revision.url else f"`{name}`"
    told += f": {code(revision.subject)}" if revision.subject else ""
    told += f", by {code(revision.author, 80)}" if revision.author else ""
    return told + (f", {revision.date[:10]}" if revision.date else "")


def changed_text(revision: Revision) -> str:
    """The commit, and field by field and file by file what it changes, as markdown."""
    line = f"Commit {revision_line(revision)}."
    if not revision.base:
        return line
    since = f"since `{revision.base[:12]}`, which was live before"
    lines = [*_some(map(field_line, revision.fields), "fields"), *_some(map(file_line, revision.files), "files")]
    if not lines:
        return f"{line}  \nIt changes nothing that this manifest says {since}."
    return "\n".join([f"{line}  ", f"What it changes {since}:", "", *lines])


def _some(lines: "map[str]", what: str) -> Sequence[str]:
    every = list(lines)
    return [*every[:_MOST], *([f"- and {len(every) - _MOST} more {what}"] if len(every) > _MOST else [])]
