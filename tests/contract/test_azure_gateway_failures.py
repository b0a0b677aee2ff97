"""Each way Azure can fail comes out as Transient or Permanent, with Azure's own code and words. Nothing is tried twice here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from aml_canary.domain.observed import Facts
from aml_canary.errors import Permanent, Transient
from aml_canary.gateways import azureml
from aml_canary.gateways.azureml import hearing
from aml_canary.settings import settings
from tests.contract.azure_world import NAME, create, endpoint, written
from tests.contract.conftest import forget

HOUR_AHEAD = "an hour from now"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_what_may_work_in_a_moment_is_transient_and_asked_once(emulator, status):
    emulator.faults.add("endpoint.put", status=status, code="SomeCode", message="In Azure's words.", count=None)
    with pytest.raises(Transient, match=rf"^Azure failed to create endpoint churn: HTTP {status} \(SomeCode\) In Azure's words\.$"):
        azureml.create_endpoint(endpoint(), Facts(commit="c"))
    assert written(emulator) == ["endpoint.put"]
    emulator.faults.clear()
    azureml.create_endpoint(endpoint(), Facts(commit="c"))
    assert azureml.observe(NAME).state == "Succeeded"


@pytest.mark.parametrize("status", [400, 403, 405, 412, 422])
def test_what_would_fail_again_is_permanent_and_asked_once(emulator, status):
    emulator.faults.add("endpoint.put", status=status, code="SomeCode", message="In Azure's words.", count=None)
    with pytest.raises(Permanent, match=rf"HTTP {status} \(SomeCode\) In Azure's words\."):
        azureml.create_endpoint(endpoint(), Facts(commit="c"))
    assert written(emulator) == ["endpoint.put"]


def test_a_refused_credential_is_permanent_and_says_what_to_check(emulator):
    emulator.faults.add("endpoint.get", status=401, code="InvalidAuthenticationToken", message="The token is no good.", count=None)
    with pytest.raises(Permanent, match=r"Azure refused the credential .*The token is no good\. Check the identity"):
        azureml.observe(NAME)


def test_a_wrong_secret_is_permanent(emulator, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    forget()
    with pytest.raises(Permanent, match="Azure refused the credential"):
        azureml.observe(NAME)
    forget()


def test_an_identity_service_that_is_down_is_transient(emulator):
    forget()
    emulator.faults.add("identity.token", status=503, count=None)
    with pytest.raises(Transient, match="No token could be had to"):
        azureml.observe(NAME)
    emulator.faults.clear()
    forget()  # the credential's own library would repeat the failure for a minute without asking
    assert azureml.observe(NAME).exists is False


@pytest.mark.parametrize("operation", ["endpoint.get", "endpoint.put"])
def test_a_connection_that_breaks_is_transient(emulator, operation):
    emulator.faults.add(operation, reset=True)
    with pytest.raises(Transient, match=r"^Azure could not be reached to .*churn: "):
        azureml.create_endpoint(endpoint(), Facts(commit="c"))
    azureml.create_endpoint(endpoint(), Facts(commit="c"))


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("asset.put_version", {"reset": True}),
        ("asset.put_version", {"status": 503}),
        ("datastore.list_secrets", {"reset": True}),
        ("workspace.get", {"status": 503}),
    ],
)
def test_what_breaks_on_the_way_to_a_deployment_is_transient_too(emulator, operation, fault):
    """The SDK wraps most of what happens during an upload in exceptions of its own."""
    azureml.create_endpoint(endpoint(), Facts(commit="c"))
    emulator.faults.add(operation, count=None, **fault)
    with pytest.raises(Transient):
        create("blue")
    assert "deployment.put" not in written(emulator)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, (7, 7)),
        ({"Retry-After": HOUR_AHEAD}, (3000, 3600)),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, (0, 0)),
        ({"x-ms-retry-after-ms": "1500"}, (1.5, 1.5)),
        ({"retry-after-ms": "250", "Retry-After": "60"}, (0.25, 0.25)),
    ],
)
def test_how_long_azure_asks_to_wait_comes_with_the_failure(emulator, headers, seconds):
    if headers.get("Retry-After") == HOUR_AHEAD:
        headers = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)}
    emulator.faults.add("endpoint.get", status=429, code="TooManyRequests", message="Slow down.", headers=headers)
    with pytest.raises(Transient) as failure:
        azureml.observe(NAME)
    assert failure.value.retry_after is not None
    assert seconds[0] <= failure.value.retry_after <= seconds[1]


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "nan"}, {"Retry-After": "inf"}])
def test_without_a_number_or_date_there_is_no_wait(emulator, headers):
    emulator.faults.add("endpoint.get", status=503, headers=headers)
    with pytest.raises(Transient) as failure:
        azureml.observe(NAME)
    assert failure.value.retry_after is None


def test_an_operation_that_azure_accepted_and_failed_is_permanent_with_its_reason(emulator):
    emulator.faults.add("endpoint.put", operation={"code": "OutOfQuota", "message": "Not enough cores."})
    with pytest.raises(Permanent, match=r"Azure failed to create endpoint churn: \(OutOfQuota\) Not enough cores\."):
        azureml.create_endpoint(endpoint(), Facts(commit="c"))
    # The wreck is there now; a second try says so and does not touch it.
    emulator.requests.clear()
    with pytest.raises(Permanent, match="it is Failed"):
        azureml.create_endpoint(endpoint(), Facts(commit="c"))
    assert written(emulator) == []


def test_an_operation_that_never_ends_is_given_up_after_the_time_in_the_settings(emulator, monkeypatch):
    monkeypatch.setenv("AML_CANARY_OPERATION_TIMEOUT_SECONDS", "0.4")
    forget()
    emulator.faults.add("endpoint.put", operation="never_ends")
    with pytest.raises(Permanent, match=r"still busy \(Creating\) after 0 s.*AML_CANARY_OPERATION_TIMEOUT_SECONDS"):
        azureml.create_endpoint(endpoint(), Facts(commit="c"))
    forget()


def test_whoever_wants_to_hear_is_told_at_each_look_what_azure_is_at_and_for_how_long(emulator):
    emulator.pace({"*": {"reads": 10}})
    looks = []
    token = hearing.heard.set(lambda *look: looks.append(look))
    try:
        azureml.create_endpoint(endpoint(), Facts(commit="c"))
    finally:
        hearing.heard.reset(token)
        emulator.pace(pace="fast")
    assert len(looks) >= 2
    assert {(state, limit) for state, _, limit in looks} == {("Creating", settings().operation_timeout_seconds)}
    assert [seconds for _, seconds, _ in looks] == sorted(seconds for _, seconds, _ in looks)


def test_without_a_workspace_the_variables_to_set_are_named(emulator, monkeypatch):
    monkeypatch.delenv("AML_CANARY_WORKSPACE")
    monkeypatch.delenv("AML_CANARY_RESOURCE_GROUP")
    forget()
    with pytest.raises(Permanent, match="set AML_CANARY_RESOURCE_GROUP, AML_CANARY_WORKSPACE"):
        azureml.observe(NAME)
    forget()
