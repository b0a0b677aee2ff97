"""Which VM sizes there are in the workspace's region, and how much of the subscription's quota is used.

May import azure, `domain`, `errors` and its neighbours.
"""

from collections.abc import Iterable
from typing import Any

from azure.ai.ml.entities import Usage, VmSize

from aml_canary.domain.quota import Family, Quota
from aml_canary.gateways.azureml.client import client
from aml_canary.gateways.azureml.failures import translated


def read_quota() -> Quota:
    """The quota as Azure shows it to this identity. Raises Transient or Permanent."""
    with translated("read the quota"):
        return quota_of(client().compute.list_usage(), client().compute.list_sizes())


def quota_of(usages: Iterable[Usage], sizes: Iterable[VmSize]) -> Quota:
    """What the SDK's entities say."""
    families: dict[str, Family] = {}
    for usage in usages:
        name = _said(usage.name, "value")
        # A family is there once for the subscription, and once more for each workspace with a share of its own.
        if name and name.lower() not in families and not _said(usage, "aml_workspace_location", "amlWorkspaceLocation"):
            families[name.lower()] = Family(name, int(_said(usage, "current_value", "currentValue") or 0), int(_said(usage, "limit") or 0))
    known = {
        size.name.lower(): (str(_said(size, "family") or ""), int(_said(size, "v_cp_us", "vCPUs") or 0)) for size in sizes if size.name
    }
    return Quota(known, families)


def _said(entity: Any, *names: str) -> Any:
    """The first of these that is there: by attribute or key, as Azure spells it in some versions of the SDK and as Python does in others."""
    for name in names:
        found = entity.get(name) if isinstance(entity, dict) else getattr(entity, name, None)
        if found is not None:
            return found
    return None
