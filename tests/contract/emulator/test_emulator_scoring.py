"""The scoring door: who gets in, who answers, and what Azure's front door says when nobody can."""

from __future__ import annotations

import base64
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from aml_emulator.identity import Identity
from aml_emulator.settings import Settings

ENDPOINT, V1, V2 = "canary", [38.5, 22.0], [38.75, 22.25]


@pytest.fixture(scope="module")
def door(served: Any) -> Any:
    """The shared endpoint with one more deployment: `odd`, slow for as long as it is told, or failing."""
    served.deploy("slow", "v2-slow", environment_variables={"SLOW_SECONDS": "1.5"}, request_settings={"request_timeout_ms": 1000})
    served.deploy("broken", "v2-broken")
    return served


def raw(door: Any, data: bytes) -> bytes:
    address = urlsplit(door.emulator.scoring_url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def test_an_answer_carries_azures_headers(door: Any) -> None:
    response = door.score(x_request_id="mine", x_ms_client_request_id="abc-1")
    assert (response.status_code, response.json()) == (200, V1)
    assert response.headers["azureml-model-deployment"] == "blue"
    assert response.headers["server"] == "azureml-frontdoor"
    assert len(response.headers["x-request-id"]) == 36
    assert response.headers["x-ms-client-request-id"] == "abc-1"
    assert float(response.headers["x-ms-run-fn-exec-ms"]) >= 0
    assert response.headers["ms-azureml-model-time"].isdigit()


def test_a_client_request_id_is_cut_and_cleaned(door: Any) -> None:
    response = door.score(x_ms_client_request_id="a b<c>" + "d" * 100)
    assert response.headers["x-ms-client-request-id"] == "abc" + "d" * 37


def test_a_named_deployment_answers_whatever_the_weights_say(door: Any) -> None:
    assert door.score("green").json() == V2
    assert door.score("GREEN").headers["azureml-model-deployment"] == "green"
    assert door.score("purple").status_code == 404


@pytest.mark.parametrize(
    ("authorization", "text"),
    [(None, "key_auth_bad_header_forbidden"), ("Basic abc", "key_auth_bad_header_forbidden"), ("Bearer wrong", "key_auth_access_denied")],
)
def test_without_a_key_it_is_401(door: Any, authorization: str | None, text: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    response = requests.post(f"{door.emulator.scoring_url}/{ENDPOINT}/score", json={}, headers=headers, timeout=30)
    assert (response.status_code, response.text) == (401, text)


def test_keys_are_exchanged_one_at_a_time(door: Any) -> None:
    keys = door.client.online_endpoints.get_keys(ENDPOINT)
    door.client.online_endpoints.begin_regenerate_keys(ENDPOINT, key_type="secondary").result()
    after = door.client.online_endpoints.get_keys(ENDPOINT)
    assert after.primary_key == keys.primary_key
    assert after.secondary_key != keys.secondary_key
    statuses = {}
    for key in (keys.primary_key, keys.secondary_key, after.secondary_key):
        door.key = key
        statuses[key] = door.score().status_code
    door.key = keys.primary_key
    assert list(statuses.values()) == [200, 401, 200]


def test_an_error_of_the_model_is_424_and_says_what_it_was(door: Any) -> None:
    response = door.score("broken")
    assert response.status_code == 424
    assert response.headers["ms-azureml-model-error-statuscode"] == "500"
    assert response.headers["ms-azureml-model-error-reason"] == "model_error"
    assert response.headers["azureml-model-deployment"] == "broken"
    logs = door.client.online_deployments.get_logs("broken", ENDPOINT, lines=50)
    assert "the feature store is not reachable" in logs
    unreadable = requests.post(
        f"{door.emulator.scoring_url}/{ENDPOINT}/score", data=b"\xff", headers={"Authorization": f"Bearer {door.key}"}, timeout=30
    )
    assert unreadable.status_code == 424


def test_a_model_slower_than_the_request_timeout_is_408(door: Any) -> None:
    response = door.score("slow")
    assert (response.status_code, response.text) == (408, "upstream request timeout")


def test_far_more_requests_than_a_deployment_takes_are_429(door: Any) -> None:
    # One at a time, 1.5 s each, one waiting: of eight at once the others give up after max_queue_wait.
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: door.score("slow"), range(8)))
    refused = [response for response in responses if response.status_code == 429]
    assert len(refused) >= 6
    assert {response.headers["ms-azureml-model-error-reason"] for response in refused} == {"too_many_pending_request"}
    assert {response.status_code for response in responses} == {408, 429}


def test_a_burst_of_quick_requests_waits_its_turn(door: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: door.score("green"), range(40)))
    assert {response.status_code for response in responses} == {200}


def test_traffic_is_split_by_weight(door: Any, azure_stats: Any) -> None:
    door.traffic(blue=80, green=20)
    client = requests.Session()
    client.headers["Authorization"] = f"Bearer {door.key}"
    served = [client.post(f"{door.emulator.scoring_url}/{ENDPOINT}/score", json={"data": []}, timeout=30) for _ in range(400)]
    names = [response.headers["azureml-model-deployment"] for response in served]
    assert set(names) == {"blue", "green"}
    # 80 expected; six standard deviations either side.
    assert 32 < names.count("green") < 128
    counted = azure_stats()["deployments"]
    assert counted["green"] == {"200": names.count("green")}
    door.traffic(blue=100)


@pytest.fixture
def azure_stats(door: Any) -> Any:
    door.emulator.call("DELETE", "stats")
    return lambda: door.emulator.stats()["endpoints"][ENDPOINT]


def test_mirrored_copies_are_sent_and_their_answers_discarded(door: Any, azure_stats: Any) -> None:
    door.mirror(broken=50)
    answers = [door.score() for _ in range(60)]
    assert {(answer.status_code, answer.headers["azureml-model-deployment"]) for answer in answers} == {(200, "blue")}
    while "broken" not in azure_stats()["mirrored"]:
        pass
    mirrored = azure_stats()["mirrored"]["broken"]
    assert set(mirrored) == {"424"}
    assert mirrored["424"] <= 60
    door.mirror()


def test_a_request_that_names_its_deployment_is_never_mirrored(door: Any, azure_stats: Any) -> None:
    door.mirror(green=50)
    assert {door.score("blue").status_code for _ in range(30)} == {200}
    # What was copied would have come before this one, which waits for green as well.
    assert door.score("green").status_code == 200
    assert azure_stats()["mirrored"] == {}
    door.mirror()


def test_a_keep_alive_connection_and_pipelined_requests_are_answered_in_order(door: Any) -> None:
    def request(deployment: str, last: bool = False) -> bytes:
        body = b'{"data": [[1,1,1,1,1,1,1,1,1,1]]}'
        head = f"POST /{ENDPOINT}/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.key}\r\n"
        head += f"azureml-model-deployment: {deployment}\r\nContent-Length: {len(body)}\r\n"
        return (head + ("Connection: close\r\n" if last else "") + "\r\n").encode() + body

    received = raw(door, request("blue") + request("green") + request("blue", last=True))
    assert [line.split(b": ")[1] for line in received.split(b"\r\n") if line.startswith(b"azureml-model")] == [b"blue", b"green", b"blue"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /canary/score HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"POST /canary/score HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST /canary/score HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", b"400"),
        (b"POST /nobody/score HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /%00%ff/../x HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        (b"CONNECT canary:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"GET /canary/score HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", b"401"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"POST /canary/score HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST /canary/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\n", b"400"),
        (b"POST /canary/score HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /canary/score HTTP/1.1\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n", b"400"),
    ],
)
def test_hostile_input_gets_a_4xx_and_the_door_stays_open(door: Any, data: bytes, status: bytes) -> None:
    assert raw(door, data).split(b" ")[1] == status
    assert door.score().status_code == 200


def test_every_request_is_in_the_log_and_in_the_minutes_whoever_answered_it(door: Any, azure_stats: Any) -> None:
    seen = max((one["seq"] for one in door.emulator.call("GET", "scoring-log")["requests"]), default=0)
    key, door.key = door.key, "wrong"
    door.score()
    door.key = key
    asked = [(door.score(name).headers["x-request-id"]) for name in ("blue", "purple", "broken", "slow")]
    door.mirror(green=50)
    while "green" not in azure_stats()["mirrored"]:
        assert door.score().status_code == 200
    door.mirror()
    entries = [one for one in door.emulator.call("GET", f"scoring-log?since={seen}")["requests"] if one["endpoint"] == ENDPOINT]
    told = [(one["deployment"], one["status"], one["model_status"], one["mirrored"]) for one in entries]
    assert told[:5] == [
        ("", 401, 0, False), ("blue", 200, 200, False), ("", 404, 0, False), ("broken", 424, 500, False), ("slow", 408, 0, False),
    ]  # fmt: skip
    assert [one["request_id"] for one in entries[1:5]] == asked
    assert ("green", 200, 200, True) in told
    assert all((one["method"], one["path"]) == ("POST", "/score") for one in entries if not one["mirrored"])
    rows = door.emulator.call("GET", f"minutes?endpoint={ENDPOINT}")["minutes"]
    counted = {(row["deployment"], row["status"], row["status_class"]): 0 for row in rows}
    for row in rows:
        counted[row["deployment"], row["status"], row["status_class"]] += row["requests"]
    live = [one for one in entries if not one["mirrored"]]
    assert sum(counted.values()) == len(live)
    assert {("", 401, "4xx"), ("", 404, "4xx"), ("broken", 424, "4xx"), ("slow", 408, "4xx")} <= set(counted)
    assert {name for name, _, _ in counted} == {"", "blue", "broken", "slow"}


def test_logs_of_both_containers(door: Any) -> None:
    door.score("blue")
    logs = door.client.online_deployments.get_logs("blue", ENDPOINT, lines=2)
    head, _, tail = logs.partition("Container logs:\n")
    assert head.startswith("Instance status:\nSystemSetup: Succeeded\n")
    assert len(tail.splitlines()) == 2
    assert "POST /score 200" in tail
    storage = door.client.online_deployments.get_logs("blue", ENDPOINT, lines=9, container_type="storage-initializer")
    assert "Downloading model weights:1" in storage


def test_tokens_open_endpoints_that_are_set_to_tokens(door: Any) -> None:
    endpoints, key = door.client.online_endpoints, door.key
    try:
        for mode in ("aml_token", "aad_token"):
            endpoint = endpoints.get(ENDPOINT)
            endpoint.auth_mode = mode
            endpoints.begin_create_or_update(endpoint).result()
            assert door.score().status_code == 401
            door.key = endpoints.get_keys(ENDPOINT).access_token
            assert door.score().status_code == 200
    finally:
        door.key = key
        endpoint = endpoints.get(ENDPOINT)
        endpoint.auth_mode = "key"
        endpoints.begin_create_or_update(endpoint).result()


def test_a_token_opens_its_own_endpoint_until_it_has_expired(door: Any, session_arm: Any) -> None:
    emulator = door.emulator

    def status(endpoint: str, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(f"{emulator.scoring_url}/{endpoint}/score", json={}, headers=headers, timeout=30).status_code

    tokens = {}
    for name, mode in (("one", "AMLToken"), ("two", "AMLToken"), ("aad", "AADToken")):
        assert session_arm.put_endpoint(f"token-{name}", authMode=mode).status_code == 201
        if mode == "AMLToken":
            issued = session_arm.call("POST", f"onlineEndpoints/token-{name}/token").json()
            tokens[name] = issued["accessToken"]
            assert issued["expiryTimeUtc"] > issued["refreshAfterTimeUtc"] > time.time()
    tokens["aad"] = emulator.credential().get_token("https://ml.azure.com/.default").token
    tokens["arm"] = emulator.credential().get_token("https://management.azure.com/.default").token
    # None has a deployment, so whoever gets in is told just that.
    for endpoint in ("one", "two", "aad"):
        assert {name: status(f"token-{endpoint}", token) for name, token in tokens.items()} == {
            name: 404 if name == endpoint else 401 for name in tokens
        }
    assert session_arm.call("POST", "onlineEndpoints/token-one/listKeys").status_code == 400
    assert session_arm.call("POST", f"onlineEndpoints/{ENDPOINT}/token").status_code == 400


def test_an_expired_or_altered_token_is_none() -> None:
    identity = Identity(Settings(Path("nowhere")))
    token = identity.issue("https://ml.azure.com")
    assert identity.is_scoring_token(token, "https://ml.azure.com")
    assert not identity.is_scoring_token(identity.issue("https://ml.azure.com", lifetime=-1), "https://ml.azure.com")
    assert not identity.is_scoring_token(Identity(Settings(Path("nowhere"))).issue("https://ml.azure.com"), "https://ml.azure.com")
    head, _, signature = token.split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"aud": "https://ml.azure.com", "exp": 2**40}).encode()).decode().rstrip("=")
    assert not identity.is_scoring_token(f"{head}.{claims}.{signature}", "https://ml.azure.com")
