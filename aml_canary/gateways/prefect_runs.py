"""Starting rollouts through Prefect, by the deployment's name: at most one for each idempotency key.

May import `errors`, `gateways.prefect_db` and Prefect's client.
"""

from dataclasses import dataclass
from typing import Final

from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from aml_canary.errors import Permanent
from aml_canary.gateways.prefect_db import prefect_client

CANARY: Final = "canary/canary"


@dataclass(frozen=True)
class Started:
    """A flow run, where to look at it, and the name of the state in which it ended, if this very run was started before and has ended."""

    id: str
    name: str
    url: str
    ended: str = ""


def start_rollout(repository: str, commit: str, manifest: str, endpoint: str, idempotency_key: str | None = None) -> Started:
    """Create a run of the canary flow, or find the one that was created with the same key.

    Raises Permanent where the flow is not deployed, Transient where Prefect does not answer.
    """
    with prefect_client() as client:
        try:
            deployment = client.read_deployment_by_name(CANARY)
        except ObjectNotFound as error:
            raise Permanent(f"Prefect has no deployment {CANARY}. Create it with `prefect --no-prompt deploy --all`.") from error
        run = client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"repository": repository, "commit": commit, "manifest": manifest},
            idempotency_key=idempotency_key,
            name=f"{endpoint}@{commit[:7]}",
            tags=[f"endpoint:{endpoint}"],
        )
    ended = run.state.name or "" if run.state is not None and run.state.is_final() else ""
    return Started(str(run.id), run.name, url_for(run) or "", ended)
