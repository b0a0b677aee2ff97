"""Manifests as git has them, read into the one model: the door of `domain.reading`.

Nothing here raises for what stands in a file, whatever its bytes: `read_manifest` collects every finding. Git and disks are not here; a
`Tree` is a value. May import `aml_canary.errors`, `domain` and `domain.reading`.
"""

import posixpath
from dataclasses import dataclass

from aml_canary.domain.findings import Finding
from aml_canary.domain.manifest import Manifest, Stage
from aml_canary.domain.reading import form_legacy, form_split, form_staged, form_target
from aml_canary.domain.reading.files import Files
from aml_canary.domain.reading.forms import Written, folder_of
from aml_canary.domain.reading.rollouts import rollout
from aml_canary.domain.reading.stages import stage
from aml_canary.domain.reading.yaml_reader import read_document
from aml_canary.domain.tree import Tree
from aml_canary.errors import ManifestRefused

# These say that a value could not be read at all; what other rules make of it is noise until it can be.
_UNREADABLE = ("placeholder", "key-not-text", "yaml-date", "yaml-number", "yaml-text", "legacy-value", "legacy-key")


@dataclass(frozen=True)
class Reading:
    """What came of reading: the manifest, unless there are errors; notes and errors in the order of the files."""

    manifest: Manifest | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def notes(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == "note")


def read_manifest(tree: Tree, path: str) -> Reading:
    """The manifest at `path`: a file of the target or legacy form, a folder of Azure's split files, or a staged folder."""
    path = posixpath.normpath(path or ".")
    files = Files(tree)
    written = _written(files, "" if path == "." else path)
    findings = list(written.findings)
    stages: list[Stage] = []
    for draft in written.drafts:
        read, more = stage(draft, files)
        findings += more
        if read is not None:
            stages.append(read)
    if written.rollout is None:
        return Reading(None, _settled(findings))
    ways, more = rollout(written.rollout, files, written.rollout_base, written.sample_folders)
    findings += more
    if ways is None or not stages or any(finding.severity == "error" for finding in findings):
        return Reading(None, _settled(findings))
    return Reading(Manifest(path=path, stages=tuple(stages), rollout=ways), _settled(findings))


def require(reading: Reading) -> Manifest:
    """The manifest, or ManifestRefused with the errors."""
    if reading.manifest is None:
        raise ManifestRefused(reading.errors)
    return reading.manifest


def discover(tree: Tree, under: str = ".") -> tuple[str, ...]:
    """Everything at or below the folder `under` that is meant as a manifest, sorted: files of the target form, split folders, staged folders."""
    root = posixpath.normpath(under or ".")
    found = set()
    for file in Files(tree).below(root):
        name = posixpath.basename(file)
        if _is_target_name(name):
            found.add(file)
        elif name in form_split.ENDPOINT or form_staged.FILE.fullmatch(name):
            found.add(folder_of(file) or ".")
    return tuple(sorted(found))


def manifest_of(tree: Tree, file: str) -> str | None:
    """The manifest that the file is part of: itself, or the folder it lies in. None where it is part of none.

    What a manifest refers to, such as code or request files, is part of no manifest.
    """
    if _is_target_name(posixpath.basename(file)):
        return file
    folder = folder_of(file)
    names = Files(tree).beside(folder)
    split = any(name in form_split.ENDPOINT for name in names)
    if split or any(form_staged.FILE.fullmatch(name) for name in names):
        return folder or "."
    return None


def _is_target_name(name: str) -> bool:
    return name in ("canary.yml", "canary.yaml") or name.endswith((".canary.yml", ".canary.yaml"))


def _written(files: Files, path: str) -> Written:
    """The form that stands at `path`, as that form reads it."""
    if files.is_file(path):
        return _file(files, path)
    if not files.is_folder(path):
        message = "there is neither file nor folder of this name at this commit"
        return _refused(path, "file-missing", message, "Check the path; it counts from the repository's root.")
    names = files.beside(path)
    staged = form_staged.stage_files(files, path)
    split = any(name in form_split.ENDPOINT for name in names)
    target = [name for name in names if _is_target_name(name)]
    if bool(staged) + split + len(target) > 1:
        message = "the folder holds more than one manifest"
        return _refused(path, "form-unclear", message, "Keep one form in a folder, or name the file.")
    if staged:
        return form_staged.read(files, path)
    if split:
        return form_split.read(files, path)
    if target:
        return _file(files, posixpath.join(path, target[0]))
    message = "the folder holds no manifest"
    return _refused(
        path, "form-unclear", message, "Expected: canary.yml, endpoint.yml with *deployment*.yml, or managed-1-….yaml and so on."
    )


def _file(files: Files, file: str) -> Written:
    name = posixpath.basename(file)
    if name in form_split.ENDPOINT:
        return form_split.read(files, folder_of(file))
    document, findings = read_document(files.tree, file)
    if document is None:
        return Written(findings=findings)
    if form_target.looks_like(document) or _is_target_name(name):
        written = form_target.read(document)
    elif form_legacy.looks_like(document):
        written = form_legacy.read(document, files)
    else:
        message = "this is neither the target form (`endpoint:` and `deployments:`) nor the legacy one (`name:` and `deployments:`)"
        remedy = "For Azure's split files, name the folder that holds endpoint.yml."
        return Written(findings=[*findings, document.section().finding((), "form-unclear", message, remedy)])
    return Written(written.drafts, written.rollout, written.rollout_base, written.sample_folders, findings + written.findings)


def _refused(path: str, rule: str, message: str, remedy: str) -> Written:
    return Written(findings=[Finding(path or ".", 0, "", rule, message, remedy)])


def _settled(findings: list[Finding]) -> tuple[Finding, ...]:
    """Sorted, each once, without what only follows from a value that could not be read."""
    unreadable = {(finding.file, finding.field) for finding in findings if finding.rule in _UNREADABLE}
    kept = {finding for finding in findings if finding.rule in _UNREADABLE or (finding.file, finding.field) not in unreadable}
    return tuple(sorted(kept))
