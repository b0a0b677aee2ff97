"""From git to rollouts: which endpoints differ from their manifests at the branch's head, and a rollout for each.

A push starts it, and a schedule does the same; so a lost push costs one interval, and a late or doubled one nothing. It changes nothing on
Azure, but for drift that a manifest wants healed. May import prefect, `tasks` and `aml_canary.domain`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.reading import find_manifests
from tasks.starting import prune, read_orders, start_in_order


@flow(name="sync", retries=0, persist_result=False)
def sync(repository: str, commit: str = "") -> State[Any]:
    """Start what differs.

    Args:
        repository: The git repository: its name in the settings, or its URL.
        commit: The commit that a push told of, so that it is waited for; what is applied is the head of the branch in the settings.
    """
    head, manifests = find_manifests(repository, commit)
    orders, refused = read_orders(repository, head, manifests)
    results = [*refused, *start_in_order(orders), *prune(repository, orders, manifests, readable=not refused)]
    told = "\n".join(text for _, text in results) or f"There is no manifest at {head[:12]} where AML_CANARY_MANIFESTS says."
    return Completed(message=told) if all(fine for fine, _ in results) else Failed(message=told)
