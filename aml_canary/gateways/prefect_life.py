"""Whether the process of a running flow run is still there: Prefect keeps a run Running for ever when its machine is lost.

Every flow's process sends a heartbeat event (PREFECT_FLOWS_HEARTBEAT_FREQUENCY, 180 seconds unless set). May import `errors`, `settings`,
`gateways.prefect_db` and Prefect's client.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Crashed

from aml_canary.gateways.prefect_db import prefect_client
from aml_canary.settings import settings


def is_silent(run: str, now: datetime) -> bool:
    """Whether a Running run has shown no sign of life for AML_CANARY_SILENCE_SECONDS.

    False where heartbeats are switched off: then nobody can know. Raises Transient.
    """
    if get_current_settings().flows.heartbeat_frequency is None:
        return False
    longest = timedelta(seconds=settings().silence_seconds)
    with prefect_client() as client:
        try:
            state = client.read_flow_run(UUID(run)).state
        except ObjectNotFound:
            return False
        if state is None or state.type.value != "RUNNING" or now - state.timestamp < longest:
            return False
        query: dict[str, Any] = {
            "filter": {
                "occurred": {"since": (now - longest).isoformat(), "until": (now + timedelta(minutes=5)).isoformat()},
                "event": {"prefix": ["prefect.flow-run."]},
                "resource": {"id": [f"prefect.flow-run.{run}"]},
            },
            "limit": 1,
        }
        return not client.request("POST", "/events/filter", json=query).json()["events"]


def died(run: str) -> None:
    """Have Prefect show that the run's process is gone."""
    message = f"No sign of life for {settings().silence_seconds:.0f} s ({datetime.now(UTC).isoformat(timespec='seconds')})."
    with prefect_client() as client:
        client.set_flow_run_state(UUID(run), Crashed(message=message), force=True)
