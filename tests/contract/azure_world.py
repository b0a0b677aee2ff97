"""What the Azure gateway's tests put on an endpoint, and how they count what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aml_canary.domain.manifest import CodeConfiguration, Deployment, Endpoint
from aml_canary.domain.observed import Facts
from aml_canary.gateways import azureml
from aml_emulator.process import RunningEmulator

ROOT = Path(__file__).parents[2]
NAME = "churn"
COMMIT = "c0ffee"
WRITES = ("PUT", "PATCH", "DELETE")


def endpoint(**fields: Any) -> Endpoint:
    return Endpoint(name=NAME, **fields)


def deployment(name: str, code: str = "v1", **fields: Any) -> Deployment:
    """One of the example models."""
    return Deployment(
        name=name,
        model=fields.pop("model", {"path": "examples/models/model"}),
        code_configuration=CodeConfiguration(code=f"examples/models/{code}", scoring_script="score.py"),
        environment={"image": "mcr.example.test/minimal:1", "conda_file": "examples/models/environment.yml"},
        instance_type="Standard_F2s_v2",
        **fields,
    )


def create(name: str, code: str = "v1", **fields: Any) -> Deployment:
    """Through the gateway; the fingerprint is the code's name."""
    wanted = deployment(name, code, **fields)
    azureml.create_deployment(NAME, wanted, code, COMMIT, ROOT)
    return wanted


def facts(step: str = "flight-green-10", run: str = "run-1", **values: Any) -> Facts:
    return Facts(commit=COMMIT, manifest="configs/churn.canary.yml", run=run, step=step, since="2026-01-01T00:00:00+00:00", **values)


def written(emulator: RunningEmulator) -> list[str]:
    """The operations that changed an endpoint or a deployment since the log was cleared, refused ones included."""
    kinds = ("endpoint.", "deployment.")
    return [r["operation"] for r in emulator.requests.list() if r["method"] in WRITES and r["operation"].startswith(kinds)]


def last_body(emulator: RunningEmulator, operation: str) -> dict[str, Any]:
    body: dict[str, Any] = emulator.requests.list(operation)[-1]["body"]
    return body
