"""What the emulator's scoring door costs: the same requests to a scoring process directly and through the door, in turns.

`make bench-emulator`. The figures of one run are comparable with each other only: client, door and models share the machine's
processors, so the load average is printed with them. Not a test: nothing is asserted.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import requests
from azure.ai.ml.entities import CodeConfiguration, Environment, ManagedOnlineDeployment, ManagedOnlineEndpoint, OnlineRequestSettings

from aml_emulator.process import RunningEmulator, running_emulator

CODE = "def init():\n    pass\n\n\ndef run(data):\n    return 1\n"
BODY = b'{"data": [1, 2, 3]}'
INSTANCES = 2
ROUNDS, SECONDS = 4, 3.0


@dataclass
class Result:
    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0
    failed: int = 0

    @property
    def rate(self) -> float:
        return len(self.milliseconds) / self.seconds

    def at(self, percent: int) -> float:
        return quantiles(self.milliseconds, n=100)[percent - 1]


async def client(port: int, request: bytes, keep_alive: bool, until: float, result: Result) -> None:
    """Gunicorn's workers close each connection, so going directly is a connection per request; the door keeps its own open."""
    reader: asyncio.StreamReader | None = None
    while (started := time.perf_counter()) < until:
        if reader is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if head[9:12] == b"200":
            result.milliseconds.append((time.perf_counter() - started) * 1000)
        else:
            result.failed += 1
        if not keep_alive:
            writer.close()
            reader = None


async def measure(ports: list[int], request: bytes, keep_alive: bool, clients: int, result: Result) -> None:
    started = time.perf_counter()
    until = started + SECONDS
    await asyncio.gather(*(client(ports[i % len(ports)], request, keep_alive, until, result) for i in range(clients)))
    result.seconds += time.perf_counter() - started


def compare(direct: list[int], door: int, key: str, clients: int) -> tuple[Result, Result]:
    common = b"Host: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(BODY)
    straight = b"POST /score HTTP/1.1\r\n" + common + b"\r\n" + BODY
    through = b"POST /bench/score HTTP/1.1\r\nAuthorization: Bearer " + key.encode() + b"\r\n" + common + b"\r\n" + BODY
    results = Result(), Result()
    for _ in range(ROUNDS):
        asyncio.run(measure(direct, straight, False, clients, results[0]))
        asyncio.run(measure([door], through, True, clients, results[1]))
    return results


def deploy(emulator: RunningEmulator) -> str:
    """An endpoint with one process, through the SDK and up to its first answer. Gives the endpoint's key."""
    os.environ["REQUESTS_CA_BUNDLE"] = emulator.ca_bundle
    ml = emulator.ml_client()
    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="bench", auth_mode="key")).result()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "score.py").write_text(CODE)
        ml.online_deployments.begin_create_or_update(
            ManagedOnlineDeployment(
                name="blue",
                endpoint_name="bench",
                environment=Environment(image="mcr.example/azureml/minimal", name="bench", version="1"),
                code_configuration=CodeConfiguration(code=folder, scoring_script="score.py"),
                instance_type="Standard_DS3_v2",
                instance_count=1,
                request_settings=OnlineRequestSettings(max_concurrent_requests_per_instance=1, request_timeout_ms=30_000),
            )
        ).result()
    endpoint = ml.online_endpoints.get("bench")
    endpoint.traffic = {"blue": 100}
    ml.online_endpoints.begin_create_or_update(endpoint).result()
    key = str(ml.online_endpoints.get_keys("bench").primary_key)
    response = requests.post(f"{emulator.scoring_url}/bench/score", BODY, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    response.raise_for_status()
    return key


def scale(emulator: RunningEmulator) -> None:
    ml = emulator.ml_client()
    blue = ml.online_deployments.get("blue", "bench")
    blue.instance_count = INSTANCES
    ml.online_deployments.begin_create_or_update(blue).result()


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    out = sys.stdout.write
    with tempfile.TemporaryDirectory() as folder:
        launched = time.perf_counter()
        with running_emulator(Path(folder)) as emulator:
            out(f"start of the emulator to its first answer: {(emulator.call('GET', 'health') and time.perf_counter() - launched):.2f} s\n")
            key = deploy(emulator)
            taken = time.perf_counter() - launched
            out(f"start, endpoint, deployment of one process, traffic, through the SDK, to the first scoring answer: {taken:.2f} s\n")
            scale(emulator)
            ports = [one["port"] for one in emulator.processes()]
            door = urlsplit(emulator.scoring_url).port or 0
            for clients in (1, INSTANCES, 4 * INSTANCES):
                note = "(more than processes: they queue at the door)" if clients > INSTANCES else ""
                before = processor_seconds(emulator.pid)
                direct, through = compare(ports, door, key, clients)
                out(f"\n{clients} client(s) {note}\n{'':10}{'requests/s':>12}{'p50 ms':>9}{'p95 ms':>9}{'failed':>8}\n")
                for name, result in (("direct", direct), ("door", through)):
                    out(f"{name:10}{result.rate:12.0f}{result.at(50):9.2f}{result.at(95):9.2f}{result.failed:8}\n")
                out(
                    f"{'ratio':10}{through.rate / direct.rate:12.2f}{through.at(50) / direct.at(50):9.2f}{through.at(95) / direct.at(95):9.2f}\n"
                )
                out(f"added p50 {through.at(50) - direct.at(50):.2f} ms\n")
                spent = (processor_seconds(emulator.pid) - before) / len(through.milliseconds)
                out(f"processor time of the door: {spent * 1000:.2f} ms a request, so one processor carries {1 / spent:.0f} requests/s\n")
            status = Path(f"/proc/{emulator.pid}/status").read_text()
            out(f"\nmemory of the emulator: {int(status.split('VmRSS:')[1].split()[0]) // 1024} MiB")
            out(f", load average {' '.join(f'{load:.1f}' for load in os.getloadavg())}, {os.cpu_count()} processors\n")


if __name__ == "__main__":
    main()
