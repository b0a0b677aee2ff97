"""From git to rollouts: which endpoints differ from what a commit says, and a `canary` run for each of them.

Started by a push (the webhook door) or on a schedule, it does the same; so a lost push costs one interval. It changes nothing on Azure.
May import prefect, `tasks` and `aml_canary.domain`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.reading import find_manifests
from tasks.starting import start_if_different


@flow(name="sync", retries=0, persist_result=False)
def sync(repository: str, commit: str = "") -> State[Any]:
    """Start what differs.

    Args:
        repository: The git repository: its name in the settings, or its URL.
        commit: Commit id or branch; nothing means the head of the branch in the settings.
    """
    found, manifests = find_manifests(repository, commit)
    results = [start_if_different(repository, found, manifest) for manifest in manifests]
    told = "\n".join(text for _, text in results) or f"There is no manifest at {found[:12]} where AML_CANARY_MANIFESTS says."
    return Completed(message=told) if all(fine for fine, _ in results) else Failed(message=told)
