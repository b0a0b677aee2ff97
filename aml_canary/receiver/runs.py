"""Starts flows in Prefect. They are known by name only, so that a receiver runs where no flow's code is.

Not a scheduler and not a queue: what Prefect does not take at once is not kept here. May import `errors`, `githosts.delivery`,
`githosts.seal` and Prefect's client.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import asdict

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from aml_canary.errors import Permanent, Transient
from aml_canary.githosts.delivery import Comment, PullRequest, Push
from aml_canary.githosts.seal import seal

DEPLOYMENT = "sync/sync"
REVIEW = "review/review"
ANSWER = "answer/answer"
# GitHub hangs up after 10 s, and Prefect's client alone would go on trying for longer.
PREFECT_SECONDS = 8.0
RETRY_SECONDS = 30.0


class NotDeployed(Transient):
    """Prefect answers, and has no such deployment; `aml-canary setup --deploy` changes that."""


def refuse_to_start_without_prefect() -> None:
    """Raises Permanent where no Prefect server is named: Prefect's client would silently start one of its own."""
    if not get_current_settings().api.url:
        raise Permanent("No Prefect server is configured. Set PREFECT_API_URL, such as http://127.0.0.1:4200/api.")


class Runs:
    """Flow runs, started one at a time, and equal ones that are asked for at the same time once.

    Twenty pushes in one second took Prefect on SQLite 16 s side by side, with refusals and retries, and 1 s one after the other.
    `repository` is the name in the settings; the worker knows its URL, which may hold a token and is nobody's business in Prefect's UI.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        # What Prefect is being asked for at this moment, by idempotency key. Nothing is remembered once it has answered.
        self._asking: dict[str, asyncio.Task[str]] = {}

    async def sync(self, push: Push, repository: str) -> str:
        """The id of the one flow run for this push; delivered again, the same id. Returns once the run is in Prefect's database.

        Raises Transient where Prefect did not take it.
        """
        key = f"push:{repository}:{push.commit}"
        if push.forced is not False:
            # A branch that is put back to an older commit is news, though that commit had its run already; not every host tells.
            key += f":from:{push.before}"
        said = {"repository": repository, "commit": push.commit}
        # Who pushed may not be who approves (`prefect_history.pushers_of`).
        tags = ("push", *_tags(repository, push.commit), *([f"pusher:{push.pusher}"] if push.pusher else []))
        return await self._start(DEPLOYMENT, said, key, f"push {repository} {push.commit[:9]}", tags)

    async def review(self, host: str, request: PullRequest, repository: str) -> str:
        """The id of the one flow run for these commits of a pull request. Raises NotDeployed, or Transient where Prefect did not take it."""
        key = f"review:{repository}:{request.number}:{request.commit}"
        said = {"repository": repository, "number": request.number, "commit": request.commit, "ref": request.ref, "host": host}
        name = f"review {repository} {request.number} {request.commit[:9]}"
        return await self._start(REVIEW, said, key, name, ("review", *_tags(repository, request.commit)))

    async def answer(self, host: str, comment: Comment, repository: str, secret: str) -> str:
        """The id of the one flow run for this comment, sealed with the secret. Raises NotDeployed, or Transient where Prefect did not take it."""
        heard = {"host": host, "repository": repository, "comment": asdict(comment)}
        said = {**heard, "seal": seal(heard, secret)}
        key = f"comment:{host}:{repository}:{comment.commit or comment.number}:{comment.id}"
        name = f"answer {repository} {comment.commit[:9] or comment.number} {comment.login}"
        tags = ("answer", f"repository:{repository}", *([f"commit:{comment.commit[:12]}"] if comment.commit else []))
        return await self._start(ANSWER, said, key, name, tags)

    async def _start(self, deployment: str, said: Mapping[str, object], key: str, name: str, tags: Sequence[str]) -> str:
        """The id of the run. Who asks for the same while Prefect is asked waits for that answer, and costs Prefect nothing."""
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._create(deployment, said, key, name, tags))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        # The others still wait for it where one of them is gone.
        return await asyncio.shield(asking)

    async def _create(self, deployment: str, said: Mapping[str, object], key: str, name: str, tags: Sequence[str]) -> str:
        async with _prefect(self._turn) as client:
            found = await _deployment(client, deployment)
            run = await client.create_flow_run_from_deployment(
                found.id, parameters=dict(said), idempotency_key=key, name=name, tags=list(tags)
            )
        return str(run.id)


async def check_ready() -> None:
    """Returns where a push would be taken now; raises Transient with what is missing."""
    async with _prefect(nullcontext()) as client:
        await _deployment(client, DEPLOYMENT)


def _tags(repository: str, commit: str) -> tuple[str, str]:
    return f"repository:{repository}", f"commit:{commit[:12]}"


async def _deployment(client: PrefectClient, name: str) -> DeploymentResponse:
    try:
        return await client.read_deployment_by_name(name)
    except ObjectNotFound as problem:
        raise NotDeployed(f"Prefect has no deployment {name!r}. Run `aml-canary setup --deploy`.", retry_after=RETRY_SECONDS) from problem


@asynccontextmanager
async def _prefect(turn: AbstractAsyncContextManager[None]) -> AsyncIterator[PrefectClient]:
    try:
        # Waiting for one's turn is part of the time that the git host gives us.
        async with asyncio.timeout(PREFECT_SECONDS), turn, get_client() as client:
            yield client
    except Transient:
        raise
    except Exception as problem:
        # Whatever Prefect's client raises, the answer is the same: the run is not known to be there.
        raise Transient(f"Prefect did not answer as it should: {type(problem).__name__}.", retry_after=RETRY_SECONDS) from problem
