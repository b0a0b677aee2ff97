"""The legacy nested form of the 2020 preview (`$schema: http://azureml/sdk-2-0/OnlineEndpoint.json`), converted to Azure's v2 names.

Every conversion is a note that says what was read as what. Paths are relative to the repository's root, or, where nothing is there, to the
outermost folder around the file under which they exist: samples of that time were written for several working directories. Later
generations' keys are refused, with the name to use. May import its neighbours here.
"""

import re
from typing import Any

from aml_canary.domain.findings import Finding
from aml_canary.domain.reading import shape
from aml_canary.domain.reading.files import Files, ancestors, joined
from aml_canary.domain.reading.form_split import rollout_section
from aml_canary.domain.reading.forms import Written, folder_of, stage_name
from aml_canary.domain.reading.section import Document, Path, Section
from aml_canary.domain.reading.stages import Draft, real_size

# The preview's environments were a conda file alone; Azure's v2 wants an image below it. Dated, so that it does not move.
DEFAULT_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20250601.v1"

TOP = ["$schema", "name", "type", "auth_mode", "traffic", "deployments", "description", "tags", "properties"]
SAME = ["app_insights_enabled", "description", "environment_variables", "properties", "tags"]
CONVERTED = ["model", "code_reference", "environment", "sku", "scale", "request", "liveness_probe"]
LATER = {
    "code_configuration": "code_reference",
    "instance_type": "sku",
    "instance_count": "scale.instance_count",
    "request_settings": "request",
}
AUTH = {"amltoken": "aml_token", "aadtoken": "aad_token", "key": "key"}
_ASSET = re.compile(r"aml:(?:models/|environments/)?(?P<name>[^:/@\s]+)(?::|/versions/)(?P<version>[^:/@\s]+)")


def looks_like(document: Document) -> bool:
    """Whether the file is meant as this form."""
    schema = document.value.get("$schema")
    return (isinstance(schema, str) and "OnlineEndpoint.json" in schema) or ("deployments" in document.value and "name" in document.value)


def read(document: Document, files: Files) -> Written:
    """The one desired state of the file, and the rollout beside it."""
    draft, findings = drafted(document, files)
    if draft is None:
        return Written(findings=findings)
    folder = folder_of(document.file)
    rollout, more = rollout_section(files, folder, document.section())
    return Written((draft,), rollout, folder, ancestors(folder), findings + more)


def drafted(document: Document, files: Files) -> tuple[Draft | None, list[Finding]]:
    """The one desired state of the file."""
    root = document.section()
    findings = [
        root.finding(
            (), "legacy-form", "read as the form of the 2020 preview", "The target form says the same with Azure's v2 names.", "note"
        )
    ]
    findings += [shape.unknown_key(root, (key,), TOP) for key in document.value if key not in TOP]
    endpoint = {key: document.value[key] for key in TOP if key in document.value and key not in ("type", "deployments")}
    kind = document.value.get("type", "online")
    if str(kind).lower() not in ("onlineendpoint", "online"):
        findings.append(
            root.finding(("type",), "not-allowed", f"`{kind}` is not an online endpoint", "Only `OnlineEndpoint` is rolled out here.")
        )
    auth = document.value.get("auth_mode")
    if isinstance(auth, str) and (now := AUTH.get(auth.lower().replace("_", ""), auth)) != auth:
        endpoint["auth_mode"] = now
        findings.append(_note(root, ("auth_mode",), auth, f"auth_mode: {now}"))
    folder = folder_of(document.file)
    deployments = root.at("deployments")
    if not isinstance(deployments.value, dict):
        remedy = "Rewrite it in the target form: `deployments: {blue: {instance_type: …, instance_count: …}}`."
        message = "a map of deployments by name is expected here; lists of them came later"
        return None, [*findings, deployments.finding((), "legacy-generation", message, remedy)]
    converted = []
    for name in deployments.mapping:
        conversion = _Conversion(deployments.at(name), files, folder)
        converted.append((name, conversion.section()))
        findings += conversion.findings
    return Draft(stage_name(document.file), document.file, root.having(endpoint), tuple(converted), ""), findings


def rooted(files: Files, folder: str, written: str) -> tuple[str, str]:
    """The repository path that `written` means in a file of `folder`, and the folder it was found to be relative to."""
    for base in reversed(ancestors(folder)):
        path = joined(base, written)
        if path is not None and files.exists(path):
            return path, base
    return joined("", written) or written, ""


def _note(section: Section, path: Path, before: object, after: str, why: str = "") -> Finding:
    message = f"`{before}` is read as `{after}`{why}"
    return section.finding(path, "legacy-converted", message, "", "note")


class _Conversion:
    """One deployment on its way to v2 names; `moved` remembers where each field stood."""

    def __init__(self, old: Section, files: Files, folder: str) -> None:
        self.old, self.files, self.folder = old, files, folder
        self.new: dict[str, Any] = {}
        self.moved: dict[Path, Path] = {}
        self.findings: list[Finding] = []

    def section(self) -> Section:
        if not isinstance(self.old.value, dict):
            return self.old
        for key, value in self.old.value.items():
            if key in SAME:
                self.new[key] = value
            elif key in LATER:
                message = f"`{key}` is Azure's v2, and the rest of the file is older"
                remedy = f"In this form it is `{LATER[key]}`; in the target form `{key}` is right."
                self.findings.append(self.old.finding((key,), "legacy-generation", message, remedy))
            elif key not in CONVERTED:
                self.findings.append(shape.unknown_key(self.old, (key,), CONVERTED + SAME))
        self._model()
        self._code()
        self._environment()
        self._size()
        self._scale()
        self._block("request", "request_settings")
        self._block("liveness_probe", "liveness_probe")
        return Section(self.old.document, self.old.path, self.new, self.moved)

    def _put(self, path: Path, value: Any, old: Path) -> None:
        """Set the field `path` of the new form, which stands at `old` in the file."""
        block = self.new
        for step in path[:-1]:
            block = block.setdefault(str(step), {})
        block[str(path[-1])] = value
        self.moved[path] = self.old.path + old

    def _note(self, old: Path, before: object, after: str, why: str = "") -> None:
        self.findings.append(_note(self.old, old, before, after, why))

    def _mapping(self, key: str, known: list[str]) -> dict[str, Any]:
        """The block `key`, its unknown keys reported."""
        value = self.old.mapping.get(key)
        if value is not None and not isinstance(value, dict):
            self.findings.append(
                self.old.finding((key,), "wrong-type", "a block of `key: value` lines is expected here", f"Known: {', '.join(known)}.")
            )
        block = value if isinstance(value, dict) else {}
        self.findings += [shape.unknown_key(self.old, (key, inner), known) for inner in block if inner not in known]
        return block

    def _path(self, old: Path, written: str) -> str:
        path, base = rooted(self.files, self.folder, written)
        if base:
            self._note(old, written, path, ", because it is not there from the repository's root")
        return path

    def _model(self) -> None:
        model = self.old.mapping.get("model")
        if isinstance(model, str) and (match := _ASSET.fullmatch(model)):
            model = f"azureml:{match['name']}:{match['version']}"
            self._note(("model",), self.old.mapping["model"], model)
        if model is not None:
            self.new["model"] = model

    def _code(self) -> None:
        block = self._mapping("code_reference", ["code", "scoring_script"])
        if not block:
            return
        self._note(("code_reference",), "code_reference", "code_configuration")
        self.moved["code_configuration",] = (*self.old.path, "code_reference")
        self.new["code_configuration"] = dict(block)
        code, script = block.get("code"), block.get("scoring_script")
        if not isinstance(code, str):
            return
        code = self._path(("code_reference", "code"), code)
        self.new["code_configuration"]["code"] = code
        if not isinstance(script, str):
            return
        inside = joined(code, script)
        if inside is None or not self.files.is_file(inside):
            # Half of the samples repeat the code folder in the script's path, and half do not.
            whole, _ = rooted(self.files, self.folder, script)
            if code != "." and whole.startswith(code + "/"):
                script = whole[len(code) + 1 :]
                self._note(("code_reference", "scoring_script"), block["scoring_script"], script, ", which is relative to `code`")
        self.new["code_configuration"]["scoring_script"] = script

    def _environment(self) -> None:
        environment = self.old.mapping.get("environment")
        if not isinstance(environment, str) or environment.startswith("azureml:"):
            if environment is not None:
                self.new["environment"] = environment
            return
        if match := _ASSET.fullmatch(environment):
            self.new["environment"] = f"azureml:{match['name']}:{match['version']}"
            self._note(("environment",), environment, self.new["environment"])
            return
        path = self._path(("environment",), environment)
        self._put(("environment", "conda_file"), path, ("environment",))
        self._put(("environment", "image"), DEFAULT_IMAGE, ("environment",))
        self._note(("environment",), environment, f"environment: {{conda_file: {path}, image: {DEFAULT_IMAGE}}}")

    def _size(self) -> None:
        sku = self.old.mapping.get("sku")
        if sku is None:
            return
        size = real_size(sku) if isinstance(sku, str) else sku
        self._put(("instance_type",), size, ("sku",))
        self._note(("sku",), sku, f"instance_type: {size}", "" if size == sku else f", because Azure has no size `{sku}`")

    def _scale(self) -> None:
        scale = self._mapping("scale", ["scale_type", "instance_count", "min_instances", "max_instances", "polling_interval"])
        kind = scale.get("scale_type", "manual")
        if kind != "manual":
            message = f"`scale_type: {kind}` has no equivalent on a managed deployment"
            self.findings.append(self.old.finding(("scale", "scale_type"), "autoscale", message, shape.AUTOSCALE))
        for key in ("min_instances", "max_instances", "polling_interval"):
            if key in scale and kind == "manual":
                message = f"`{key}` has no effect with `scale_type: manual`, and is left out"
                self.findings.append(self.old.finding(("scale", key), "legacy-converted", message, "", "note"))
        if "instance_count" in scale:
            self._put(("instance_count",), scale["instance_count"], ("scale", "instance_count"))
            self._note(("scale",), "scale", f"instance_count: {scale['instance_count']}")
        elif kind == "manual" and "scale" in self.old.mapping:
            message = "manual scaling needs a number of instances"
            self.findings.append(self.old.finding(("scale", "instance_count"), "missing-key", message, "Add `instance_count: 3`."))

    def _block(self, old: str, new: str) -> None:
        """A block whose keys were only renamed: `_seconds` fell away from the probe's."""
        value = self.old.mapping.get(old)
        if value is None:
            return
        self.moved[new,] = (*self.old.path, old)
        if not isinstance(value, dict):
            self.new[new] = value
            return
        self.new[new] = {}
        for key, inner in value.items():
            self._put((new, key.removesuffix("_seconds")), inner, (old, key))
        if old != new or any(key.endswith("_seconds") for key in value):
            self._note((old,), old, f"{new}: {{{', '.join(self.new[new])}}}")
