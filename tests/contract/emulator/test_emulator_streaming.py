"""Bodies pass through the scoring door while they come, and whoever is slow or goes away costs nobody anything.

The door runs in the test's own process here, with a server of the test's behind it, so that each event can be awaited.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from aml_emulator.door import MAX_BODY, Door
from aml_emulator.faults import Faults
from aml_emulator.flow import HIGH
from aml_emulator.identity import Identity
from aml_emulator.instances import Instance
from aml_emulator.pool import Limits, Pool
from aml_emulator.routing import Route, Routing
from aml_emulator.scoring import MAX_COPY, Scoring
from aml_emulator.stats import Stats

Model = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BIG = 8 * 1024 * 1024
LIMIT = 20


class World:
    """A door with one endpoint, whose one deployment is a coroutine of the test."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}
        self.stats, self.routing = Stats(), Routing(cast(Identity, None), seed=1)
        self.port = 0
        self.door: Door

    async def deployment(self, name: str, model: Model, timeout: float = LIMIT) -> asyncio.Server:
        server = await asyncio.start_server(model, "127.0.0.1", 0)
        instance = Instance(1, server.sockets[0].getsockname()[1], cast(Any, None), asyncio.get_running_loop().create_future())
        self.pools[name] = Pool("canary", name, Limits(request_timeout=timeout), [instance])
        live, mirror = self.pools["blue"], self.pools.get("green")
        self.routing.routes["canary"] = Route("canary", "Key", ("key",), self.pools, (live,), (100,), mirror, 100)
        return server

    async def connect(self, head: str, method: str = "POST") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{method} /canary/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n{head}\r\n\r\n".encode())
        return reader, writer

    async def until_free(self, name: str = "blue") -> None:
        await asyncio.wait_for(self.pools[name].quiet(), LIMIT)


@asynccontextmanager
async def world(model: Model, idle: float = 120, timeout: float = LIMIT) -> AsyncIterator[World]:
    made = World()
    door = made.door = Door(Scoring(made.routing, made.stats, Faults()), idle)
    made.port = await door.start(socket.create_server(("127.0.0.1", 0)))
    server = await made.deployment("blue", model, timeout)
    try:
        yield made
    finally:
        await door.stop()
        server.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(cast(Any, test()), LIMIT))


async def head_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """The status of an answer, or 0 for a request; and the headers of either."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    status = int(lines[0].split()[1]) if lines[0].startswith("HTTP") else 0
    return status, dict(line.lower().split(": ", 1) for line in lines[1:] if line)


async def read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A model that answers how many bytes it was sent."""
    _, headers = await head_of(reader)
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await read_chunked(reader)
    answer = b"%d" % len(body)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))
    writer.close()


def test_a_large_request_reaches_the_model_before_it_has_ended() -> None:
    async def test() -> None:
        first = asyncio.Event()

        async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            await reader.readexactly(100_000)
            first.set()
            await reader.readexactly(100_000)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

        async with world(model) as made:
            reader, writer = await made.connect("Content-Length: 200000")
            writer.write(b"x" * 100_000)
            await first.wait()
            writer.write(b"x" * 100_000)
            assert (await head_of(reader))[0] == 200

    run(test)


def test_an_answer_reaches_the_client_before_it_has_ended() -> None:
    async def test() -> None:
        received = asyncio.Event()

        async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            await received.wait()
            writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

        async with world(model) as made:
            reader, writer = await made.connect("Content-Length: 0")
            status, headers = await head_of(reader)
            assert (status, headers["transfer-encoding"]) == (200, "chunked")
            assert await reader.readuntil(b"first\r\n") == b"5\r\nfirst\r\n"
            received.set()
            assert await read_chunked(reader) == b"second"
            # The connection carries on.
            writer.write(b"GET /nobody HTTP/1.1\r\n\r\n")
            assert (await head_of(reader))[0] == 404

    run(test)


@pytest.mark.parametrize("framing", [f"Content-Length: {BIG}", "Transfer-Encoding: chunked"])
def test_large_requests_arrive_whole_however_they_are_framed(framing: str) -> None:
    async def test() -> None:
        async with world(counts) as made:
            reader, writer = await made.connect(framing)
            for _ in range(BIG // 65536):
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n" if "chunked" in framing else b"x" * 65536)
                await writer.drain()
            if "chunked" in framing:
                writer.write(b"0\r\n\r\n")
            status, headers = await head_of(reader)
            assert (status, await reader.readexactly(int(headers["content-length"]))) == (200, b"%d" % BIG)
            [entry] = made.stats.log(0, "CANARY")
            assert (entry["request_bytes"], entry["status"], entry["model_status"]) == (BIG, 200, 200)

    run(test)


def test_a_model_that_reads_slowly_holds_its_client_back() -> None:
    async def test() -> None:
        go = asyncio.Event()

        async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            await go.wait()
            await reader.readexactly(BIG)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        async with world(model) as made:
            reader, writer = await made.connect(f"Content-Length: {BIG}")
            writer.write(b"x" * BIG)
            while not (found := [one for one in made.door.connections if one.coming is not None]):
                await asyncio.sleep(0)
            [connection] = found
            while not connection.held:
                await asyncio.sleep(0)
            assert connection.coming.body.size < HIGH + 512 * 1024
            go.set()
            assert (await head_of(reader))[0] == 200

    run(test)


def test_a_request_that_takes_too_long_to_come_in_is_408() -> None:
    async def test() -> None:
        async with world(counts, idle=0.1) as made:
            for sent in (b"", b"x" * 100, b"x" * 100_000):
                reader, writer = await made.connect("Content-Length: 200000")
                writer.write(sent)
                assert (await head_of(reader))[0] == 408
                writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
            writer.write(b"POST /canary/sco")
            assert (await head_of(reader))[0] == 408
            await made.until_free()

    run(test)


def test_an_upload_that_is_broken_off_frees_its_place() -> None:
    async def test() -> None:
        async with world(counts) as made:
            _, writer = await made.connect("Content-Length: 200000")
            writer.write(b"x" * 100_000)
            while not made.pools["blue"].in_flight:
                await asyncio.sleep(0)
            writer.transport.abort()
            await made.until_free()
            assert [(entry["status"], entry["deployment"]) for entry in made.stats.log(0, None)] == [(499, "blue")]
            # It was nobody's failure, so nobody's statistics have it.
            assert made.stats.json() == {"endpoints": {}}

    run(test)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_download_that_is_broken_off_or_never_read_frees_its_place(leaves: bool) -> None:
    async def test() -> None:
        async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY * 4) + b"x" * MAX_BODY * 2)

        async with world(model, timeout=LIMIT if leaves else 0.3) as made:
            reader, writer = await made.connect("Content-Length: 0")
            await head_of(reader)
            if leaves:
                writer.transport.abort()
            await made.until_free()

    run(test)


def test_an_answer_that_breaks_off_is_seen_as_broken_off() -> None:
    async def test() -> None:
        async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 10)
            await writer.drain()
            writer.close()

        async with world(model) as made:
            reader, _ = await made.connect("Content-Length: 0")
            await head_of(reader)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(100_000)
            await made.until_free()

    run(test)


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("Transfer-Encoding: chunked", b"10000\r\n" + b"x" * 65536 + b"\r\n", 413),
        ("Transfer-Encoding: chunked\r\nX: y", b"4\r\nabcd\r\nzz\r\n", 400),
        (f"Content-Length: {MAX_BODY * 2}", b"x" * 65536, 413),
        ("Content-Length: 1000000\r\nAuthorization: Bearer wrong", b"x" * 65536, 401),
    ],
)
def test_who_is_refused_in_the_middle_of_sending_can_read_why(head: str, body: bytes, status: int) -> None:
    async def test() -> None:
        async with world(counts) as made:
            if status == 401:
                reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
                writer.write(f"POST /canary/score HTTP/1.1\r\n{head}\r\n\r\n".encode())
            else:
                reader, writer = await made.connect(head)
            answer = asyncio.create_task(head_of(reader))
            # Sends on whatever comes back, as many clients do, for longer than all buffers on the way.
            while not answer.done():
                writer.write(body)
                await writer.drain()
            assert (await answer)[0] == status
            await made.until_free()

    run(test)


def test_an_answer_before_the_bodys_end_is_delivered_and_ends_the_connection() -> None:
    async def test() -> None:
        async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            writer.write(b"HTTP/1.1 400 Bad\r\ncontent-length: 3\r\n\r\nbad")

        async with world(model) as made:
            reader, writer = await made.connect(f"Content-Length: {BIG}")
            writer.write(b"x" * 100_000)
            status, headers = await head_of(reader)
            assert (status, headers["connection"]) == (424, "close")
            assert await reader.read() == b"bad"
            await made.until_free()

    run(test)


def test_small_answers_to_head_have_no_body() -> None:
    async def test() -> None:
        async def model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")

        async with world(model) as made:
            reader, _ = await made.connect("Connection: close", "HEAD")
            assert (await head_of(reader))[0] == 200
            assert await reader.read() == b""

    run(test)


@pytest.mark.parametrize("size", [1000, MAX_COPY, MAX_COPY + 1])
def test_mirroring_keeps_a_bounded_copy(size: int) -> None:
    async def test() -> None:
        mirrored = asyncio.Event()

        async def green(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _, headers = await head_of(reader)
            await reader.readexactly(int(headers["content-length"]))
            assert int(headers["content-length"]) == size
            # Long enough to be streamed, and thrown away.
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BIG + b"x" * BIG)
            mirrored.set()

        async with world(counts) as made:
            server = await made.deployment("green", green)
            reader, writer = await made.connect(f"Content-Length: {size}")
            writer.write(b"x" * size)
            assert (await head_of(reader))[0] == 200
            if size <= MAX_COPY:
                await mirrored.wait()
                await made.until_free("green")
                entry = made.stats.log(0, None)[-1]
                assert (entry["mirrored"], entry["response_bytes"]) == (True, BIG)
            else:
                assert not made.pools["green"].in_flight
                assert not mirrored.is_set()
            server.close()

    run(test)


def test_four_uploads_at_once_do_not_show_in_memory(azure: Any) -> None:
    azure.create_endpoint()
    code = (
        "from azureml_inference_server_http.api.aml_request import rawhttp\n"
        "def init():\n    pass\n@rawhttp\ndef run(request):\n    return {'size': len(request.get_data())}\n"
    )
    settings = {"request_timeout_ms": 30_000}
    azure.deploy("blue", code=code, request_settings=settings)
    azure.traffic(blue=100)
    body = b"x" * (24 * 1024 * 1024)
    import requests

    url, headers = f"{azure.emulator.scoring_url}/canary/score", {"Authorization": f"Bearer {azure.key}"}
    # The kernel forgets the highest so far; what tests before this one left in the logs is not what is measured.
    Path(f"/proc/{azure.emulator.pid}/clear_refs").write_text("5")
    before = memory(azure.emulator.pid, "VmRSS")
    for given in (body, iter([body[:65536]] * 100)):
        response = requests.post(url, data=given, headers=headers, timeout=60)
        assert response.status_code == 200, response.text
    assert response.json() == {"size": 6553600}
    assert memory(azure.emulator.pid, "VmHWM") - before < 8 * 1024


def memory(pid: int, which: str) -> int:
    """A figure of /proc/<pid>/status in KiB."""
    return int(Path(f"/proc/{pid}/status").read_text().split(f"{which}:")[1].split()[0])


def test_the_log_of_scoring_requests_tells_each_one(azure: Any) -> None:
    azure.create_endpoint()
    azure.deploy("blue", "v1")
    azure.deploy("broken", "v2-broken")
    azure.traffic(blue=100)
    azure.score()
    azure.score("broken")
    found = azure.emulator.call("GET", "scoring-log?endpoint=canary")["requests"]
    assert [(one["deployment"], one["status"], one["model_status"]) for one in found] == [("blue", 200, 200), ("broken", 424, 500)]
    assert all(one["milliseconds"] > 0 and len(one["request_id"]) == 36 for one in found)
    newest = azure.emulator.call("GET", f"scoring-log?since={found[0]['seq']}")["requests"]
    assert newest == found[1:]
    assert azure.emulator.call("GET", "scoring-log?endpoint=other") == {"requests": []}
    rows = azure.emulator.call("GET", "minutes?endpoint=canary")["minutes"]
    assert sum(row["requests"] for row in rows) == 2
    assert {(row["deployment"], row["status_class"], row["model_status"]) for row in rows} == {("blue", "2xx", 200), ("broken", "4xx", 500)}
    assert all(row["p50_ms"] > 0 for row in rows)
