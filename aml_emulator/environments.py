"""Which interpreter runs a deployment: an environment's properties in, a path to Python out.

`reuse`: every deployment runs under the emulator's own interpreter, whatever its environment says.
`cached`: one virtual environment per distinct list of pip requirements, made once and kept.
There are no images: what only conda or a Dockerfile could install is refused by name, as a failed image build.
May import: `errors`, `instances`, `wire`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aml_emulator import instances
from aml_emulator.errors import OperationFailedError
from aml_emulator.wire import Json

SERVER = "azureml-inference-server-http"
# Microsoft's older name for what a scoring container needs; nothing else of that bundle is used in scoring.
ALIAS = "azureml-defaults"
OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MAX_TEXT = 4000
INSTALL_SECONDS = 1800.0


class Provider(Protocol):
    async def interpreter(self, environment: Json | None, /) -> str:
        """The Python to run with; None is an environment that is accepted unseen.

        Raises OperationFailedError("ImageBuildFailure", ...) when it cannot be made.
        """


class Reuse:
    def __init__(self, _folder: Path):
        pass

    async def interpreter(self, _environment: Json | None, /) -> str:
        return sys.executable


@dataclass(frozen=True, slots=True)
class Recipe:
    requirements: tuple[str, ...]
    python: str = OWN_PYTHON

    @property
    def key(self) -> str:
        text = "\n".join([f"python {self.python}", *self.requirements])
        return hashlib.sha256(text.encode()).hexdigest()[:20]


class Cached:
    def __init__(self, folder: Path):
        self.folder = folder.absolute()

    async def interpreter(self, environment: Json | None, /) -> str:
        recipe = None if environment is None else recipe_of(environment)
        if recipe is None:
            # An image as it is: it would have brought its own Python.
            return sys.executable
        target = self.folder / recipe.key
        python, complete = target / "bin" / "python", target / "complete"
        self.folder.mkdir(parents=True, exist_ok=True)
        async with _locked(self.folder / f"{recipe.key}.lock"):
            if not complete.exists():
                await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
                await _build(recipe, target, python)
                complete.write_text("\n".join(recipe.requirements) + "\n")
        return str(python)


PROVIDERS: dict[str, Callable[[Path], Provider]] = {"reuse": Reuse, "cached": Cached}


def provider(name: str, folder: Path) -> Provider:
    return PROVIDERS[name](folder)


def _failed(text: str) -> OperationFailedError:
    return OperationFailedError("ImageBuildFailure", f"Image build failed. {text}")


# --- what an environment asks for ----------------------------------------------------------------------------------


def recipe_of(properties: dict[str, Any]) -> Recipe | None:
    """None for an image without a conda file, which is used as it is."""
    if build := properties.get("build"):
        file = f"{build.get('dockerfilePath') or 'Dockerfile'} of {build.get('contextUri')}"
        raise _failed(f"aml-emulator builds no Dockerfiles: {file}. Give the environment an image and a conda file.")
    if not properties.get("condaFile"):
        return None
    conda = json.loads(properties["condaFile"])
    listed = conda.get("dependencies") if isinstance(conda, dict) else None
    if not isinstance(listed, list):
        raise _failed("The conda file has no list of dependencies.")
    python, pip, conda_only = OWN_PYTHON, [], []
    for one in listed:
        if isinstance(one, dict) and set(one) == {"pip"} and isinstance(one["pip"], list):
            pip += [str(requirement).strip() for requirement in one["pip"]]
        elif isinstance(one, str) and (name := re.split(r"[ =<>!~\[]", one.strip().split("::")[-1])[0].lower()) in ("python", "pip"):
            python = _python(one) if name == "python" else python
        else:
            conda_only.append(str(one))
    if conda_only:
        names = ", ".join(conda_only)
        raise _failed(f"aml-emulator installs with pip only; move these conda packages under pip: {names}.")
    return Recipe(_requirements(pip), python)


def _python(text: str) -> str:
    wanted = re.search(r"(==?|>=|~=)?\s*(\d+\.\d+)", text)
    if wanted is None:
        if re.fullmatch(r"\s*(\S+::)?python\s*", text):
            return OWN_PYTHON
        raise _failed(f"{text} names no version of Python, such as python={OWN_PYTHON}.")
    if wanted[1] == ">=" and tuple(map(int, wanted[2].split("."))) <= sys.version_info[:2]:
        return OWN_PYTHON
    return wanted[2]


def _requirements(pip: list[str]) -> tuple[str, ...]:
    options = [one for one in pip if one.startswith("-")]
    if options:
        raise _failed(f"aml-emulator takes no options for pip from an environment: {', '.join(options)}.")
    found = {SERVER if _name(one) == ALIAS else one for one in pip if one and not one.startswith("#")}
    if SERVER not in map(_name, found):
        found.add(SERVER)
    return tuple(sorted(found))


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[ =<>!~\[;@]", requirement)[0]).lower()


# --- making it -----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Other emulators may share the cache, and two deployments of this one may want the same environment."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield


async def _build(recipe: Recipe, target: Path, python: Path) -> None:
    base = await _base(recipe.python)
    if uv := _uv():
        await _run([uv, "venv", "--quiet", "--python", base, str(target)])
        await _run([uv, "pip", "install", "--quiet", "--python", str(python), "--", *recipe.requirements])
    else:
        await _run([base, "-m", "venv", str(target)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        await _run([*install, "--", *recipe.requirements])


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


async def _base(version: str) -> str:
    if version == OWN_PYTHON:
        return sys.executable
    found = shutil.which(f"python{version}")
    if found is not None:
        # A name on PATH may be a shim of a version that is not there.
        with contextlib.suppress(OperationFailedError, OSError):
            await _run([found, "-c", ""])
            return found
    raise _failed(f"python={version} is not on this machine; there is python={OWN_PYTHON}.")


async def _run(command: list[str]) -> None:
    held, lifeline = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(held,),
            cwd="/",
        )
        # An installer that is under way ends with us, whatever we end of. A quick one is through by now.
        with contextlib.suppress(ProcessLookupError):
            instances.tie(held, process.pid)
        os.close(held)
        held = -1
        try:
            output, _ = await asyncio.wait_for(process.communicate(), INSTALL_SECONDS)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if isinstance(error, TimeoutError):
                raise _failed(f"Installing took longer than {INSTALL_SECONDS:.0f} seconds.") from None
            raise
    finally:
        os.close(lifeline)
        if held >= 0:
            os.close(held)
    if process.returncode:
        raise _failed(output.decode("utf-8", "replace").strip()[-MAX_TEXT:])
