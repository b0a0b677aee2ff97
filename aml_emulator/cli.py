"""The command line: start, env, reset.

May import: click, `process`, `server`, `settings`.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import shlex
import signal
import sys
from pathlib import Path

import click

from aml_emulator import __version__
from aml_emulator.process import EmulatorError, RunningEmulator

DEFAULT_DIR = Path(".aml-emulator")
dir_option = click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False, resolve_path=True), default=DEFAULT_DIR, show_default=True,
    help="Where the emulator keeps its files.",
)  # fmt: skip


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Azure ML online endpoints on one machine, for Microsoft's unmodified azure-ai-ml client."""


@main.command()
@dir_option
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Keep everything here and go on with it at the next start. Without it, each start is empty.",
)  # fmt: skip
@click.option("--arm-port", type=click.IntRange(0, 65535), default=0, help="Port of the control plane (TLS). 0 takes a free one.")
@click.option("--scoring-port", type=click.IntRange(0, 65535), default=0, help="Port of the scoring door (plain HTTP). 0 takes a free one.")
@click.option("--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="JSON facts, written once up.")
@click.option("--pace", type=click.Choice(["fast", "azure"]), default="fast", show_default=True)
@click.option(
    "--environments",
    type=click.Choice(["reuse", "cached"]),
    default="reuse",
    show_default=True,
    help="Run deployments with the emulator's own Python, or with one environment per list of pip requirements.",
)
@click.option(
    "--environment-cache", type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Where cached environments are kept; several emulators may share it.",
)  # fmt: skip
@click.option("--subscription", help="Subscription id.")
@click.option("--resource-group")
@click.option("--workspace")
@click.option(
    "--answers", type=click.Path(path_type=Path, dir_okay=False), help="Write each answer about online endpoints here, a JSON line each."
)
@click.option("--until-stdin-closes", is_flag=True, help="Stop when standard input ends.")
def start(
    folder: Path,
    state: Path | None,
    arm_port: int,
    scoring_port: int,
    ready_file: Path | None,
    pace: str,
    environments: str,
    environment_cache: Path | None,
    subscription: str | None,
    resource_group: str | None,
    workspace: str | None,
    answers: Path | None,
    until_stdin_closes: bool,
) -> None:
    """Run in the foreground until SIGTERM or SIGINT."""
    from aml_emulator.saved import StateError
    from aml_emulator.server import READY_FILE, Emulator
    from aml_emulator.settings import Settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    settings = Settings(folder, state, pace=pace, environments=environments, arm_port=arm_port, scoring_port=scoring_port)
    settings.environment_cache = environment_cache
    settings.answers = answers
    settings.subscription_id = subscription or settings.subscription_id
    settings.resource_group = resource_group or settings.resource_group
    settings.workspace = workspace or settings.workspace

    async def run() -> None:
        emulator = Emulator(settings)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        def on_stdin() -> None:
            if not os.read(0, 4096):
                loop.remove_reader(0)
                stop.set()

        if until_stdin_closes:
            loop.add_reader(0, on_stdin)
        await emulator.start()
        own = folder / READY_FILE
        # The own one last: who has waited for it finds the other, too.
        ready = [own] if ready_file is None else [ready_file, own]
        for path in ready:
            emulator.announce(path)
        click.echo(f"control plane {settings.arm_url}  scoring {settings.scoring_url}/<endpoint>/score  files {folder}")
        await stop.wait()
        for path in ready:
            path.unlink(missing_ok=True)
        await emulator.stop()

    try:
        asyncio.run(run())
    except (StateError, OSError) as error:
        # Such as a port that is in use, or a folder that may not be written to.
        raise click.ClickException(str(error)) from None


@main.command()
@dir_option
def env(folder: Path) -> None:
    """Print exports that point any script using azure-ai-ml at the running emulator."""
    for name, value in _running(folder).exports().items():
        click.echo(f"export {name}={shlex.quote(value)}")


@main.command()
@dir_option
def reset(folder: Path) -> None:
    """Delete all endpoints, assets, faults and logs of the running emulator."""
    _running(folder).reset()


def _running(folder: Path) -> RunningEmulator:
    try:
        emulator = RunningEmulator.from_file(folder / "ready.json")
        # After a kill its file is still there, and somebody else may have its port.
        emulator.call("GET", "health")
    except (OSError, ValueError, TypeError, http.client.HTTPException, EmulatorError):
        text = f"no emulator runs in {folder}: start one with `aml-emulator start --dir {folder}`"
        raise click.ClickException(text) from None
    return emulator


if __name__ == "__main__":
    main()
