"""No text that leaves the Azure gateway, nor the traceback that a log shows of it, carries what lets its reader into a storage account."""

from __future__ import annotations

import re
import traceback
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.storage.blob._shared.policies import ExponentialRetry
from requests.adapters import HTTPAdapter

from aml_canary.domain.observed import Facts
from aml_canary.errors import AmlCanaryError, Permanent, Transient
from aml_canary.gateways import azureml
from aml_canary.gateways.azureml.failures import translated
from tests.contract.azure_world import create, endpoint, written

SIGNED = "/container/code/score.py?sv=2025-05-05&sp=rcw&sig=c2VjcmV0%2Bit%3D"


@pytest.fixture
def only_storage_is_cut_off(emulator, monkeypatch):
    """Requests to storage go through a proxy that is down, and all others as always. The SDK does not wait before its own tries.

    Its present transport leaves the address out of what it says then; requests' own, as here, does not.
    """
    send, signed = requests.Session.send, []

    def sent(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if ".blob." in str(request.url):
            signed.append("sig=" in str(request.url))
            options["proxies"] = {"https": "http://127.0.0.1:1"}
            self.mount("https://", HTTPAdapter())
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", sent)
    monkeypatch.setattr(ExponentialRetry, "get_backoff_time", lambda *_: 0)
    yield
    assert signed
    assert all(signed)


def everything_told(failure: AmlCanaryError) -> str:
    """What any log may show of it: the text, and the traceback with its causes."""
    return f"{failure}\n{''.join(traceback.format_exception(failure))}"


def test_storage_that_cannot_be_reached_is_told_without_the_signature(emulator, only_storage_is_cut_off):
    azureml.create_endpoint(endpoint(), Facts(commit="c"))
    with pytest.raises(Transient) as failure:
        create("blue")
    assert "sig=" not in everything_told(failure.value)
    # Who was asked for what, and what went wrong, is told all the same.
    assert re.match(
        r"Azure could not be reached to create deployment blue of churn: .*host='127\.0\.0\.1'.*/aml\.blob\.emulator/[^ ?]+\?\*\*\* .*ProxyError",
        str(failure.value),
    )
    assert "deployment.put" not in written(emulator)


def test_an_answer_that_quotes_the_address_is_told_without_the_signature(emulator):
    """As proxies and firewalls do, on the page they answer with."""
    azureml.create_endpoint(endpoint(), Facts(commit="c"))
    page = f"The URL https://store.blob.core.windows.net{SIGNED} could not be retrieved."
    emulator.faults.add("blob.put", status=403, code="Refused", message=page, count=None)
    with pytest.raises(AmlCanaryError, match=r"https://store\.blob\.core\.windows\.net/container/code/score\.py\?\*\*\*") as failure:
        create("blue")
    assert "sig=" not in everything_told(failure.value)


@pytest.mark.parametrize(
    "error",
    [
        HttpResponseError(f"Storage did not like https://store.blob.core.windows.net{SIGNED}, it says."),
        ServiceRequestError(f"Max retries exceeded with url: {SIGNED} (Caused by SSLError('no'))"),
        ServiceRequestError(f"A token of its own: {SIGNED.partition('?')[2]}"),
        ServiceRequestError("DefaultEndpointsProtocol=https;AccountName=store;AccountKey=c2VjcmV0%2Bit%3D;EndpointSuffix=core.windows.net"),
    ],
    ids=["answer", "address", "token", "key"],
)
def test_whatever_azure_or_a_library_says_a_signature_or_a_key_is_not_passed_on(error):
    with pytest.raises(AmlCanaryError) as failure, translated("create deployment blue"):
        raise error
    assert "c2VjcmV0" in str(error)
    assert "c2VjcmV0" not in everything_told(failure.value)
    assert "***" in str(failure.value)


def test_a_harmless_cause_stays_in_the_log():
    error = ServiceRequestError("Max retries exceeded with url: /subscriptions/1?api-version=2024-04-01 (Caused by SSLError('no'))")
    with pytest.raises(Transient) as failure, translated("read endpoint churn"):
        raise error
    assert failure.value.__cause__ is error


def test_a_signature_in_a_containers_log_is_not_passed_on(emulator, monkeypatch):
    azureml.create_endpoint(endpoint(), Facts(commit="c"))
    emulator.faults.add("deployment.put", operation={"code": "BadArgument", "message": "In Azure's words."})
    said = f"Downloading https://store.blob.core.windows.net{SIGNED}\nKeyError: 'model'"
    monkeypatch.setattr("azure.ai.ml.operations.OnlineDeploymentOperations.get_logs", lambda *_, **__: said)
    with pytest.raises(Permanent, match="KeyError: 'model'") as failure:
        create("blue")
    assert "c2VjcmV0" not in everything_told(failure.value)
