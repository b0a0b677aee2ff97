"""Azure's split files: `endpoint.yml` and `*deployment*.yml` in one folder as `az ml` users have them, and an optional `rollout.yml`.

Paths are relative to the files. May import its neighbours here.
"""

from fnmatch import fnmatch

from aml_canary.domain.findings import Finding
from aml_canary.domain.reading.files import Files
from aml_canary.domain.reading.forms import Written
from aml_canary.domain.reading.section import Section
from aml_canary.domain.reading.stages import Draft
from aml_canary.domain.reading.yaml_reader import read_document

ENDPOINT = ("endpoint.yml", "endpoint.yaml")
ROLLOUT = ("rollout.yml", "rollout.yaml")


def is_deployment(name: str) -> bool:
    """Whether a file of this name holds a deployment."""
    return name not in ENDPOINT + ROLLOUT and any(fnmatch(name, f"*deployment*.{ending}") for ending in ("yml", "yaml"))


def rollout_section(files: Files, folder: str, otherwise: Section) -> tuple[Section | None, list[Finding]]:
    """The folder's `rollout.yml` as a section; without one, an empty section that stands at `otherwise`."""
    name = next((name for name in ROLLOUT if name in files.beside(folder)), None)
    if name is None:
        return otherwise.having(None), []
    document, findings = read_document(files.tree, f"{folder}/{name}" if folder else name)
    return (document.section() if document else None), findings


def read(files: Files, folder: str) -> Written:
    """The one desired state that the folder's files say together."""
    names = files.beside(folder)
    prefix = f"{folder}/" if folder else ""
    endpoint_file = prefix + next(name for name in ENDPOINT if name in names)
    endpoint, findings = read_document(files.tree, endpoint_file)
    deployments = []
    for name in filter(is_deployment, names):
        document, more = read_document(files.tree, prefix + name)
        findings += more
        if document is None:
            continue
        section = document.section()
        written = document.value.get("name")
        if isinstance(written, str):
            deployments.append((written, section))
        else:
            findings.append(
                section.finding(("name",), "missing-key", "the deployment has no name", "Add `name: blue`, in quotes if need be.")
            )
    if endpoint is None:
        return Written(findings=findings)
    rollout, more = rollout_section(files, folder, endpoint.section())
    draft = Draft(folder.rsplit("/", 1)[-1] or "root", endpoint_file, endpoint.section(), tuple(deployments), folder)
    return Written((draft,), rollout, folder, [folder], findings + more)
