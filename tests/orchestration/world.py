"""What the orchestration tests say: push a manifest, start a rollout, answer a gate, look at Azure, break something.

Stands on the demo's stack: a real Prefect server and worker, the real SDK, real scoring processes and git.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from prefect.settings import PREFECT_API_URL, temporary_settings

from aml_canary.domain.manifest_reader import read_manifest, require
from aml_canary.domain.observed import Facts
from aml_canary.domain.order import order_of
from aml_canary.gateways import azureml
from aml_canary.gateways.folder import FolderTree
from examples.demo.manifests import manifest, path_of
from examples.demo.prefect_api import PrefectApi
from examples.demo.repository import Repository
from examples.demo.stack import ROOT, Stack


class World:
    """One test's view of the stack: an endpoint of its own, in a repository of its own."""

    def __init__(self, stack: Stack, folder: Path, endpoint: str, repository: str = "") -> None:
        self.stack, self.endpoint = stack, endpoint
        self.prefect: PrefectApi = stack.prefect
        self.repository = Repository(folder, name=repository or f"acme/{endpoint}")
        self.repository.copy(ROOT / "examples" / "models", "models")
        self.repository.copy(ROOT / "examples" / "manifests" / "sample-request.json", "configs/sample-request.json")

    # --- git and Prefect ---------------------------------------------------------------------------------------------

    def push(self, traffic: Mapping[str, int], deployments: Mapping[str, str], rollout: str = "") -> str:
        """Push a target-form manifest; the commit. `deployments` maps a name to a folder of examples/models."""
        text = self.written(manifest(self.endpoint, dict(traffic), dict(deployments), rollout=rollout))
        return self.repository.push({path_of(self.endpoint): text}, f"{self.endpoint}: {dict(traffic)}")

    def written(self, text: str) -> str:
        """A manifest's text as this world pushes it: with one process for each deployment, because there are many here."""
        return text.replace("instance_count: 2", "instance_count: 1")

    def start(self, commit: str, path: str | None = None) -> str:
        """Start a rollout; its run."""
        parameters = {"repository": self.repository.url, "commit": commit, "manifest": path or path_of(self.endpoint)}
        return self.prefect.start("canary/canary", parameters)

    def blue_is_live(self, model: str = "v1") -> None:
        """A first release: blue, all of the traffic. Done here and not by a run, to have it sooner; through the same gateway."""
        commit = self.push({"blue": 100}, {"blue": model})
        tree = FolderTree(self.repository.work)
        order = order_of(require(read_manifest(tree, path_of(self.endpoint))), tree, self.repository.url, commit)
        wanted = order.stages[0]
        azureml.create_endpoint(wanted.stage.endpoint, Facts(commit=commit))
        azureml.create_deployment(
            self.endpoint, wanted.stage.deployments["blue"], wanted.fingerprints["blue"], commit, self.repository.work
        )
        azureml.shift_traffic(azureml.observe(self.endpoint), {"blue": 100}, {}, Facts(commit=commit), {})

    def start_green(self, rollout: str = "", model: str = "v2") -> str:
        """Start the rollout of green, from blue at 100 %."""
        return self.start(self.push({"green": 100}, {"green": model}, rollout))

    def until_asked(self, run: str) -> str:
        """Wait until the run is suspended; the gate it waits at."""
        found = self.prefect.wait(run, "Suspended")
        assert found["state"]["name"] == "Suspended", found["state"]
        return self.prefect.gate(run)

    def until_logged(self, run: str, text: str) -> None:
        """Wait until the run's log has this: a process hands over its last lines after the state that it ends in."""
        wait_until(lambda: any(text in line for line in self.prefect.logs(run)), f"{run} has logged: {text}")

    def answer(self, run: str, decision: str = "approve", comment: str | None = None) -> None:
        """Answer the gate the run waits at."""
        reply = self.prefect.answer(run, decision, approver="Ada", comment=comment)
        assert reply["status"] == "ACCEPT", reply

    def approve_through(self, run: str, *gates: str) -> None:
        """Approve these gates, in this order."""
        for gate in gates:
            assert self.until_asked(run) == gate
            self.answer(run)

    def end_of(self, run: str) -> dict[str, Any]:
        """Wait until the run has ended; the run."""
        return self.prefect.wait(run)

    def stages(self, run: str) -> list[str]:
        """The names of the run's stage task runs, each as often as it ran to its end, in order."""
        looking = ("read-", "take-", "release-", "publish-", "hand-over-", "plan", "observe", "compare-", "look-", "find-", "supersede")
        looking += ("quarantine", "end-quarantine", "show-timeline", "show-report", "let-stand")
        return [task["name"] for task in self.prefect.task_runs(run) if not task["name"].startswith(looking)]

    def run_guard(self) -> str:
        """What one run of the guard tells; in this process, to have it sooner than from a worker (the demo's test has that)."""
        from flows.guard import guard

        with temporary_settings({PREFECT_API_URL: self.prefect.url}):
            return str(guard(return_state=True).message)

    # --- Azure -------------------------------------------------------------------------------------------------------

    @property
    def traffic(self) -> dict[str, int]:
        """Live weights."""
        return self.stack.traffic(self.endpoint)

    @property
    def deployments(self) -> dict[str, int]:
        """Instances, by deployment."""
        return {d.name: d.instance_count for d in self.stack.azure.online_deployments.list(self.endpoint)}

    def set_traffic(self, **weights: int) -> None:
        """Change traffic by hand, as somebody with the portal open would."""
        entity = self.stack.azure.online_endpoints.get(self.endpoint)
        entity.traffic = weights
        self.stack.azure.online_endpoints.begin_create_or_update(entity).result()

    def writes(self) -> list[str]:
        """Every write to this endpoint so far, as `endpoint.put` or `deployment.put green`, refused ones left out."""
        found = []
        for entry in self.stack.emulator.requests.list():
            operation, path = entry["operation"], entry["path"].lower().split("/")
            if self.endpoint in path and operation.split(".")[-1] in ("put", "patch", "delete") and 200 <= entry["status"] < 300:
                name = path[path.index("deployments") + 1] if "deployments" in path else ""
                found.append(f"{operation} {name}".strip())
        return found

    def lock(self) -> dict[str, Any] | None:
        """Who holds the endpoint."""
        return self.prefect.lock(self.endpoint)

    # --- Breaking things -----------------------------------------------------------------------------------------------

    def hold_azure(self) -> None:
        """Whatever Azure accepts from now on, it is at work on until `let_azure_go_on`."""
        self.stack.emulator.pace({"*": {"reads": 10**6}})

    def let_azure_go_on(self) -> None:
        """Azure is quick again, and has no faults any more."""
        self.stack.emulator.faults.clear()
        self.stack.emulator.pace(pace="fast")

    def azure_is_at_work(self, deployment: str = "") -> bool:
        """Whether Azure has accepted a change of the endpoint, or of one of its deployments, and is not done with it."""
        azure = self.stack.azure
        try:
            found = azure.online_deployments.get(deployment, self.endpoint) if deployment else azure.online_endpoints.get(self.endpoint)
        except ResourceNotFoundError:
            return False
        return found.provisioning_state in ("Creating", "Updating", "Scaling", "Deleting")

    def kill_flow(self, run: str) -> None:
        """kill -9 the process that executes the run, and wait until Prefect knows.

        Two notice: what watched the process and, sometimes much later, the worker, which calls the run Crashed once more where it was
        retried in between. So both are waited for; the worker's sign is in its log only.
        """
        worker = self.stack.processes["worker"].log
        sign = "prefect.flow_runs.worker - Check whether the flow run exceeded its memory"
        before = worker.read_text().count(sign)
        pid = self.prefect.run(run)["infrastructure_pid"]
        os.kill(int(str(pid).split(":")[-1]), signal.SIGKILL)
        assert self.prefect.wait(run, "Crashed")["state"]["name"] == "Crashed"
        wait_until(lambda: worker.read_text().count(sign) > before, "the worker has noticed too")

    def retry_after_crash(self, run: str, *, force: bool) -> None:
        """Retry as a UI does, and wait until the run is at work again."""
        self.prefect.retry(run, force=force)
        wait_until(lambda: self.prefect.state(run) in ("Running", "Suspended"), "the retried run is at work")

    def restart_worker(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """kill -9 the worker, do something while there is none, and start another."""
        self.stack.processes["worker"].kill()
        meanwhile()
        self.stack.start_worker()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 240, *, every: float = 0.2) -> None:
    """Wait for something to be so, looking `every` so many seconds. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(every)
