"""Starting rollouts through Prefect, by the deployment's name: at most one for each idempotency key.

May import `domain`, `errors`, its Prefect neighbours and Prefect's client.
"""

from dataclasses import dataclass
from typing import Any, Final

from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from aml_canary.domain.order import Order
from aml_canary.errors import Permanent
from aml_canary.gateways.prefect_db import prefect_client
from aml_canary.gateways.prefect_history import ORDER_TAG

CANARY: Final = "canary/canary"
SYNC: Final = "sync/sync"
TEARDOWN: Final = "teardown/teardown"


@dataclass(frozen=True)
class Started:
    """A flow run, where to look at it, and the name of the state in which it ended, if this very run was started before and has ended."""

    id: str
    name: str
    url: str
    ended: str = ""


def start_rollout(order: Order, *, following: bool = False, key: str | None = None) -> Started:
    """Create a run of the canary flow for the order, or find the one that was created with the same idempotency key."""
    parameters = {
        "repository": order.repository,
        "commit": order.commit,
        "manifest": order.manifest.path,
        "following": following,
    }
    tags = [f"endpoint:{order.endpoint}", f"{ORDER_TAG}{order.digest}"]
    return _start(CANARY, parameters, f"{order.endpoint}@{order.commit[:7]}", tags, key)


def start_teardown(endpoint: str, because: str, key: str) -> Started:
    """Create a run of the teardown flow, or find the one that was created with the same idempotency key."""
    return _start(TEARDOWN, {"endpoint": endpoint, "because": because}, f"{endpoint}-teardown", [f"endpoint:{endpoint}"], key)


def start_sync(repository: str, key: str) -> Started:
    """Create a run of the sync flow at the branch's head, or find the one that was created with the same idempotency key."""
    return _start(SYNC, {"repository": repository}, f"sync {key}", [], key)


def _start(deployment: str, parameters: dict[str, Any], name: str, tags: list[str], key: str | None) -> Started:
    """Raises Permanent where the flow is not deployed, Transient where Prefect does not answer."""
    with prefect_client() as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise Permanent(f"Prefect has no deployment {deployment}. Run `aml-canary setup --deploy`.") from error
        run = client.create_flow_run_from_deployment(found.id, parameters=parameters, idempotency_key=key, name=name, tags=tags)
    ended = run.state.name or "" if run.state is not None and run.state.is_final() else ""
    return Started(str(run.id), run.name, url_for(run) or "", ended)
