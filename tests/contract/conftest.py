"""The Azure gateway against an emulator: this installation's settings and credentials point there, and nothing else is different."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from prefect.settings import PREFECT_API_URL, temporary_settings

from aml_canary.gateways.azureml.client import client
from aml_canary.settings import settings
from aml_emulator.process import RunningEmulator
from aml_emulator.pytest_plugin import aml_emulator  # noqa: F401  a fixture is used by its name
from tests.contract.emulator.openapi import FOLDER, Recorder
from tests.contract.receiver_world import Sync, running_prefect


def environment(emulator: RunningEmulator, home: Path) -> dict[str, str]:
    """What an installation on this emulator has in its environment."""
    return emulator.env() | {
        "AML_CANARY_SUBSCRIPTION_ID": emulator.subscription_id,
        "AML_CANARY_RESOURCE_GROUP": emulator.resource_group,
        "AML_CANARY_WORKSPACE": emulator.workspace,
        "AML_CANARY_CLOUD_NAME": emulator.cloud_name,
        "AML_CANARY_CLOUD_METADATA": json.dumps(emulator.cloud_metadata),
        "AML_CANARY_HOME": str(home),
    }


def forget() -> None:
    """Settings and the client are made once for the life of a process; these tests have several lives."""
    settings.cache_clear()
    client.cache_clear()


@pytest.fixture(scope="module")
def installation(aml_emulator: RunningEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:  # noqa: F811
    values = environment(aml_emulator, tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        forget()
        yield values
    forget()


@pytest.fixture
def emulator(installation: dict[str, str], aml_emulator: RunningEmulator) -> Iterator[RunningEmulator]:  # noqa: F811
    """An empty workspace, and the powers over it."""
    aml_emulator.reset()
    yield aml_emulator
    aml_emulator.reset()


@pytest.fixture(scope="session", autouse=True)
def recorder() -> Iterator[Recorder]:
    """Sees every answer of the control plane: to the SDK, and to tests that ask by themselves."""
    recorder, send = Recorder(), requests.Session.send

    def noted(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = send(self, request, **options)
        if FOLDER.exists() and "/onlineendpoints" in str(request.url).lower():
            recorder.note(response)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", noted)
        yield recorder


@pytest.fixture(autouse=True)
def answers_are_as_microsoft_describes_them(recorder: Recorder) -> Iterator[None]:
    """Every test of this folder and those below is also a test of what it was answered; see emulator/test_emulator_openapi.py."""
    yield
    assert recorder.taken() == []


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UUID]:
    """A deployment on a server of the module's own, which this process speaks to: only its runs can be suspended and resumed."""
    with running_prefect(tmp_path_factory.mktemp("prefect")) as server, temporary_settings({PREFECT_API_URL: server.api_url}):
        yield Sync(server.api_url).deploy()
