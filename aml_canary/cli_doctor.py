"""The command line's check-up of an installation. A command of `cli`, which adds it. May import everything of `aml_canary`, when it runs."""

import json
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from aml_canary.cli_common import failing_plainly, formats, on_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aml_canary.domain.checkup import Check


@click.command()
@formats
@failing_plainly
def doctor(form: str) -> None:
    """Check this installation: versions, Prefect, Azure, git, secrets, functions, metrics, clocks; each with the remedy.

    Nothing is written anywhere. Exit code 1 where something failed. It sees what this machine sees: run it where a worker runs.
    """
    found = []
    with _spinner(form):
        for check in _checks():
            found.append(check)
            if form == "text":
                _print(check)
    failed, warned = (sum(check.result == word for check in found) for word in ("failed", "warning"))
    if form == "json":
        click.echo(json.dumps([vars(check) for check in found], indent=2))
    else:
        click.echo(f"{len(found)} checks: {failed} failed, {warned} warnings.")
    sys.exit(1 if failed else 0)


def _checks() -> "Iterator[Check]":
    from prefect.settings import PREFECT_API_URL

    from aml_canary.domain.checkup import Check
    from aml_canary.gateways.checkup import checks, git, here
    from aml_canary.gateways.checkup import prefect_server as prefect
    from aml_canary.settings import settings

    # Wrong settings are told as such, before anything is asked.
    installed = settings()
    yield from checks([("packages", here.versions), ("settings", here.set_here), ("functions", here.functions)])
    if PREFECT_API_URL.value():
        asked = [("prefect", prefect.server), ("work pool", prefect.workers), ("deployments", prefect.deployments)]
        yield from checks([*asked, ("channels", prefect.channels)])
    else:
        yield Check("prefect", "failed", "no server is configured", "Set PREFECT_API_URL, such as http://127.0.0.1:4200/api.")
    yield from checks([("git", git.repositories), ("git hosts", git.hosts)])
    if installed.workspace:
        from aml_canary.gateways.checkup import azure

        yield from checks([("azure", azure.workspace), ("metrics", azure.metrics)])
    else:
        names = "AML_CANARY_SUBSCRIPTION_ID, AML_CANARY_RESOURCE_GROUP and AML_CANARY_WORKSPACE"
        yield Check("azure", "failed", "no workspace is configured", f"Set {names}.")


_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def _print(check: "Check") -> None:
    # click takes the colours out again in a pipe.
    remedy = f" {check.remedy}" if check.remedy else ""
    click.echo(f"{click.style(check.result.ljust(7), fg=_COLOURS[check.result])}  {check.about}: {check.told.rstrip('.')}.{remedy}")


def _spinner(form: str) -> Any:
    if form != "text" or not on_terminal():
        return nullcontext()
    from aml_canary.cli_screen import console

    return console().status("Looking ...")
