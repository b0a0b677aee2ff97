"""The end of an endpoint: it is deleted with everything in it, after a person said yes.

May import prefect, `tasks` and `aml_canary.domain`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from aml_canary.domain.observed import absent
from aml_canary.domain.steps import DeleteEndpoint
from aml_canary.errors import RolloutRejected
from tasks.ask import ask_before_teardown
from tasks.auditing import audit_end, writing
from tasks.lock import holder_for_teardown, release_endpoint, take_endpoint
from tasks.notifying import tell_end, tell_ending
from tasks.reading import observe
from tasks.stages import delete_endpoint


@flow(name="teardown", retries=0, persist_result=False, on_completion=[tell_end], on_failure=[tell_end])
def teardown(endpoint: str, because: str = "") -> State[Any]:
    """Delete an endpoint and every deployment in it.

    Args:
        endpoint: Name of the endpoint.
        because: Why, for whoever is asked.
    """
    holder = take_endpoint(holder_for_teardown(endpoint), "reject")
    live = observe(endpoint)
    if not live.exists:
        release_endpoint(holder)
        return Completed(name="Unchanged", message=f"There is no endpoint {endpoint}.")
    try:
        ask_before_teardown(live, because)
    except RolloutRejected as rejected:
        release_endpoint(holder)
        told = audit_end(endpoint, rejected.state, f"{rejected}. Nothing was deleted.")
        tell_ending(rejected.state, told)
        return Cancelled(name=rejected.state, message=told)
    with writing("delete-endpoint", live, absent(endpoint)):
        delete_endpoint(DeleteEndpoint(), endpoint, holder)
    release_endpoint(holder)
    told = f"Endpoint {endpoint} is deleted, with {', '.join(sorted(live.deployments)) or 'no deployments'}."
    return Completed(name="Deleted", message=audit_end(endpoint, "Deleted", told))
