"""Traffic as the gateway changes it: one PUT, only over what was seen, only to what is ready, and read back before it counts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from aml_canary.domain.facts import to_tags
from aml_canary.domain.observed import Facts, Observed
from aml_canary.errors import ForeignChange, Permanent, Transient
from aml_canary.gateways import azureml
from aml_canary.gateways.azureml.client import client
from aml_canary.gateways.scoring import score
from aml_emulator.process import RunningEmulator
from tests.contract.azure_world import NAME, create, endpoint, facts, last_body, written
from tests.contract.conftest import forget

BODY = b'{"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}'
LATER = "2026-02-02T00:00:00+00:00"
RUNS = frozenset({"run-1"})


@pytest.fixture(scope="module")
def served(installation: dict[str, str], aml_emulator: RunningEmulator) -> Iterator[RunningEmulator]:
    """Blue (v1) and green (v2), and a third one that never came up."""
    aml_emulator.reset()
    azureml.create_endpoint(endpoint(), Facts(commit="c"))
    create("blue", "v1")
    create("green", "v2")
    aml_emulator.faults.add("deployment.put", name="red", operation={"code": "Crashed", "message": "No."})
    with pytest.raises(Permanent):
        create("red", "v2")
    yield aml_emulator
    aml_emulator.reset()


def by_hand(traffic: dict[str, int], mirror: dict[str, int] | None = None, tags: dict[str, str] | None = None) -> None:
    """As somebody else changes an endpoint, with Microsoft's client."""
    entity = client().online_endpoints.get(NAME)
    entity.traffic, entity.mirror_traffic = traffic, mirror or {}
    entity.tags = entity.tags if tags is None else tags
    client().online_endpoints.begin_create_or_update(entity).result()


@pytest.fixture
def emulator(served: RunningEmulator) -> RunningEmulator:
    """All traffic on blue, one tag of somebody else's, nothing counted yet."""
    served.faults.clear()
    served.pace(pace="fast")
    by_hand({"blue": 100}, tags={"team": "research"})
    served.requests.clear()
    return served


def shift(seen: Observed, weights: dict[str, int], mirror: dict[str, int] | None = None, **values: object) -> Observed:
    return azureml.shift_traffic(seen, weights, mirror or {}, facts(**values), {"from": "manifest"})


def test_a_shift_is_one_put_with_the_facts_in_it_and_everything_else_as_it_was(emulator):
    before = client().online_endpoints.get(NAME)
    now = shift(azureml.observe(NAME), {"blue": 90, "green": 10}, stable={"blue": 100})
    assert written(emulator) == ["endpoint.put"]
    assert now.traffic == {"blue": 90, "green": 10}
    assert now.facts == facts(stable={"blue": 100})
    after = client().online_endpoints.get(NAME)
    assert after.tags == {"team": "research", "from": "manifest", **to_tags(facts(stable={"blue": 100}))}
    for field in ("auth_mode", "description", "location", "public_network_access", "scoring_uri"):
        assert getattr(after, field) == getattr(before, field)
    assert after.identity.type == before.identity.type


def test_zero_weights_are_not_sent(emulator):
    shift(azureml.observe(NAME), {"blue": 0, "green": 100})
    assert last_body(emulator, "endpoint.put")["properties"]["traffic"] == {"green": 100}


def test_the_same_step_once_more_writes_nothing(emulator):
    """A try that got through, and whose answer was lost, is followed by this."""
    seen = azureml.observe(NAME)
    shift(seen, {"blue": 90, "green": 10})
    emulator.requests.clear()
    assert shift(seen, {"blue": 90, "green": 10}).traffic == {"blue": 90, "green": 10}
    assert written(emulator) == []


def test_a_shift_whose_answer_was_lost_while_azure_was_still_at_it_is_waited_for(emulator):
    seen = azureml.observe(NAME)
    emulator.pace({"endpoint.update": {"seconds": 1}})
    entity = client().online_endpoints.get(NAME)
    entity.traffic, entity.tags = {"blue": 90, "green": 10}, {**entity.tags, **to_tags(facts())}
    client().online_endpoints.begin_create_or_update(entity)
    emulator.requests.clear()
    assert shift(seen, {"blue": 90, "green": 10}).traffic == {"blue": 90, "green": 10}
    assert written(emulator) == []


def test_the_same_weights_by_another_run_are_written_because_the_facts_are_not_the_same(emulator):
    seen = azureml.observe(NAME)
    shift(seen, {"blue": 100}, run="another")
    assert written(emulator) == ["endpoint.put"]
    assert azureml.observe(NAME).facts.run == "another"


@pytest.mark.parametrize("foreign", [({"blue": 50, "green": 50}, {}), ({"blue": 100}, {"green": 10})])
def test_a_change_by_somebody_else_in_between_stops_the_shift_and_nothing_is_written(emulator, foreign):
    seen = azureml.observe(NAME)
    by_hand(*foreign)
    emulator.requests.clear()
    with pytest.raises(ForeignChange, match=r"somebody else changed it\. Nothing was written\."):
        shift(seen, {"blue": 90, "green": 10})
    assert written(emulator) == []


@pytest.mark.parametrize("weights", [{"blue": 90}, {"blue": 90, "green": 11}, {}])
def test_weights_that_do_not_total_100_are_never_written(emulator, weights):
    with pytest.raises(Permanent, match="a live endpoint needs 100"):
        shift(azureml.observe(NAME), weights)
    assert written(emulator) == []


@pytest.mark.parametrize(
    ("weights", "mirror", "named"),
    [
        ({"blue": 90, "red": 10}, {}, "red"),
        ({"blue": 90, "teal": 10}, {}, "teal"),
        ({"blue": 100}, {"red": 10}, "red"),
    ],
)
def test_weight_or_mirror_for_what_is_not_ready_is_never_written(emulator, weights, mirror, named):
    with pytest.raises(Permanent, match=rf"{named} is not there, or not Succeeded\. Nothing was written\."):
        shift(azureml.observe(NAME), weights, mirror)
    assert written(emulator) == []


def test_a_mirror_is_set_in_the_same_put(emulator):
    now = shift(azureml.observe(NAME), {"blue": 100}, {"green": 10})
    assert (now.traffic, now.mirror_traffic) == ({"blue": 100}, {"green": 10})
    assert written(emulator) == ["endpoint.put"]


def test_old_weights_that_azure_still_shows_after_it_was_done_are_waited_out(emulator):
    emulator.faults.add("endpoint.put", stale_reads=4)
    assert shift(azureml.observe(NAME), {"blue": 90, "green": 10}).traffic == {"blue": 90, "green": 10}
    assert any(request.get("stale") for request in emulator.requests.list("endpoint.get"))
    assert written(emulator) == ["endpoint.put"]


def test_weights_that_never_show_are_worth_another_try(emulator, monkeypatch):
    monkeypatch.setattr("aml_canary.gateways.azureml.waiting._SHOWN_WITHIN_SECONDS", 0.2)
    emulator.faults.add("endpoint.put", stale_reads=40)
    with pytest.raises(Transient, match="still shows the old"):
        shift(azureml.observe(NAME), {"blue": 90, "green": 10})
    while client().online_endpoints.get(NAME).traffic["blue"] == 100:
        pass  # until what is stale is used up


def test_a_shift_that_azure_accepted_and_failed_is_told_in_azures_words(emulator):
    emulator.faults.add("endpoint.put", operation={"code": "RoutingFailed", "message": "The router said no."})
    with pytest.raises(Permanent, match=r"set the traffic of churn to blue=90 green=10: \(RoutingFailed\) The router said no\."):
        shift(azureml.observe(NAME), {"blue": 90, "green": 10})
    assert azureml.observe(NAME).traffic == {"blue": 100}


def test_an_endpoint_that_is_being_updated_is_observed_once_that_is_done(emulator):
    emulator.pace({"endpoint.update": {"seconds": 0.5}})
    entity = client().online_endpoints.get(NAME)
    entity.traffic = {"blue": 60, "green": 40}
    client().online_endpoints.begin_create_or_update(entity)
    assert client().online_endpoints.get(NAME).provisioning_state == "Updating"
    now = azureml.observe(NAME)
    assert (now.state, now.traffic) == ("Succeeded", {"blue": 60, "green": 40})


# --- the way back -----------------------------------------------------------------------------------------------------


def begun(**values: object) -> Observed:
    return shift(
        azureml.observe(NAME), {"blue": 50, "green": 50}, **{"stable": {"blue": 100}, "traffic": {"blue": 50, "green": 50}, **values}
    )


def back(runs: frozenset[str] = RUNS) -> Observed | None:
    return azureml.put_traffic_back(NAME, runs, LATER)


def test_traffic_goes_back_in_one_put_that_says_so(emulator):
    begun()
    emulator.requests.clear()
    now = back()
    assert now is not None
    assert now.traffic == {"blue": 100}
    assert now.facts == replace(facts(step="rolled-back", stable={"blue": 100}, traffic={"blue": 100}, rollbacks=1), since=LATER)
    assert client().online_endpoints.get(NAME).tags["team"] == "research"
    assert written(emulator) == ["endpoint.put"]


def test_traffic_that_is_back_already_is_left_alone(emulator):
    begun()
    back()
    emulator.requests.clear()
    assert back() is None
    assert written(emulator) == []


def test_a_mirror_is_taken_off_on_the_way_back(emulator):
    shift(azureml.observe(NAME), {"blue": 100}, {"green": 10}, stable={"blue": 100})
    now = back()
    assert now is not None
    assert (now.traffic, now.mirror_traffic) == ({"blue": 100}, {})


@pytest.mark.parametrize("whose", [{"run": "somebody"}, {"stable": {}}])
def test_only_what_the_rollouts_own_runs_have_shifted_is_put_back(emulator, whose):
    begun(**whose)
    emulator.requests.clear()
    assert back() is None
    assert written(emulator) == []


def test_an_endpoint_that_is_gone_needs_no_way_back(installation):
    assert azureml.put_traffic_back("gone", RUNS, "now") is None


@pytest.mark.parametrize("stable", [{"red": 100}, {"blue": 50, "teal": 50}])
def test_traffic_never_goes_back_to_what_is_gone_or_unhealthy_and_somebody_is_called(emulator, stable):
    begun(stable=stable)
    emulator.requests.clear()
    with pytest.raises(Permanent, match=r"^HOLD: churn should go back to .*(red|teal) is gone or not Succeeded.*left at blue=50 green=50"):
        back()
    assert written(emulator) == []


def test_where_stable_is_gone_and_somebody_has_set_other_traffic_that_stays(emulator):
    begun(stable={"red": 100})
    by_hand({"blue": 100})
    emulator.requests.clear()
    assert back() is None
    assert written(emulator) == []


def test_traffic_of_which_somebody_left_the_canary_a_part_goes_back(emulator):
    begun()
    by_hand({"blue": 70, "green": 30})
    now = back()
    assert now is not None
    assert now.traffic == {"blue": 100}


# --- what traffic protects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("traffic", "mirror"), [({"blue": 90, "green": 10}, {}), ({"blue": 100}, {"green": 10})])
def test_a_deployment_with_live_or_mirrored_traffic_is_not_deleted(emulator, traffic, mirror):
    by_hand(traffic, mirror)
    emulator.requests.clear()
    with pytest.raises(ForeignChange, match=r"Refused to delete deployment green of churn: it carries .*Nothing was written"):
        azureml.delete_deployment(NAME, "green")
    assert written(emulator) == []


# --- scoring ------------------------------------------------------------------------------------------------------------


def test_a_named_deployment_answers_past_the_weights(emulator):
    live, access = azureml.observe(NAME), azureml.scoring_access(NAME)
    answers = {name: score(live.scoring_uri, access, BODY, deployment=name) for name in ("blue", "green")}
    assert {name: (a.status, a.deployment, a.body) for name, a in answers.items()} == {
        "blue": (200, "blue", "[38.5, 22.0]"),
        "green": (200, "green", "[38.75, 22.25]"),
    }
    assert all(a.milliseconds > 0 for a in answers.values())
    assert score(live.scoring_uri, access, BODY).deployment == "blue"


def test_an_answer_that_is_an_error_is_an_answer(emulator):
    live, access = azureml.observe(NAME), azureml.scoring_access(NAME)
    assert score(live.scoring_uri, "no key", BODY, deployment="green").status == 401
    assert score(live.scoring_uri, access, b"nonsense", deployment="green").status >= 400


def test_an_endpoint_that_is_too_busy_is_transient_and_says_for_how_long(emulator):
    with local_server("429 Too Many Requests", b"", "Retry-After: 3") as uri, pytest.raises(Transient) as failure:
        score(uri, "key", BODY)
    assert failure.value.retry_after == 3


def test_an_answer_is_read_as_utf_8_whatever_the_header_leaves_out():
    with local_server("200 OK", '["ÄÖ"]'.encode(), "Content-Type: application/json") as uri:
        assert score(uri, "key", BODY).body == '["ÄÖ"]'


@contextlib.contextmanager
def local_server(status: str, body: bytes, header: str) -> Iterator[str]:
    """Answers one request with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as request:
                while request.readline().strip():
                    pass
                request.read(len(BODY))
                connection.sendall(f"HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/churn/score"
        thread.join(10)


def test_an_endpoint_that_does_not_answer_is_transient():
    with pytest.raises(Transient, match="did not answer"):
        score("http://127.0.0.1:9/churn/score", "key", BODY, timeout_seconds=5)


def test_after_a_timeout_in_the_middle_of_a_shift_a_retry_goes_on(emulator, monkeypatch):
    seen = azureml.observe(NAME)
    emulator.pace({"endpoint.update": {"seconds": 1.5}})
    monkeypatch.setenv("AML_CANARY_OPERATION_TIMEOUT_SECONDS", "0.3")
    forget()
    with pytest.raises(Permanent, match=r"still busy \(Updating\)"):
        shift(seen, {"blue": 90, "green": 10})
    monkeypatch.delenv("AML_CANARY_OPERATION_TIMEOUT_SECONDS")
    forget()
    assert shift(seen, {"blue": 90, "green": 10}).traffic == {"blue": 90, "green": 10}
    assert written(emulator) == ["endpoint.put"]


def test_no_facts_are_lost_when_nothing_was_ever_written(emulator):
    assert azureml.observe(NAME).facts == Facts()
