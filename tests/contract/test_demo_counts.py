"""What the demo and the rollouts' tests say of their requests is counted, against a server on loopback that answers as it is told."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from examples.demo.timeline import Looks
from examples.demo.traffic import SteadyTraffic


class Service(ThreadingHTTPServer):
    """Answers as `says`: a deployment and a status; no status hangs up. Counts what it answered."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.says: tuple[str, int] = ("blue", 200)
        self.answers: list[tuple[str, int]] = []


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        says = self.server.says
        self.server.answers.append(says)
        deployment, status = says
        if status:
            self.send_response(status)
            self.send_header("azureml-model-deployment", deployment)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def sent(service: Service, access: str = "key") -> SteadyTraffic:
    return SteadyTraffic(f"http://127.0.0.1:{service.server_port}/score", access, b"{}", rate=500.0).start()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "not within 30 s"
        time.sleep(0.005)


def test_every_request_is_counted_as_what_became_of_it(service: Service) -> None:
    traffic = sent(service)
    for says, kinds in [(("blue", 200), 1), (("green", 200), 2), (("green", 503), 3), (("", 0), 4)]:
        service.says = says
        until(lambda kinds=kinds: len((t := traffic.tally).answered) + len(t.lost) == kinds)  # type: ignore[misc]
    tally = traffic.stop()
    for deployment in ("blue", "green"):
        assert tally.answered[deployment] == service.answers.count((deployment, 200))
    assert tally.lost == {"HTTP 503": service.answers.count(("green", 503)), "RemoteDisconnected": service.answers.count(("", 0))}
    assert tally.sent == tally.total == len(service.answers)


def test_a_service_that_nobody_finds_loses_every_request() -> None:
    traffic = SteadyTraffic("http://127.0.0.1:0/score", "key", b"{}", 500.0).start()
    until(lambda: traffic.tally.lost.total() > 20)
    tally = traffic.stop()
    assert tally.answered == {}
    assert tally.sent == tally.lost.total()


def test_what_cannot_even_be_sent_is_lost_too_and_the_sender_goes_on(service: Service) -> None:
    traffic = sent(service, "a key\nof two lines")
    until(lambda: traffic.tally.lost["ValueError"] > 20)
    tally = traffic.stop()
    assert tally.sent == tally.lost.total()
    assert service.answers == []


def test_the_counts_of_a_moment_stay_as_they_were_then(service: Service) -> None:
    traffic = sent(service)
    until(lambda: traffic.tally.answered["blue"] > 20)
    service.says = ("green", 200)
    until(lambda: traffic.tally.answered["green"] > 0)
    moment = time.time()
    then = traffic.tally_at(moment)
    until(lambda: traffic.tally.answered["green"] > then.answered["green"] + 20)
    assert traffic.tally_at(moment) == then
    assert traffic.tally_at(moment - 3600).sent == 0
    assert traffic.stop().answered["green"] > then.answered["green"]


def test_what_was_live_is_what_the_looks_just_before_and_after_showed() -> None:
    looks = Looks()
    assert (looks.before(1.0), looks.after(1.0)) == ("no traffic", "no traffic")
    for moment, weights in [(10.0, "blue 100 %"), (11.0, "blue 100 %"), (12.0, "blue 90 % green 10 %"), (13.0, "green 100 %")]:
        looks.add(moment, weights)
    assert [looks.before(moment) for moment in (9.0, 10.5, 11.9, 12.5)] == ["blue 100 %"] * 3 + ["blue 90 % green 10 %"]
    assert [looks.after(moment) for moment in (9.0, 10.5, 11.0)] == ["blue 100 %"] * 3
    assert looks.after(11.5) == "blue 90 % green 10 %"
    assert [looks.after(moment) for moment in (12.5, 13.0, 99.0)] == ["green 100 %"] * 3
