"""Prometheus as a source, over real HTTP on loopback, with answers as its documentation has them, byte for byte.

No Prometheus is asked: what it makes of an expression is not tested here, only what is sent and what is made of each answer.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from aml_canary.domain.judge.minutes import Arm
from aml_canary.errors import Permanent, Transient
from aml_canary.gateways.metrics import prometheus_api, source
from aml_canary.gateways.metrics.prometheus import Prometheus
from aml_canary.settings import settings

TOKEN = "glsa_not/so+secret"
# 2015-07-01T20:10:00Z, in minutes since the epoch.
AT = 23_929_690
EMPTY = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


class World(ThreadingHTTPServer):
    """Answers `requests` and `latency` by which expression comes, until `refusals` are used up first: (status, headers, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.latency = EMPTY, EMPTY
        self.refusals: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: World

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: value for name, [value] in parse_qs(body, strict_parsing=True).items()}
        self.server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, form))
        if self.server.refusals:
            status, headers, said = self.server.refusals.pop(0)
        else:
            status, headers, said = 200, {}, self.server.latency if "bucket" in form["query"] else self.server.requests
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[World]:
    world = World()
    thread = threading.Thread(target=world.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield world
    finally:
        world.shutdown()
        world.server_close()
        thread.join()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with serving() as served:
        monkeypatch.setenv("AML_CANARY_METRICS", "prometheus")
        monkeypatch.setenv("AML_CANARY_PROMETHEUS_URL", served.url + "/")
        settings.cache_clear()
        yield served
    settings.cache_clear()


@pytest.fixture
def setting(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(name: str, value: str) -> None:
        monkeypatch.setenv(f"AML_CANARY_{name.upper()}", value)
        settings.cache_clear()

    return put


def end(minute: int) -> int:
    """When Prometheus looks at a minute: in seconds, when it is over."""
    return (minute + 1) * 60


def matrix(*series: tuple[dict[str, str], dict[int, str]], **more: Any) -> bytes:
    result = [{"metric": labels, "values": [[end(at), value] for at, value in values.items()]} for labels, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}, **more}).encode()


def seen(*names: str, first: int = AT, last: int = AT + 2) -> dict[str, dict[int, Arm | None]]:
    found: dict[str, dict[int, Arm | None]] = dict(source().minutes("churn", names, first, last))
    return found


def test_the_documented_answer_is_read_byte_for_byte(world):
    world.requests = b"""{
   "status" : "success",
   "data" : {
      "resultType" : "matrix",
      "result" : [
         {
            "metric" : {
               "deployment" : "blue",
               "code" : "200"
            },
            "values" : [
               [ 1435781460, "31" ],
               [ 1435781520.000, "28.999999999999996" ],
               [ 1435781580, "0" ]
            ]
         },
         {
            "metric" : {
               "deployment" : "blue",
               "code" : "424"
            },
            "values" : [
               [ 1435781520, "1.0000000000000002" ],
               [ 1435781580, "-0.4" ]
            ]
         }
      ]
   }
}"""
    assert end(AT) == 1435781460
    assert seen("blue")["blue"] == {AT: Arm({200: 31}), AT + 1: Arm({200: 29, 424: 1}), AT + 2: Arm()}


def test_each_minute_is_asked_for_at_its_end_and_once_and_by_its_names(world, setting):
    setting("prometheus_token", TOKEN)
    seen("blue", "green", first=AT, last=AT + 60)
    assert [path for path, _, _ in world.asked] == ["/api/v1/query_range"] * 2
    for _, headers, form in world.asked:
        assert headers["authorization"] == f"Bearer {TOKEN}"
        assert (form["start"], form["end"], form["step"]) == (str(end(AT)), str(end(AT + 60)), "60")
        assert 'endpoint="churn"' in form["query"]
        assert 'deployment=~"blue|green"' in form["query"]
        assert "$" not in form["query"]


def test_without_a_token_none_is_sent(world, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen("blue")
    assert "authorization" not in world.asked[0][1]


def test_an_expression_of_ones_own_is_sent_as_it_is_but_for_the_names(world, setting):
    setting("prometheus_requests", 'label_replace(calls{e="$endpoint", d=~"^($deployments)$"}, "code", "$1", "status", "(.*)")')
    setting("prometheus_latency", "")
    seen("blue")
    assert [form["query"] for _, _, form in world.asked] == [
        'label_replace(calls{e="churn", d=~"^(blue)$"}, "code", "$1", "status", "(.*)")'
    ]


@pytest.mark.parametrize("name", ['blue"} or vector(1)', "blue|.*", "", "bl$ue"])
def test_a_name_that_could_be_more_than_a_name_is_never_sent(world, name):
    with pytest.raises(Permanent, match="is no name of an endpoint or a deployment"):
        seen("green", name)
    assert world.asked == []


def test_classes_of_statuses_count_as_their_first(world):
    world.requests = matrix(({"deployment": "blue", "code": "2xx"}, {AT: "9"}), ({"deployment": "blue", "code": "5XX"}, {AT: "2"}))
    assert seen("blue", last=AT)["blue"] == {AT: Arm({200: 9, 500: 2})}


def test_who_is_not_scraped_any_more_is_a_gap_and_who_was_not_asked_yet_is_not(world):
    world.requests = matrix(
        ({"deployment": "blue", "code": "200"}, {AT: "5", AT + 1: "5", AT + 3: "5"}),
        ({"deployment": "green", "code": "200"}, {AT + 1: "5", AT + 4: "5"}),
    )
    found = seen("blue", "green", "red", last=AT + 5)
    five = Arm({200: 5})
    assert list(found["blue"].values()) == [five, five, None, five, None, None]
    assert list(found["green"].values()) == [Arm(), five, None, None, five, None]
    # In the third minute and the last, nobody knows anything of anybody.
    assert list(found["red"].values()) == [Arm(), Arm(), None, Arm(), Arm(), None]


def test_nothing_at_all_is_a_gap_for_everybody(world):
    assert seen("blue", "green", last=AT) == {"blue": {AT: None}, "green": {AT: None}}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_no_number_is_as_if_it_were_not_there(world, value):
    world.requests = matrix(({"deployment": "blue", "code": "200"}, {AT: "5", AT + 1: value, AT + 2: "6"}))
    assert seen("blue")["blue"] == {AT: Arm({200: 5}), AT + 1: None, AT + 2: Arm({200: 6})}


def test_values_outside_of_what_was_asked_for_are_not_taken(world):
    world.requests = matrix(({"deployment": "blue", "code": "200"}, {AT - 1: "5", AT: "6", AT + 1: "7"}))
    assert seen("blue", last=AT)["blue"] == {AT: Arm({200: 6})}


def test_buckets_become_percentiles_in_milliseconds(world, setting):
    def counted(*counts: str) -> bytes:
        return matrix(*(({"deployment": "blue", "le": le}, {AT: n}) for le, n in zip(("0.1", "0.2", "0.4", "+Inf"), counts, strict=True)))

    world.requests = matrix(({"deployment": "blue", "code": "200"}, {AT: "100"}))
    world.latency = counted("40", "80", "96", "100")
    arm = seen("blue", last=AT)["blue"][AT]
    # The 50th of 100 is the 10th of 40 between 100 and 200 ms; the 95th the 15th of 16 between 200 and 400; the 99th is above all bounds.
    assert arm is not None
    assert arm.percentiles == pytest.approx({50: 125.0, 90: 325.0, 95: 387.5, 99: 400.0})
    setting("prometheus_latency_unit", "milliseconds")
    arm = seen("blue", last=AT)["blue"][AT]
    assert arm is not None
    assert arm.percentiles == pytest.approx({50: 0.125, 90: 0.325, 95: 0.3875, 99: 0.4})
    # What `increase` leaves: a bucket below a smaller one, and no request at all.
    world.latency = counted("40", "39.9", "96", "100")
    assert seen("blue", last=AT)["blue"][AT] is not None
    world.latency = counted("0", "0", "0", "0")
    assert seen("blue", last=AT)["blue"] == {AT: Arm({200: 100})}
    world.latency = counted("NaN", "NaN", "NaN", "NaN")
    assert seen("blue", last=AT)["blue"] == {AT: Arm({200: 100})}


def test_percentiles_may_come_ready_made(world):
    world.requests = matrix(({"deployment": "blue", "code": "200"}, {AT: "10", AT + 1: "0"}))
    world.latency = matrix(
        ({"deployment": "blue", "quantile": "0.5"}, {AT: "0.012", AT + 1: "0.012"}),
        ({"deployment": "blue", "quantile": "0.99"}, {AT: "0.5"}),
        ({"deployment": "blue", "quantile": "0.95"}, {AT: "NaN"}),
        ({"deployment": "blue", "quantile": "0.75"}, {AT: "0.1"}),
    )
    assert seen("blue", last=AT + 1)["blue"] == {AT: Arm({200: 10}, {50: 12.0, 99: 500.0}), AT + 1: Arm()}


def test_a_part_of_the_data_is_not_taken_for_the_whole(world):
    world.requests = matrix(
        ({"deployment": "blue", "code": "200"}, {AT: "5"}), warnings=["No StoreAPIs matched for this query", "remote read: timeout"]
    )
    with pytest.raises(Transient, match=r"Prometheus has only a part of the data: No StoreAPIs matched for this query; remote read"):
        seen("blue")


def test_what_prometheus_thinks_of_an_expression_is_logged_and_its_data_taken(world, caplog):
    world.requests = matrix(
        ({"deployment": "blue", "code": "200"}, {AT: "5"}),
        warnings=["PromQL warning: vector contains histograms"],
        infos=["PromQL info: metric might not be a counter"],
    )
    with caplog.at_level(logging.WARNING):
        assert seen("blue", last=AT)["blue"] == {AT: Arm({200: 5})}
    assert "AML_CANARY_PROMETHEUS_REQUESTS: PromQL warning: vector contains histograms" in caplog.text


@pytest.mark.parametrize(
    ("status", "headers", "wait"), [(503, {}, None), (429, {"Retry-After": "7"}, 7), (500, {"Retry-After": "soon"}, None), (502, {}, None)]
)
def test_what_may_work_in_a_moment_is_transient_and_asked_once(world, status, headers, wait):
    world.refusals = [(status, headers, b'{"status":"error","errorType":"timeout","error":"query timed out"}')]
    with pytest.raises(Transient, match=f"Prometheus answered {status} at http://127") as failure:
        seen("blue")
    assert failure.value.retry_after == wait
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (
            400,
            b'{"status":"error","errorType":"bad_data","error":"invalid parameter \\"query\\": 1:5: parse error: unexpected\\n end of input"}',
            r'Check AML_CANARY_PROMETHEUS_REQUESTS: invalid parameter "query": 1:5: parse error: unexpected end of input',
        ),
        (422, b'{"status":"error","errorType":"execution","error":"found duplicate series"}', "REQUESTS: found duplicate series"),
        (422, b"not JSON", "REQUESTS: not JSON"),
        (401, b"", "Check AML_CANARY_PROMETHEUS_TOKEN"),
        (403, b"", "Check AML_CANARY_PROMETHEUS_TOKEN"),
        (404, b"404 page not found", "Check AML_CANARY_PROMETHEUS_URL"),
        (302, b"", "Check AML_CANARY_PROMETHEUS_URL"),
        (200, b"<html>", "What answered is not Prometheus: it sent no JSON"),
        (200, b'["success"]', "What answered is not Prometheus: it tells of no success"),
        (200, b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', "is not a matrix"),
        (200, b'{"status":"success"}', "is not a matrix"),
        (200, matrix(({"code": "200"}, {AT: "1"})), "REQUESTS gives has no label `deployment`, but code: put it under"),
        (200, matrix(({"deployment": "blue"}, {AT: "1"})), "REQUESTS gives has no label `code`, but deployment"),
        (200, matrix(({"deployment": "blue", "code": "OK"}, {AT: "1"})), "label `code` of AML_CANARY_PROMETHEUS_REQUESTS is 'OK'"),
    ],
)
def test_what_would_fail_again_is_permanent_and_says_what_to_check(world, setting, status, body, told):
    setting("prometheus_token", TOKEN)
    world.refusals = [(status, {"Location": world.url}, body)]
    with pytest.raises(Permanent, match=told) as failure:
        seen("blue")
    assert TOKEN not in str(failure.value)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"deployment": "blue"}, "LATENCY gives has no label `le`"),
        ({"deployment": "blue", "le": "much"}, "label `le` of AML_CANARY_PROMETHEUS_LATENCY is 'much'"),
        ({"le": "1"}, "LATENCY gives has no label `deployment`"),
    ],
)
def test_latencies_that_cannot_be_read_are_permanent(world, labels, told):
    world.latency = matrix((labels, {AT: "1"}))
    with pytest.raises(Permanent, match=told):
        seen("blue")


def test_an_answer_without_end_is_not_read_to_its_end(world, monkeypatch):
    world.requests = matrix(({"deployment": "blue", "code": "200"}, {AT + n: "5" for n in range(100)}))
    monkeypatch.setattr(prometheus_api, "BODY_BYTES", 1000)
    with pytest.raises(Permanent, match=r"larger than 1000 bytes\. Check AML_CANARY_PROMETHEUS_REQUESTS"):
        seen("blue")


def test_nobody_there_is_transient(setting):
    with serving() as gone:
        url = gone.url
    setting("prometheus_url", url)
    with pytest.raises(Transient, match=r"Prometheus did not answer at http://127.* \(ConnectionError\)"):
        seen("blue")


def test_without_an_address_the_variable_to_set_is_named(setting):
    setting("prometheus_url", "")
    with pytest.raises(Permanent, match="set AML_CANARY_PROMETHEUS_URL"):
        source()


def test_a_minute_is_whole_a_minute_after_its_end(world):
    assert Prometheus.lag_minutes == 1
    assert isinstance(source(), Prometheus)
