"""The processes behind one deployment: brought up, scaled, replaced, restarted after a crash, taken down.

New processes are ready before old ones are stopped, and an instance is drained before it is stopped.
Not here: rules and states of the control plane (`deployments`). May import: `errors`, `instances`, `pool`, `state`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from aml_emulator import instances
from aml_emulator.errors import OperationFailedError
from aml_emulator.instances import Instance, Spec
from aml_emulator.pool import Limits, Pool
from aml_emulator.state import now

GUIDE = "Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-resourcenotready"
# Starting more processes at once than there are processors only makes each of them, and live traffic, slower.
_starting = asyncio.Semaphore(max(2, os.cpu_count() or 2))
RESTART_PAUSES = (0.0, 1.0, 2.0, 5.0, 10.0)


@dataclass(slots=True)
class Readiness:
    initial_delay: float = 10.0
    period: float = 10.0
    failures: int = 30

    @property
    def deadline(self) -> float:
        return self.initial_delay + self.period * self.failures


@dataclass(slots=True)
class Runtime:
    endpoint: str
    deployment: str
    folder: Path
    pool: Pool
    spec: Spec | None = None
    readiness: Readiness = field(default_factory=Readiness)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    watchers: dict[Instance, asyncio.Task[None]] = field(default_factory=dict)
    version: int = 0
    storage_log: list[str] = field(default_factory=list)
    gone: bool = False

    def note(self, reason: str, message: str, kind: str = "Normal") -> None:
        self.events.append(f"Kind: Pod, Name: {reason}, Type: {kind}, Time: {now()}, Message: {message}")

    def prepare_version(self, code: Path) -> Path:
        """An own copy of the code: it is the working directory of the processes, and they write into it."""
        self.version += 1
        target = self.folder / f"v{self.version}"
        target.mkdir(parents=True)
        shutil.copytree(code, target / "code")
        return target

    # --- going up and down --------------------------------------------------------------------------------------

    async def replace(self, spec: Spec, count: int, limits: Limits) -> None:
        """Brings up `count` instances of `spec`, hands traffic to them, then drains and stops the old ones."""
        fresh = await self._bring_up(spec, count)
        self._give_up_restarts()
        old = list(self.pool.instances)
        self.spec = spec
        self._apply(limits)
        self.pool.set_instances(fresh)
        for instance in fresh:
            self._watch(instance)
        await self._retire(old)

    async def scale(self, count: int, limits: Limits) -> None:
        """Keeps the instances that run; adds or drains the difference."""
        spec = self._running_spec()
        crashed = self._give_up_restarts()
        current = list(self.pool.instances)
        self._apply(limits)
        if count > len(current):
            try:
                fresh = await self._bring_up(spec, count - len(current))
            except OperationFailedError:
                # It stays as large as it was, so what had crashed is still to be replaced.
                for instance in crashed:
                    self._watch(instance)
                raise
            self.pool.set_instances([*self.pool.instances, *fresh])
            for instance in fresh:
                self._watch(instance)
        elif count < len(current):
            self.pool.set_instances(current[:count])
            await self._retire(current[count:])

    def _running_spec(self) -> Spec:
        if self.spec is None:
            raise OperationFailedError("ResourceNotReady", f"Deployment {self.deployment} has never come up.")
        return self.spec

    def _apply(self, limits: Limits) -> None:
        self.pool.limits = limits

    async def _bring_up(self, spec: Spec, count: int) -> list[Instance]:
        self.note("Starting", f"Start creating container inference-server, {count} instance(s)")
        tasks = [asyncio.create_task(self._bring_up_one(spec)) for _ in range(count)]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            # One that fails is enough to give up; those on their way must not be left behind.
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(instances.kill(one) for one in done if isinstance(one, Instance)))
            raise
        self.note("ContainerReady", "Container is ready")
        return [task.result() for task in tasks]

    async def _bring_up_one(self, spec: Spec) -> Instance:
        async with _starting:
            instance = instances.start(spec)
            try:
                if await instances.probe(instance, self.readiness.deadline):
                    return instance
                ended = instance.exited.done()
            except BaseException:
                await instances.kill(instance)
                raise
        await instances.kill(instance)
        if ended:
            self.note("ContainerFailed", f"Container exited with code {instance.exited.result()}", "Warning")
            raise OperationFailedError("ResourceNotReady", f"User container has crashed or terminated. {GUIDE}")
        self.note("ReadinessProbeFailed", "Readiness probe failed", "Warning")
        raise OperationFailedError("ResourceNotReady", f"User container did not become ready: probe failed. {GUIDE}")

    async def _retire(self, old: list[Instance]) -> None:
        for instance in old:
            self._unwatch(instance)
        await asyncio.gather(*(self._retire_one(instance) for instance in old))

    async def _retire_one(self, instance: Instance) -> None:
        # A request cannot run longer than its own timeout, so neither can this wait.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.pool.drained(instance), self.pool.limits.request_timeout + 1)
        await instances.stop(instance)

    async def close(self, *, drain: bool = True) -> None:
        self.gone = True
        if drain:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.pool.quiet(), self.pool.limits.request_timeout + 1)
        watched = list(self.watchers)
        for instance in watched:
            self._unwatch(instance)
        self.pool.instances = []
        await asyncio.gather(*(instances.stop(one) if drain else instances.kill(one) for one in watched))
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- crashes ------------------------------------------------------------------------------------------------

    def _watch(self, instance: Instance) -> None:
        self.watchers[instance] = asyncio.create_task(self._restart_when_it_ends(instance))

    def _unwatch(self, instance: Instance) -> None:
        task = self.watchers.pop(instance, None)
        if task is not None:
            task.cancel()

    def _give_up_restarts(self) -> list[Instance]:
        # What is about to be counted or replaced must not grow behind our back.
        crashed = [one for one in self.watchers if one not in self.pool.instances]
        for instance in crashed:
            self._unwatch(instance)
        return crashed

    async def _restart_when_it_ends(self, instance: Instance) -> None:
        code = await asyncio.shield(instance.exited)
        self.pool.remove(instance)
        self.note("ContainerCrashed", f"Container exited with code {code}, restarting", "Warning")
        attempt = 0
        while not self.gone:
            await asyncio.sleep(RESTART_PAUSES[min(attempt, len(RESTART_PAUSES) - 1)])
            attempt += 1
            # Also where this machine has no room for it just now.
            with contextlib.suppress(OperationFailedError, OSError):
                fresh = await self._bring_up_one(self._running_spec())
                self.note("ContainerReady", "Container is ready")
                self.watchers.pop(instance, None)
                self.pool.add(fresh)
                self._watch(fresh)
                return

    # --- logs ---------------------------------------------------------------------------------------------------

    def logs(self, container: str, tail: int | None) -> str:
        if container == "StorageInitializer":
            return "\n".join(self.storage_log[-tail:] if tail else self.storage_log) + "\n"
        lines = self._container_lines(tail)
        started = "Succeeded" if self.pool.instances else "Waiting"
        head = ["Instance status:", "SystemSetup: Succeeded", "UserContainerImagePull: Succeeded"]
        head += ["ModelDownload: Succeeded", f"UserContainerStart: {started}", "", "Container events:", *self.events]
        return "\n".join([*head, "", "Container logs:", *lines]) + "\n"

    def _container_lines(self, tail: int | None) -> list[str]:
        # The newest attempt: after a failed update that is the one a person asks about, not the one that serves.
        newest = self.folder / f"v{self.version}" / "container.log"
        if not newest.exists():
            return []
        with newest.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 256 * 1024))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return lines[-tail:] if tail else lines
