"""A pull request, before it is merged: what it would do to which endpoint, as one status and one comment.

It writes nothing to Azure. May import prefect, `tasks` and `aml_canary.errors`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from aml_canary.errors import AmlCanaryError
from tasks.reviewing import fetch_request, look_at, publish, tell_broken


@flow(name="review", retries=0, persist_result=False)
def review(repository: str, number: int, commit: str, ref: str, host: str = "") -> State[Any]:
    """Check and plan every manifest that a pull request changes, and tell its git host.

    Args:
        repository: The git repository: its name in the settings.
        number: The pull request's number.
        commit: Id of the commit that is to be merged; the host may have shortened it.
        ref: The whole name of the ref that brings this commit, such as refs/pull/7/head.
        host: Kind of the git host, for the log; where to write to is in the settings.
    """
    try:
        head = fetch_request(repository, ref, commit)
        if not head:
            return Completed(name="Outdated", message=f"{ref} has moved on from {commit[:12]}; its newer commit has a review of its own.")
        found = look_at(repository, head)
    except AmlCanaryError as error:
        tell_broken(repository, commit, error)
        raise
    return Completed(message=publish(repository, number, host, found))
