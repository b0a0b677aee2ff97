"""A staged folder: files `managed-<n>-*.yaml`, walked in numeric order, each of them one full desired state of the same endpoint.

The files may be of the legacy form or the target form; the rollout is in `rollout.yml`. May import its neighbours here.
"""

import re
from dataclasses import replace

from aml_canary.domain.findings import Finding
from aml_canary.domain.reading import form_legacy, form_target
from aml_canary.domain.reading.files import Files, ancestors
from aml_canary.domain.reading.form_split import rollout_section
from aml_canary.domain.reading.forms import Written, stage_name
from aml_canary.domain.reading.section import Document
from aml_canary.domain.reading.stages import Draft
from aml_canary.domain.reading.yaml_reader import read_document

FILE = re.compile(r"managed-(\d{1,6})-[^/]*\.ya?ml")


def stage_files(files: Files, folder: str) -> list[str]:
    """The folder's stage files in order."""
    numbered = [(int(match[1]), match[0]) for name in files.beside(folder) if (match := FILE.fullmatch(name))]
    return [f"{folder}/{name}" if folder else name for _, name in sorted(numbered)]


def read(files: Files, folder: str) -> Written:
    """All stages of the folder."""
    findings: list[Finding] = []
    drafts: list[Draft] = []
    numbers: dict[int, str] = {}
    for file in stage_files(files, folder):
        number = int(stage_name(file).split("-")[0])
        if number in numbers:
            message = f"stage {number} is here twice; the other is `{numbers[number]}`"
            findings.append(Finding(file, 0, "", "stage-number", message, "Renumber one: the number is the order."))
        numbers[number] = file
        document, more = read_document(files.tree, file)
        findings += more
        if document is None:
            continue
        stages, more = _stages(document, files)
        drafts += stages
        findings += more
    findings += _same_endpoint(drafts)
    if not drafts:
        return Written(findings=findings)
    rollout, more = rollout_section(files, folder, drafts[0].endpoint.document.section())
    return Written(tuple(drafts), rollout, folder, ancestors(folder), findings + more)


def _stages(document: Document, files: Files) -> tuple[list[Draft], list[Finding]]:
    """The one desired state of a stage file, in whichever form it is written."""
    if not form_target.looks_like(document):
        draft, findings = form_legacy.drafted(document, files)
        return [draft] if draft is not None else [], findings
    written = form_target.read(document)
    drafts = [replace(draft, name=stage_name(document.file)) for draft in written.drafts]
    if "rollout" in document.value:
        finding = document.section().finding(
            ("rollout",), "stage-rollout", "a stage has no rollout of its own", "Move it to `rollout.yml` beside it."
        )
        return drafts, [*written.findings, finding]
    return drafts, written.findings


def _same_endpoint(drafts: list[Draft]) -> list[Finding]:
    findings = []
    for draft in drafts[1:]:
        ours, first = (str(each.endpoint.mapping.get("name")) for each in (draft, drafts[0]))
        if ours.lower() != first.lower():
            message = f"this stage is of the endpoint `{ours}`, the first one (`{drafts[0].file}`) of `{first}`"
            findings.append(draft.endpoint.finding(("name",), "endpoint-mismatch", message, "One folder is one endpoint's rollout."))
    return findings
