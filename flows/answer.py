"""A comment on a commit or pull request that answers what its rollouts ask, as the git host vouches for who wrote it.

It writes nothing to Azure. May import prefect and `tasks`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.answering import answer_all, hear, reply


@flow(name="answer", retries=0, persist_result=False)
def answer(host: str, repository: str, comment: dict[str, Any], seal: str) -> State[Any]:
    """Answer every rollout that waits and whose commit the comment is about, and say on the same thread what came of it.

    Args:
        host: Kind of the git host.
        repository: The git repository: its name in the settings.
        comment: What the webhook door heard.
        seal: The door's word that it heard exactly this.
    """
    heard = hear(host, repository, comment, seal)
    results = answer_all(heard)
    told = reply(heard, [text for _, text in results])
    return Completed(name="Answered" if any(counts for counts, _ in results) else "Refused", message=told)
