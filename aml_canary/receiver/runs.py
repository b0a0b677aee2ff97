"""Starts the sync flow in Prefect. The flow is known by name only, so that a receiver runs where no flow's code is.

Not a scheduler and not a queue: what Prefect does not take at once is not kept here. May import `errors` and Prefect's client.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from aml_canary.errors import Permanent, Transient
from aml_canary.githosts.delivery import Push

DEPLOYMENT = "sync/sync"
# GitHub hangs up after 10 s, and Prefect's client alone would go on trying for longer.
PREFECT_SECONDS = 8.0
RETRY_SECONDS = 30.0


def refuse_to_start_without_prefect() -> None:
    """Raises Permanent where no Prefect server is named: Prefect's client would silently start one of its own."""
    if not get_current_settings().api.url:
        raise Permanent("No Prefect server is configured. Set PREFECT_API_URL, such as http://127.0.0.1:4200/api.")


class Syncs:
    """Runs of the sync flow, started one at a time.

    Twenty pushes in one second took Prefect on SQLite 16 s side by side, with refusals and retries, and 1 s one after the other.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def start(self, push: Push, repository: str) -> str:
        """The id of the one flow run for this push; delivered again, the same id. Returns once the run is in Prefect's database.

        `repository` is the name in the settings; the worker knows its URL, which may hold a token and is nobody's business in Prefect's UI.
        Raises Transient where Prefect did not take it.
        """
        key = f"push:{repository}:{push.commit}"
        if push.forced:
            # A branch that is put back to an older commit is news, though that commit had its run already.
            key += f":from:{push.before}"
        async with _prefect(self._turn) as client:
            deployment = await client.read_deployment_by_name(DEPLOYMENT)
            run = await client.create_flow_run_from_deployment(
                deployment.id,
                parameters={"repository": repository, "commit": push.commit},
                idempotency_key=key,
                name=f"push {repository} {push.commit[:9]}",
                tags=["push", f"repository:{repository}", f"commit:{push.commit[:12]}"],
            )
        return str(run.id)


async def check_ready() -> None:
    """Returns where a push would be taken now; raises Transient with what is missing."""
    async with _prefect(nullcontext()) as client:
        await client.read_deployment_by_name(DEPLOYMENT)


@asynccontextmanager
async def _prefect(turn: AbstractAsyncContextManager[None]) -> AsyncIterator[PrefectClient]:
    try:
        # Waiting for one's turn is part of the time that the git host gives us.
        async with asyncio.timeout(PREFECT_SECONDS), turn, get_client() as client:
            yield client
    except ObjectNotFound as problem:
        raise Transient(f"Prefect has no deployment {DEPLOYMENT!r}. Run `prefect deploy --all`.", retry_after=RETRY_SECONDS) from problem
    except Exception as problem:
        # Whatever Prefect's client raises, the answer is the same: the run is not known to be there.
        raise Transient(f"Prefect did not answer as it should: {type(problem).__name__}.", retry_after=RETRY_SECONDS) from problem
