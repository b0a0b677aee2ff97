"""The command line's looking: all endpoints at a glance, and one rollout while it goes on.

Commands of `cli`, which adds them. May import everything of `aml_canary`, when a command runs.
"""

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from aml_canary.cli_common import failing_plainly, formats, insist_on_prefect, on_terminal, show
from aml_canary.cli_completion import endpoints_held, runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aml_canary.domain.standing import Picture, Standing

_LOOKS_EVERY_SECONDS = 2.0
# A push becomes a rollout within seconds; with a worker's default settings it may take twenty.
_BEGINS_WITHIN_SECONDS = 60.0
# Azure's limit. A run's id is longer.
_LONGEST_ENDPOINT = 32


@click.command()
@click.argument("endpoints", nargs=-1, shell_complete=endpoints_held)
@formats
@failing_plainly
def status(endpoints: tuple[str, ...], form: str) -> None:
    """Show endpoints: what is live, which rollout holds them, what that waits for. Without names, all of the workspace."""
    from datetime import UTC, datetime

    from aml_canary.domain.report import live_table
    from aml_canary.domain.standing import HEADINGS, standing_json, status_rows
    from aml_canary.gateways import azureml, prefect_db
    from aml_canary.local import observed_json

    insist_on_prefect()
    held = {holder.endpoint: holder.run for holder in prefect_db.holders()}
    found = [(azureml.observe(name), held.get(name)) for name in endpoints or azureml.endpoint_names()]
    shown = [(live, _standing(run) if run else None) for live, run in found]
    if form == "json":
        rollouts = [{**observed_json(live), "rollout": standing_json(standing) if standing else None} for live, standing in shown]
        click.echo(json.dumps(rollouts, indent=2))
        return
    if not shown:
        click.echo("There is no endpoint in the workspace.")
        return
    show(HEADINGS, status_rows(shown, datetime.now(UTC)))
    for live, _ in shown if endpoints else ():
        click.echo(f"\n{live.name}\n{live_table(live)}")


def _standing(run: str) -> "Standing":
    from aml_canary.domain.standing import Standing
    from aml_canary.gateways.prefect_db import run_state
    from aml_canary.gateways.prefect_standing import standing_of

    if run_state(run).type == "GONE":
        # The guard frees what such a run has held.
        return Standing(run, f"run {run}", "", "Deleted", "CANCELLED")
    return standing_of(run)


@click.command()
@click.argument("run", shell_complete=runs)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="What to print: text, or a JSON object a line.")
@failing_plainly
def watch(run: str, form: str) -> None:
    """Look on while RUN goes on, by its id, its name, or the endpoint that it holds: stages, live traffic, verdict, how long still.

    In a pipe it prints a line for each change. It ends when the run ends: exit code 0 where that is as git wants it, otherwise 1.
    Where no rollout holds an endpoint, the next that does within a minute is watched, so that this can follow a push at once.
    """
    insist_on_prefect()
    id_ = _begun(run)
    fine = _watch_terminal(id_) if form == "text" and on_terminal() else _watch_pipe(id_, form)
    sys.exit(0 if fine else 1)


def _begun(name: str) -> str:
    """The run of this name, or the one that holds the endpoint of this name, or will within a minute. Raises Permanent."""
    from aml_canary.errors import Permanent
    from aml_canary.gateways.prefect_answers import find_run

    deadline = time.monotonic() + _BEGINS_WITHIN_SECONDS
    waiting = False
    while True:
        try:
            return str(find_run(name).id)
        except Permanent:
            if "@" in name or len(name) > _LONGEST_ENDPOINT or time.monotonic() > deadline:
                raise
        if not waiting:
            click.echo(f"No rollout holds {name}. Waiting up to {_BEGINS_WITHIN_SECONDS:.0f} s for one that does.", err=True)
        waiting = True
        time.sleep(1)


def _look(run: str, endpoint: str) -> "Picture":
    from aml_canary.domain.standing import Picture
    from aml_canary.errors import AmlCanaryError
    from aml_canary.gateways import azureml
    from aml_canary.gateways.prefect_standing import standing_of
    from aml_canary.gateways.prefect_story import story_of

    # The state first: what the story tells after it is only more.
    standing = standing_of(run)
    events = story_of(run)
    try:
        traffic = dict(azureml.glance(endpoint).traffic) if endpoint else None
    except AmlCanaryError:
        # Whoever watches needs no Azure; the workspace may not even be configured here.
        traffic = None
    return Picture(standing, events, traffic)


def _pictures(run: str) -> "Iterator[Picture]":
    """Pictures of the run until it has ended; a Prefect that does not answer for a moment is asked again."""
    from aml_canary.errors import Transient
    from aml_canary.gateways.prefect_standing import endpoint_of

    while True:
        try:
            seen = _look(run, endpoint_of(run))
        except Transient as error:
            click.echo(str(error), err=True)
        else:
            yield seen
            if seen.standing.ended:
                return
        time.sleep(_LOOKS_EVERY_SECONDS)


def _watch_pipe(run: str, form: str) -> bool:
    from datetime import UTC, datetime

    from aml_canary.domain.standing import news

    before: Picture | None = None
    for seen in _pictures(run):
        for event in news(before, seen, datetime.now(UTC)):
            if form == "json":
                state = {"state": seen.standing.state, "stage": seen.standing.stage, "traffic": seen.traffic}
                click.echo(json.dumps({"at": event.at.isoformat(timespec="seconds"), "told": event.told, **state}))
            else:
                click.echo(f"{event.at:%H:%M:%S}  {event.told}")
        before = seen
    return before is not None and before.standing.type == "COMPLETED"


def _watch_terminal(run: str) -> bool:
    from datetime import UTC, datetime

    from rich.live import Live

    from aml_canary import cli_screen

    seen: Picture | None = None
    with Live(console=cli_screen.console(), auto_refresh=False) as screen:
        for seen in _pictures(run):
            screen.update(cli_screen.picture(seen, datetime.now(UTC)), refresh=True)
    return seen is not None and seen.standing.type == "COMPLETED"
