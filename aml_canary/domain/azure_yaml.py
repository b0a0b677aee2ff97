"""Endpoints and deployments as the mappings that Azure's v2 YAML files hold, ready for the SDK's loaders.

Values in, values out: writing and loading them is the gateway's business. May import `domain.manifest`.
"""

import os
import posixpath
from typing import Any

from aml_canary.domain.manifest import Deployment, Endpoint
from aml_canary.domain.reading.files import is_remote

_LOCAL = (("model", "path"), ("code_configuration", "code"), ("environment", "conda_file"))


def to_azure_yaml(deployment: Deployment, endpoint_name: str, root: str | os.PathLike[str]) -> dict[str, Any]:
    """The deployment under Azure's keys, local paths absolute below `root`, where the repository's files are.

    What the manifest does not say is left out; `request_settings` and `instance_count` are always written, so that what Azure had before
    does not stay.
    """
    said = _said(deployment.model_dump(mode="json", exclude_none=True))
    for block, key in _LOCAL:
        _absolute(said.get(block), key, root)
    if isinstance(said.get("environment"), dict):
        _absolute(said["environment"].get("build"), "path", root)
    for collection in said.get("data_collector", {}).get("collections", {}).values():
        # Azure's enumeration of the two words is text, and the SDK refuses YAML's own true and false.
        collection["enabled"] = str(collection["enabled"]).lower()
    return {"name": deployment.name, "endpoint_name": endpoint_name, **said}


def endpoint_to_azure_yaml(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint under Azure's keys. Without traffic in the manifest there is none here either: never send that to a live endpoint."""
    return _said(endpoint.model_dump(mode="json", exclude_none=True))


def _said(dumped: dict[str, Any]) -> dict[str, Any]:
    """Without empty blocks."""
    return {key: value for key, value in dumped.items() if value != {}}


def _absolute(block: Any, key: str, root: str | os.PathLike[str]) -> None:
    """Make the path at `key` absolute, where there is a local one."""
    if isinstance(block, dict) and isinstance(block.get(key), str) and not is_remote(block[key]):
        block[key] = posixpath.normpath(posixpath.join(root, block[key]))
