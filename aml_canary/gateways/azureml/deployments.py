"""Deployments: create one, scale it, delete it; and say why, with the container's own log, when Azure cannot.

What a deployment runs is never changed here: another content is another deployment. May import azure, `domain`, `settings` and `errors`.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import yaml
from azure.ai.ml import load_online_deployment
from azure.core.exceptions import AzureError

from aml_canary.domain.azure_yaml import to_azure_yaml
from aml_canary.domain.facts import FINGERPRINT, INSTANCES, PREFIX
from aml_canary.domain.manifest import Deployment
from aml_canary.errors import AmlCanaryError, ForeignChange, Permanent
from aml_canary.gateways.azureml.client import client
from aml_canary.gateways.azureml.endpoints import observe, read_deployment, settled, text_of
from aml_canary.gateways.azureml.failures import translated, without_secrets
from aml_canary.gateways.azureml.waiting import raise_reason, until_shown

LOG_TAIL_LINES = 20


def create_deployment(endpoint: str, wanted: Deployment, fingerprint: str, commit: str, root: Path) -> None:
    """Create the deployment from the files below `root`, at weight 0, and wait until it is ready.

    Does nothing where it is there already, healthy and with this fingerprint: an earlier try got through. Raises Transient, or Permanent with
    Azure's code and text and the last lines of the container's log.
    """
    doing = f"create deployment {wanted.name} of {endpoint}"
    state = settled(endpoint, wanted.name)
    if state is not None:
        with translated(doing):
            there = read_deployment(endpoint, wanted.name)
        ours = there is not None and (there.tags or {}).get(FINGERPRINT) == fingerprint
        if state == "Succeeded" and ours:
            return
        if state == "Succeeded":
            raise ForeignChange(f"Refused to {doing}: another one of that name appeared meanwhile. Retry plans again from what is live.")
        raise Permanent(_with_log(f"Azure failed to {doing}: it is {state}.", endpoint, wanted.name))
    _put(endpoint, wanted, fingerprint, commit, root, doing)


def scale_deployment(endpoint: str, wanted: Deployment, fingerprint: str, commit: str, root: Path) -> None:
    """Give the deployment `wanted.instance_count` instances. It must run what `fingerprint` says; then only the count changes.

    Written from the manifest and not from what Azure returns, because the SDK cuts durations to whole seconds on the way back; only tags
    that somebody else put there are kept.
    """
    doing = f"scale deployment {wanted.name} of {endpoint} to {wanted.instance_count} instances"
    settled(endpoint, wanted.name)
    with translated(doing):
        there = read_deployment(endpoint, wanted.name)
    if there is None or (there.tags or {}).get(FINGERPRINT) != fingerprint:
        raise ForeignChange(
            f"Refused to {doing}: it is gone, or runs something else than the manifest says. Retry plans again from what is live."
        )
    if text_of(there.provisioning_state) == "Succeeded" and there.instance_count == wanted.instance_count:
        return
    _put(endpoint, wanted, fingerprint, commit, root, doing, kept_tags=there.tags)

    def shown() -> bool | None:
        with translated(doing):
            now = read_deployment(endpoint, wanted.name)
        return True if now is None or now.instance_count == wanted.instance_count else None

    until_shown(shown, doing)


def delete_deployment(endpoint: str, name: str) -> None:
    """Delete a deployment that carries no traffic; refuses any other. Does nothing where it is gone."""
    doing = f"delete deployment {name} of {endpoint}"
    live = observe(endpoint)
    if name not in live.deployments:
        return
    if live.carries_traffic(name):
        raise ForeignChange(f"Refused to {doing}: it carries {live.traffic.get(name, 0)} percent of live traffic. Nothing was written.")
    with translated(doing):
        poller = client().online_deployments.begin_delete(name=name, endpoint_name=endpoint)
    if settled(endpoint, name) is not None:
        raise_reason(poller, doing)
        raise Permanent(f"Azure failed to {doing}: it is still there.")


def _put(
    endpoint: str, wanted: Deployment, fingerprint: str, commit: str, root: Path, doing: str, kept_tags: Mapping[str, str] | None = None
) -> None:
    with translated(doing):
        body = yaml.safe_dump(to_azure_yaml(wanted, endpoint, str(root)))
        entity = load_online_deployment(io.StringIO(body), relative_origin=str(root))
        ours = {FINGERPRINT: fingerprint, PREFIX + "commit": commit, INSTANCES: str(wanted.instance_count)}
        entity.tags = {**(kept_tags or {}), **(entity.tags or {}), **ours}
        poller = client().online_deployments.begin_create_or_update(entity)
    if settled(endpoint, wanted.name) == "Succeeded":
        return
    try:
        raise_reason(poller, doing)
    except AmlCanaryError as error:
        raise Permanent(_with_log(str(error), endpoint, wanted.name)) from error
    raise Permanent(_with_log(f"Azure failed to {doing}, and gave no reason.", endpoint, wanted.name))


def _with_log(text: str, endpoint: str, name: str) -> str:
    try:
        log = (client().online_deployments.get_logs(name=name, endpoint_name=endpoint, lines=LOG_TAIL_LINES) or "").strip()
    except AzureError as error:
        log = f"(the log could not be read: {type(error).__name__})"
    return f"{text}\nThe last lines of the container's log:\n{without_secrets(log) or '(the log is empty)'}"
