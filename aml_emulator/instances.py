"""One scoring process: started, probed, watched, stopped. Never blocks the event loop on it.

Linux: parent-death signals, pidfds, and pipes whose end kills a group. Not here: which instances a deployment has (`runtime`), who gets a request
(`pool`).
May import: the standard library.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).with_name("launcher.py")
# A container gets this long between SIGTERM and SIGKILL, as a pod does.
STOP_GRACE = 5.0
# Linux's number for "send this signal instead of SIGIO", for which Python has no name.
F_SETSIG = 10
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run: the same for all instances of one version of a deployment."""

    python: str
    code: Path
    entry: str
    model_dir: Path | None
    environment: dict[str, str]
    log: Path
    workers: int = 1

    def process_environment(self) -> dict[str, str]:
        inherited = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ") if k in os.environ}
        model = {} if self.model_dir is None else {"AZUREML_MODEL_DIR": str(self.model_dir)}
        fixed = {
            "AML_APP_ROOT": str(self.code),
            "AZUREML_APP_ROOT": str(self.code),
            "AZUREML_ENTRY_SCRIPT": self.entry,
            "PYTHONUNBUFFERED": "1",
        }
        return inherited | self.environment | fixed | model


@dataclass(slots=True, eq=False)
class Instance:
    number: int
    port: int
    process: subprocess.Popen[bytes]
    exited: asyncio.Future[int]
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid


def start(spec: Spec) -> Instance:
    """Starts a process on a socket that already listens: no port race, and a first connection waits, not fails."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener, spec.log.open("ab") as log:
        descriptor = listener.fileno()
        port: int = listener.getsockname()[1]
        held, lifeline = os.pipe()
        try:
            process = subprocess.Popen(
                [spec.python, str(LAUNCHER), str(os.getpid()), str(descriptor), str(spec.workers)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=spec.code,
                env=spec.process_environment(),
                pass_fds=(descriptor, held),
                start_new_session=True,
            )
            tie(held, process.pid)
        except BaseException:
            os.close(lifeline)
            raise
        finally:
            os.close(held)
    exited: asyncio.Future[int] = loop.create_future()
    watch = os.pidfd_open(process.pid)

    def on_exit() -> None:
        loop.remove_reader(watch)
        os.close(watch)
        os.close(lifeline)
        # Before the process is reaped its number cannot be anybody else's, so this hits only what it left behind.
        kill_group(process.pid)
        code = process.wait()
        if not exited.done():
            exited.set_result(code)

    loop.add_reader(watch, on_exit)
    return Instance(next(_numbers), port, process, exited)


def tie(held: int, group: int) -> None:
    """Has the kernel kill the whole group when the other end of this pipe, which only we hold, closes with our death.

    The launcher asks for a signal at our death too, but its handler must run to take the group along: a process that is
    stopped, or blocks that signal, would stay. Nothing in the group can hold SIGKILL off.
    """
    fcntl.fcntl(held, fcntl.F_SETOWN, -group)
    fcntl.fcntl(held, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(held, fcntl.F_SETFL, fcntl.fcntl(held, fcntl.F_GETFL) | os.O_ASYNC)


def kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def probe(instance: Instance, timeout: float) -> bool:
    """True once it answers its health route; False when it ended or `timeout` seconds passed first."""
    asking = asyncio.create_task(_healthy(instance.port))
    try:
        both: set[asyncio.Future[Any]] = {asking, instance.exited}
        await asyncio.wait(both, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return asking.done() and not instance.exited.done() and asking.result()
    finally:
        asking.cancel()


async def _healthy(port: int) -> bool:
    # One connection is enough: it waits in the listen queue until a worker has run the user's init().
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                line = await reader.readline()
                if line.split(b" ")[1:2] == [b"200"]:
                    return True
            finally:
                writer.close()
        await asyncio.sleep(0.05)


async def stop(instance: Instance, grace: float = STOP_GRACE) -> None:
    instance.stopping = True
    if instance.exited.done():
        return
    with contextlib.suppress(ProcessLookupError):
        instance.process.terminate()
    await asyncio.wait({instance.exited}, timeout=grace)
    if not instance.exited.done():
        kill_group(instance.pid)
        await instance.exited


async def kill(instance: Instance) -> None:
    instance.stopping = True
    if not instance.exited.done():
        kill_group(instance.pid)
        await instance.exited
