"""No request is ever lost: clients keep asking while weights, sizes, versions and deployments change without a pause.

20,000 requests, a minute or two on two shared processors; EMULATOR_REQUESTS says otherwise.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import threading
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest

REQUESTS = int(os.environ.get("EMULATOR_REQUESTS", "20000"))
CLIENTS = 6
CODE = "def init():\n    pass\ndef run(data):\n    return {!r}\n"
# What azureml-model-deployment may say of whom, by answer.
ANSWERS = {b'"blue"': "blue", b'"green"': "green", b'"newer green"': "green"}


class Clients:
    """Each keeps one connection, sends the next request when it has the last answer, and notes what it got."""

    def __init__(self, azure: Any):
        self.azure, self.sent = azure, 0
        self.results: Counter[tuple[bytes, bytes, bytes]] = Counter()
        self.broken: list[str] = []
        self.enough = threading.Event()
        self.changed = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)

    async def _all(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(CLIENTS)))

    async def _one(self) -> None:
        address = urlsplit(self.azure.emulator.scoring_url)
        body = json.dumps({"data": [1]}).encode()
        head = f"POST /canary/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.azure.key}\r\nContent-Length: {len(body)}\r\n"
        request = head.encode() + b"Content-Type: application/json\r\n\r\n" + body
        try:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            while not (self.enough.is_set() and self.changed.is_set()):
                self.sent += 1
                writer.write(request)
                lines = (await reader.readuntil(b"\r\n\r\n")).lower()
                answer = await reader.readexactly(int(_header(lines, b"content-length")))
                self.results[lines[9:12], _header(lines, b"azureml-model-deployment"), answer.strip()] += 1
                if self.sent >= REQUESTS:
                    self.enough.set()
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.broken.append(repr(error))
            self.enough.set()


def _header(lines: bytes, name: bytes) -> bytes:
    return lines.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]


@pytest.mark.timeout(900)
def test_no_request_of_thousands_is_lost_while_everything_changes(azure: Any) -> None:
    settings = {"request_timeout_ms": 60_000, "max_concurrent_requests_per_instance": CLIENTS}

    def deploy(name: str, says: str, count: int) -> None:
        azure.deploy(name, code=CODE.format(says), count=count, request_settings=settings)

    azure.create_endpoint()
    deploy("blue", "blue", 1)
    azure.traffic(blue=100)
    azure.emulator.call("DELETE", "stats")
    clients, rounds = Clients(azure), 0
    clients.thread.start()
    try:
        for rounds in itertools.count(1):  # noqa: B007  told at the end
            deploy("green", "green", 1)
            for weight in (5, 50, 100):
                azure.traffic(blue=100 - weight, green=weight)
            # Scaled up, replaced by a newer version with fewer processes, scaled; the other is deleted, which nobody needs now.
            deploy("green", "green", 2)
            deploy("green", "newer green", 1)
            azure.delete_deployment("blue")
            deploy("blue", "blue", 1)
            azure.traffic(blue=100)
            azure.delete_deployment("green")
            if clients.enough.is_set():
                break
    finally:
        clients.changed.set()
        clients.enough.set()
        clients.thread.join()
    assert clients.broken == []
    assert {(status, ANSWERS[answer].encode() == deployment) for status, deployment, answer in clients.results} == {(b"200", True)}
    assert {answer for _, _, answer in clients.results} == set(ANSWERS)
    assert sum(clients.results.values()) == clients.sent >= REQUESTS
    # And the emulator counted each of them exactly once.
    counted = azure.emulator.stats()["endpoints"]["canary"]
    assert counted["total"] == clients.sent
    assert {status for statuses in counted["deployments"].values() for status in statuses} == {"200"}
    sys.stderr.write(f"{clients.sent} requests over {rounds} rounds of changes, none lost\n")
