"""Prefect's HTTP API as its UI uses it: runs, states, answers to forms, retries.

May import requests and the standard library only.
"""

import time
from typing import Any

import requests


class PrefectApi:
    """One Prefect server, at `url` (ending in /api)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        # A bundle for another server's certificate is no business of a loopback address without one.
        self._session.trust_env = False
        # A connection that is kept may be closed by the server, busy or idle, at the moment of the next call.
        self._session.headers["Connection"] = "close"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call; the JSON that came back, or None. Raises requests.HTTPError.

        On SQLite, Prefect answers 503 when two writers meet; its own clients ask again, and so does this.
        """
        for _ in range(20):
            response = self._session.request(method, self.url + path, json=body, timeout=90)
            if response.status_code != 503:
                break
            time.sleep(0.25)
        response.raise_for_status()
        return response.json() if response.content else None

    def healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return bool(self.call("GET", "/health"))
        except requests.RequestException:
            return False

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment by `flow/deployment` name."""
        found: dict[str, Any] = self.call("GET", f"/deployments/name/{name}")
        return found

    def start(self, deployment: str, parameters: dict[str, Any], idempotency_key: str | None = None) -> str:
        """Create a run of a deployment; its id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "idempotency_key": idempotency_key}
        return str(self.call("POST", f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", body)["id"])

    def run(self, run: str) -> dict[str, Any]:
        """A flow run."""
        found: dict[str, Any] = self.call("GET", f"/flow_runs/{run}")
        return found

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """All runs of a flow, oldest first."""
        query = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC", "limit": 200}
        found: list[dict[str, Any]] = self.call("POST", "/flow_runs/filter", query)
        return found

    def state(self, run: str) -> str:
        """The name of the run's state, such as Suspended or Completed."""
        return str((self.run(run).get("state") or {}).get("name"))

    def wait(self, run: str, *states: str, seconds: float = 480) -> dict[str, Any]:
        """Wait until the run is in one of the states, or at its end; the run. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.run(run)
            state = found.get("state") or {}
            if state.get("name") in states or state.get("type") in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"Run {found.get('name')} is {state.get('name')} after {seconds:.0f} s, not one of {', '.join(states)}.")
            time.sleep(0.5)

    def answer(self, run: str, decision: str, approver: str = "demo", comment: str | None = None) -> dict[str, Any]:
        """Answer the form of a suspended run, as the Resume button does. The server's reply, whose `status` is ACCEPT or REJECT."""
        self.form(run)
        form = {"decision": decision, "approver": approver, "comment": comment}
        reply: dict[str, Any] = self.call("POST", f"/flow_runs/{run}/resume", {"run_input": form})
        return reply

    def form(self, run: str) -> str:
        """The markdown that the form of a suspended run shows. Prefect saves it a moment after the run is suspended; that is waited for."""
        keyset = self.run(run)["state"]["state_details"]["run_input_keyset"]
        deadline = time.monotonic() + 20
        while True:
            try:
                return str(self.call("GET", f"/flow_runs/{run}/input/{keyset['description']}"))
            except requests.HTTPError as error:
                if error.response.status_code != 404 or time.monotonic() > deadline:
                    raise
                time.sleep(0.25)

    def gate(self, run: str) -> str:
        """The gate that a suspended run waits at, such as flight-green-10."""
        key = str(self.run(run)["state"]["state_details"]["pause_key"])
        return key.rsplit("-", 2)[0]

    def retry(self, run: str, *, force: bool) -> None:
        """Retry a run as a UI does: the first with force false, the second with force true."""
        self.call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": force})

    def cancel(self, run: str) -> None:
        """Cancel a run as the UI does."""
        self.call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})

    def lock(self, endpoint: str) -> dict[str, Any] | None:
        """Who holds an endpoint; None where nobody does."""
        query = {"variables": {"name": {"any_": [f"aml-canary-lock-{endpoint}"]}}}
        found = self.call("POST", "/variables/filter", query)
        return found[0]["value"] if found else None

    def task_runs(self, run: str) -> list[dict[str, Any]]:
        """The run's task runs, in order of their start."""
        query = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": 200}
        found: list[dict[str, Any]] = self.call("POST", "/task_runs/filter", query)
        return found

    def logs(self, run: str) -> list[str]:
        """What the run has logged so far, at most the last 200 lines, newest first."""
        query = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_DESC", "limit": 200}
        return [str(line["message"]) for line in self.call("POST", "/logs/filter", query)]
