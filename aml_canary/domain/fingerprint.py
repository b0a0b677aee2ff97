"""One short digest of what a deployment runs and how it answers.

Two deployments with the same fingerprint may stand in for each other; a live one whose wanted fingerprint differs is never changed in
place. It depends on content, not on commits, names, paths, instance counts or descriptions. May import `domain.manifest`, `domain.tree`
and `aml_canary.errors`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aml_canary.domain.manifest import Deployment, Probe
from aml_canary.domain.reading.files import is_remote
from aml_canary.domain.tree import Tree, content_id
from aml_canary.errors import Permanent

# Written in front of what is digested: raise it when the same deployment would get another digest.
_EDITION = 1
_ABOUT_ONLY = ("name", "version", "description", "tags", "properties")


def fingerprint(deployment: Deployment, tree: Tree) -> str:
    """16 hexadecimal digits. `tree` is where the deployment's manifest was read; its files count by content.

    What is left unsaid counts as Azure's default, so that writing a default out changes nothing.
    """
    code = deployment.code_configuration
    data = {
        "edition": _EDITION,
        "model": _content(deployment.model, tree),
        "code": [_file(code.code, tree), code.scoring_script] if code else None,
        "environment": _content(deployment.environment, tree),
        "environment_variables": dict(deployment.environment_variables),
        "instance_type": deployment.instance_type.lower(),
        "request_settings": deployment.request_settings.model_dump(),
        "liveness_probe": (deployment.liveness_probe or Probe()).model_dump(),
        "readiness_probe": (deployment.readiness_probe or Probe()).model_dump(),
        "app_insights_enabled": deployment.app_insights_enabled,
        "egress_public_network_access": deployment.egress_public_network_access or "enabled",
        "model_mount_path": deployment.model_mount_path,
        "data_collector": deployment.data_collector,
    }
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _content(value: str | Mapping[str, Any] | None, tree: Tree) -> Any:
    """A reference as it is; an inline block with content in place of paths, and without what only describes it."""
    if value is None or isinstance(value, str):
        return value
    block = {key: inner for key, inner in value.items() if key not in _ABOUT_ONLY}
    for key in ("path", "conda_file"):
        if isinstance(block.get(key), str):
            block[key] = _file(block[key], tree)
    if isinstance(block.get("build"), Mapping):
        block["build"] = {"dockerfile_path": "Dockerfile", **block["build"], "path": _file(block["build"]["path"], tree)}
    if "path" in block:
        block.setdefault("type", "custom_model")
    return block


def _file(path: str, tree: Tree) -> str:
    if is_remote(path):
        return path
    found = content_id(tree, path)
    if found is None:
        raise Permanent(f"`{path}` is not in this tree; a fingerprint needs the tree that the manifest was read from.")
    return found
