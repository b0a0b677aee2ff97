"""Endpoints: look at one, create it, change its traffic, delete it.

Traffic changes only by a PUT of the whole endpoint, and Azure offers no ETag. So each change reads, compares with what the rollout last
saw, overlays only what the rollout owns, writes, waits, and reads again. May import azure, `domain`, `settings` and `errors`.
"""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml
from azure.ai.ml import load_online_endpoint
from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint, OnlineDeployment, OnlineEndpoint
from azure.core.exceptions import ResourceNotFoundError

from aml_canary.domain.azure_yaml import endpoint_to_azure_yaml
from aml_canary.domain.facts import FINGERPRINT, INSTANCES, from_tags, to_tags, weights_text
from aml_canary.domain.manifest import Endpoint
from aml_canary.domain.observed import Facts, Observed, ObservedDeployment, Weights, absent, nonzero
from aml_canary.errors import ForeignChange, Permanent
from aml_canary.gateways.azureml.client import client
from aml_canary.gateways.azureml.failures import translated
from aml_canary.gateways.azureml.waiting import SETTLED, raise_reason, until_settled, until_shown


def observe(name: str) -> Observed:
    """The endpoint as it is, once Azure has finished whatever it is doing to it and its deployments."""
    if until_settled(lambda: _state(name), f"finish its work on endpoint {name}") is None:
        return absent(name)
    now = glance(name)
    busy = [deployment for deployment in now.deployments.values() if deployment.state not in SETTLED]
    for deployment in busy:
        settled(name, deployment.name)
    return observe(name) if busy else now


def glance(name: str) -> Observed:
    """The endpoint as it is at this moment, whatever Azure is at work on."""
    endpoint = _read(name)
    if endpoint is None:
        return absent(name)
    with translated(f"list the deployments of {name}"):
        found = list(client().online_deployments.list(endpoint_name=name))
    return _observed(name, endpoint, found)


def text_of(value: object) -> str:
    """A string of the SDK, which may also come as a member of an enumeration, or not at all."""
    return str(getattr(value, "value", value) or "")


def endpoint_names() -> tuple[str, ...]:
    """The names of all managed online endpoints of the workspace, sorted."""
    with translated("list the endpoints of the workspace"):
        return tuple(sorted(str(e.name).lower() for e in client().online_endpoints.list() if isinstance(e, ManagedOnlineEndpoint)))


def settled(endpoint: str, deployment: str) -> str | None:
    """Wait until Azure has finished its work on a deployment; its final state, or None where it is gone."""

    def state() -> str | None:
        found = read_deployment(endpoint, deployment)
        return None if found is None else text_of(found.provisioning_state)

    return until_settled(state, f"finish its work on deployment {deployment}")


def read_deployment(endpoint: str, deployment: str) -> OnlineDeployment | None:
    """The SDK's entity, or None where there is none."""
    try:
        found: OnlineDeployment = client().online_deployments.get(name=deployment, endpoint_name=endpoint)
    except ResourceNotFoundError:
        return None
    return found


def endpoints_from(repository: str) -> dict[str, Facts]:
    """The facts of every managed online endpoint that a rollout of this repository has written to last, by name."""
    with translated("list the endpoints of the workspace"):
        found = {
            str(e.name).lower(): from_tags(e.tags or {}) for e in client().online_endpoints.list() if isinstance(e, ManagedOnlineEndpoint)
        }
    return {name: facts for name, facts in sorted(found.items()) if facts.repository == repository}


def create_endpoint(wanted: Endpoint, facts: Facts) -> None:
    """Create the endpoint, with no traffic and these facts. Does nothing where it exists. Raises Transient or Permanent."""
    doing = f"create endpoint {wanted.name}"
    with translated(doing):
        if _state(wanted.name) is None:
            body = yaml.safe_dump(endpoint_to_azure_yaml(wanted))
            entity = load_online_endpoint(io.StringIO(body))
            entity.traffic, entity.mirror_traffic = {}, {}
            entity.tags = {**(entity.tags or {}), **to_tags(facts)}
            poller = client().online_endpoints.begin_create_or_update(entity)
        else:
            poller = None
    state = until_settled(lambda: _state(wanted.name), doing)
    if state != "Succeeded":
        if poller is not None:
            raise_reason(poller, doing)
        raise Permanent(f"Azure failed to {doing}: it is {state or 'gone'}. Look at it in Azure, delete it, and Retry.")


def shift_traffic(seen: Observed, weights: Weights, mirror: Weights, facts: Facts, tags: Mapping[str, str]) -> Observed:
    """Set live and mirrored traffic in one PUT, and return the endpoint once Azure shows it.

    `seen` is what the rollout's plan was made from; the endpoint must still be so. `tags` are the manifest's own. Where the traffic is
    already as asked and `facts` say this very step was done, nothing is written: an earlier try got through and only its answer was lost.
    Raises ForeignChange, Transient, or Permanent.
    """
    name = seen.name
    doing = f"set the traffic of {name} to {weights_text(weights)}"
    now = observe(name)
    wanted, wanted_mirror = nonzero(weights), nonzero(mirror)
    if sum(wanted.values()) != 100:
        raise Permanent(f"Refused to {doing}: the weights total {sum(wanted.values())}, and a live endpoint needs 100.")
    arrived = dict(now.traffic) == wanted and dict(now.mirror_traffic) == wanted_mirror
    if arrived and (now.facts.run, now.facts.step) == (facts.run, facts.step):
        return now
    if (dict(now.traffic), dict(now.mirror_traffic)) != (dict(seen.traffic), dict(seen.mirror_traffic)):
        raise ForeignChange(
            f"Refused to {doing}: live traffic is {weights_text(now.traffic) or 'none'} and was {weights_text(seen.traffic) or 'none'} "
            "when this step was planned, so somebody else changed it. Nothing was written. Retry plans again from what is live."
        )
    unready = [n for n in {**wanted, **wanted_mirror} if n not in now.deployments or not (now.deployments[n].healthy or now.traffic.get(n))]
    if unready:
        raise Permanent(f"Refused to {doing}: {', '.join(sorted(unready))} is not there, or not Succeeded. Nothing was written.")
    with translated(doing):
        entity = _read(name)
        if entity is None:
            raise Permanent(f"Azure failed to {doing}: the endpoint is gone.")
        if _weights(entity.traffic) != dict(now.traffic):
            raise ForeignChange(f"Refused to {doing}: live traffic changed at this very moment. Nothing was written. Retry plans again.")
        entity.traffic, entity.mirror_traffic = dict(wanted), dict(wanted_mirror)
        entity.tags = {**(entity.tags or {}), **tags, **to_tags(facts)}
        poller = client().online_endpoints.begin_create_or_update(entity)
    until_settled(lambda: _state(name), doing)

    def shown() -> Observed | None:
        now = observe(name)
        if now.state != "Succeeded":
            raise_reason(poller, doing)
        return now if (dict(now.traffic), dict(now.mirror_traffic)) == (wanted, wanted_mirror) else None

    return until_shown(shown, doing)


def put_traffic_back(name: str, runs: frozenset[str], since: str) -> Observed | None:
    """Roll back what a rollout shifted: one PUT, to the traffic that was there before its first shift.

    `runs` are the flow runs whose writes belong to the rollout. Where it is back already, or somebody else gave all traffic to others, nothing
    is written and None is returned. Needs nothing but the endpoint's own tags. Raises Permanent, without writing, where a deployment to go back
    to is not there or not healthy: then the present traffic is the safest there is, and a person has to look.
    """
    now = observe(name)
    stable = nonzero(now.facts.stable)
    if not now.exists or now.facts.run not in runs or not now.astray:
        return None
    unfit = sorted(n for n in stable if n not in now.deployments or not now.deployments[n].healthy)
    if unfit and not now.as_written:
        # Somebody has decided.
        return None
    if unfit:
        raise Permanent(
            f"HOLD: {name} should go back to {weights_text(stable)}, but {', '.join(unfit)} is gone or not Succeeded. "
            f"Live traffic was left at {weights_text(now.traffic)}. Repair that, or decide where it goes: set it on Azure; "
            "or empty the tag aml-canary.stable, and it stays."
        )
    facts = replace(now.facts, step="rolled-back", since=since, traffic=stable, rollbacks=now.facts.rollbacks + 1)
    return shift_traffic(now, stable, {}, facts, {})


def delete_endpoint(name: str) -> None:
    """Delete the endpoint and its deployments. Does nothing where it is gone."""
    doing = f"delete endpoint {name}"
    with translated(doing):
        if _state(name) is None:
            return
        poller = client().online_endpoints.begin_delete(name=name)
    if until_settled(lambda: _state(name), doing) is not None:
        raise_reason(poller, doing)
        raise Permanent(f"Azure failed to {doing}: it is still there.")


def scoring_access(name: str) -> str:
    """The key or token that scoring requests to the endpoint must carry. A secret: never logged, never kept."""
    with translated(f"read the keys of {name}"):
        keys: Any = client().online_endpoints.get_keys(name=name)
        return str(getattr(keys, "primary_key", None) or keys.access_token)


def _read(name: str) -> OnlineEndpoint | None:
    with translated(f"read endpoint {name}"):
        try:
            found: OnlineEndpoint = client().online_endpoints.get(name=name)
        except ResourceNotFoundError:
            return None
        return found


def _state(name: str) -> str | None:
    endpoint = _read(name)
    return None if endpoint is None else text_of(endpoint.provisioning_state) or "Updating"


def _observed(name: str, endpoint: OnlineEndpoint, found: list[OnlineDeployment]) -> Observed:
    if not isinstance(endpoint, ManagedOnlineEndpoint):
        raise Permanent(f"Endpoint {name} is not a managed online endpoint, and only those can be rolled out to.")
    tags = {str(key): str(value) for key, value in (endpoint.tags or {}).items()}
    return Observed(
        name=name,
        exists=True,
        state=text_of(endpoint.provisioning_state),
        auth_mode=text_of(endpoint.auth_mode),
        traffic=_weights(endpoint.traffic),
        mirror_traffic=_weights(endpoint.mirror_traffic),
        deployments={d.name.lower(): _deployment(d) for d in found if d.name and isinstance(d, ManagedOnlineDeployment)},
        facts=from_tags(tags),
        scoring_uri=endpoint.scoring_uri or "",
    )


def _weights(traffic: Mapping[str, Any] | None) -> dict[str, int]:
    return nonzero({str(name).lower(): int(weight) for name, weight in (traffic or {}).items()})


def _deployment(found: ManagedOnlineDeployment) -> ObservedDeployment:
    context, tags = found.creation_context, found.tags or {}
    applied = tags.get(INSTANCES) or ""
    return ObservedDeployment(
        name=str(found.name).lower(),
        state=text_of(found.provisioning_state),
        instance_count=int(found.instance_count or 0),
        instance_type=text_of(found.instance_type),
        fingerprint=tags.get(FINGERPRINT),
        created_at=context.created_at.isoformat() if context is not None and context.created_at is not None else None,
        model=_model(found.model),
        applied_count=int(applied) if applied.isdecimal() and applied.isascii() else None,
    )


def _model(model: Any) -> str | None:
    """`name:version` of a registered model, from its ARM id."""
    parts = str(model or "").split("/")
    return f"{parts[-3]}:{parts[-1]}" if len(parts) > 3 and parts[-4] == "models" and parts[-2] == "versions" else None
