"""From one full desired state, as any form drafts it, to a `Stage`: every rule is applied here, whatever the form.

May import `domain.manifest` and its neighbours here.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from aml_canary.domain.findings import Finding
from aml_canary.domain.manifest import Deployment, Endpoint, Stage
from aml_canary.domain.reading import rules, shape
from aml_canary.domain.reading.blocks import DataCollector, Identity, InlineEnvironment, InlineModel
from aml_canary.domain.reading.files import Files
from aml_canary.domain.reading.references import localised
from aml_canary.domain.reading.section import Section
from aml_canary.domain.reading.yaml_reader import kind_of

BLOCKS: dict[str, type[BaseModel]] = {"model": InlineModel, "environment": InlineEnvironment, "data_collector": DataCollector}


@dataclass(frozen=True)
class Draft:
    """One desired state with Azure's v2 names, not yet checked. Paths in it are relative to the folder `base`."""

    name: str
    file: str
    endpoint: Section
    deployments: tuple[tuple[str, Section], ...]
    base: str


def stage(draft: Draft, files: Files) -> tuple[Stage | None, list[Finding]]:
    """The draft as a stage, and everything found on the way; None where an error is among it."""
    findings = []
    names: dict[str, Deployment] = {}
    seen: dict[str, str] = {}
    endpoint_name = draft.endpoint.mapping.get("name")
    sources = tuple({draft.file, *(section.file for _, section in draft.deployments)})
    for written, section in draft.deployments:
        # A deployment that is a whole file says its name inside; elsewhere the name is the key that the section stands at.
        lower, wrong = rules.name(section, () if section.path else ("name",), written, "deployment")
        if lower in seen:
            message = f"`{written}` and `{seen[lower]}` are the same deployment to Azure"
            wrong.append(section.finding((), "duplicate-key", message, "Remove one, or rename it."))
        seen[lower] = written
        deployment, more = _deployment(lower, section, files, draft.base, endpoint_name, sources)
        findings += wrong + more
        if deployment is not None:
            names[lower] = deployment
    if not draft.deployments:
        message = "there is no deployment, and an endpoint without one answers nobody"
        findings.append(draft.endpoint.finding((), "deployments-missing", message, "Add `deployments:` with at least one."))
    endpoint, more = _endpoint(draft.endpoint, list(seen))
    findings += more
    if endpoint is None or any(finding.severity == "error" for finding in findings):
        return None, findings
    return Stage(name=draft.name, file=draft.file, endpoint=endpoint, deployments=names), findings


def _endpoint(section: Section, deployments: list[str]) -> tuple[Endpoint | None, list[Finding]]:
    """The endpoint, whose deployments have these names."""
    value = dict(section.mapping)
    value.pop("$schema", None)
    findings = rules.placeholders(section) + rules.traffic(section, deployments)
    for field in ("traffic", "mirror_traffic", "tags"):
        if isinstance(value.get(field), dict):
            findings += rules.case_clashes(section, (field,), value[field])
    for field in ("traffic", "mirror_traffic"):
        if isinstance(value.get(field), dict):
            value[field] = {key.lower(): weight for key, weight in value[field].items()}
    if isinstance(value.get("name"), str):
        value["name"], wrong = rules.name(section, ("name",), value["name"], "endpoint")
        findings += wrong
    if isinstance(value.get("identity"), dict):
        findings += shape.check(Identity, section.at("identity"), value["identity"])[1]
    endpoint, wrong = shape.check(Endpoint, section.having(value), value)
    return endpoint, findings + wrong


def _deployment(
    name: str, section: Section, files: Files, base: str, endpoint_name: Any, sources: tuple[str, ...]
) -> tuple[Deployment | None, list[Finding]]:
    """One deployment, and what is wrong with it."""
    if not isinstance(section.value, dict):
        message = f"{kind_of(section.value)} stands here where a deployment's settings are expected"
        return None, [section.finding((), "wrong-type", message, "Indent the settings below the name.")]
    value, findings = localised(section, files, base, sources)
    findings += rules.placeholders(section) + _envelope(section, value, name, endpoint_name)
    if isinstance(value.get("tags"), dict):
        findings += rules.case_clashes(section, ("tags",), value["tags"])
    for field, model in BLOCKS.items():
        if isinstance(value.get(field), dict):
            findings += shape.check(model, section.at(field), value[field])[1]
    environment = value.get("environment")
    if isinstance(environment, dict) and ("image" in environment) == ("build" in environment):
        message = "an inline environment has either an `image` or a `build` folder"
        findings.append(section.finding(("environment",), "environment-reference", message, "Add `image: …` (and `conda_file: …`)."))
    if not any(value.get(field) for field in ("model", "code_configuration", "environment")):
        message = "the deployment has neither model nor code nor environment: there is nothing to run"
        findings.append(section.finding((), "nothing-to-run", message, "Add `model:` and, unless it is MLflow, `code_configuration:`."))
    deployment, wrong = shape.check(Deployment, section, {**value, "name": name})
    return deployment, findings + wrong


def _envelope(section: Section, value: dict[str, Any], name: str, endpoint_name: Any) -> list[Finding]:
    """Take out what Azure's files say around a deployment's settings and the model says otherwise; check that it agrees."""
    findings = []
    value.pop("$schema", None)
    own = value.pop("name", name)
    if not isinstance(own, str) or own.lower() != name:
        findings.append(
            section.finding(("name",), "name-mismatch", f"`{own}` stands under the name `{name}`", "Remove `name`, or make it agree.")
        )
    owner = value.pop("endpoint_name", None)
    if owner is not None and str(owner).lower() != str(endpoint_name).lower():
        message = f"this belongs to the endpoint `{owner}`, and the manifest is for `{endpoint_name}`"
        findings.append(section.finding(("endpoint_name",), "endpoint-mismatch", message, "Remove `endpoint_name`, or make it agree."))
    kind = value.pop("type", "managed")
    if kind != "managed":
        message = f"`{kind}` deployments are not rolled out by this project"
        findings.append(section.finding(("type",), "kubernetes-only", message, "Remove `type`: it is `managed`."))
    if value.get("scale_settings") == {"type": "default"}:
        value.pop("scale_settings")
    size = value.get("instance_type")
    if isinstance(size, str) and (right := real_size(size)) != size:
        findings.append(section.finding(("instance_type",), "instance-type", f"`{size}` is no Azure size", f"Write `{right}`."))
    return findings


def real_size(size: str) -> str:
    """Azure's spelling of a size that old samples print as `Standard_FS4_v2`."""
    head, _, rest = size.partition("_FS")
    count, _, tail = rest.partition("_")
    return f"{head}_F{count}s_{tail}" if head == "Standard" and count.isdigit() and tail else size
