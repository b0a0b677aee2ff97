"""The target form: endpoint, deployments and rollout in one file, with Azure's v2 names inside the first two.

Paths are relative to the file. May import its neighbours here.
"""

from aml_canary.domain.reading import shape
from aml_canary.domain.reading.forms import Written, folder_of, stem
from aml_canary.domain.reading.section import Document
from aml_canary.domain.reading.stages import Draft

KEYS = ["endpoint", "deployments", "rollout", "$schema"]


def looks_like(document: Document) -> bool:
    """Whether the file is meant as this form."""
    return isinstance(document.value.get("endpoint"), dict) and "deployments" in document.value


def read(document: Document) -> Written:
    """The one desired state of the file, and its rollout."""
    root = document.section()
    findings = [shape.unknown_key(root, (key,), KEYS) for key in document.value if key not in KEYS]
    for key in ("endpoint", "deployments"):
        value = document.value.get(key)
        if not isinstance(value, dict):
            message = f"`{key}` is missing" if key not in document.value else f"`{key}` is not a block of keys"
            remedy = (
                "Write `endpoint: {name: …}`." if key == "endpoint" else "Write `deployments: {blue: {…}}`: a name, and its settings below."
            )
            findings.append(root.finding((key,), "missing-key" if key not in document.value else "wrong-type", message, remedy))
    if findings and any(finding.field in ("endpoint", "deployments") for finding in findings):
        return Written(findings=findings)
    deployments = root.at("deployments")
    base = folder_of(document.file)
    draft = Draft(
        name=stem(document.file).removesuffix(".canary"),
        file=document.file,
        endpoint=root.at("endpoint"),
        deployments=tuple((name, deployments.at(name)) for name in deployments.mapping),
        base=base,
    )
    return Written((draft,), root.at("rollout"), base, [], findings)
