"""The command line's word about the audit log of one rollout: print it, export it, check it.

A command of `cli`, which adds it. May import everything of `aml_canary`, when it runs.
"""

import json
import sys
from dataclasses import asdict

import click

from aml_canary.cli_common import failing_plainly, insist_on_prefect


@click.command()
@click.argument("run")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "jsonl"]),
    default="text",
    help="What to print: text for people, json for scripts, jsonl (an entry a line) to keep.",
)
@click.option("--verify", "check", is_flag=True, help="Check the chain: exit code 1, and what is broken where, if it is not whole.")
@failing_plainly
def audit(run: str, form: str, check: bool) -> None:
    """Print the audit log of RUN, by its id or name: who decided what, what was written to Azure, on what evidence."""
    from aml_canary.domain.audit import audit_lines, origin, verify
    from aml_canary.gateways.prefect_answers import find_run
    from aml_canary.gateways.prefect_audit import entries_of

    insist_on_prefect()
    found = find_run(run)
    known_as, over = str(found.id), found.state is not None and found.state.is_final()
    entries = entries_of(known_as)
    if form == "jsonl":
        for entry in entries:
            click.echo(json.dumps(asdict(entry), ensure_ascii=False))
    elif form == "json":
        click.echo(json.dumps({"run": known_as, "name": found.name, "entries": [asdict(entry) for entry in entries]}, indent=2))
    else:
        click.echo("\n".join([f"{found.name} ({known_as}), UTC", *audit_lines(entries)]))
    if not check:
        return
    if broken := verify(known_as, entries, over=over):
        click.echo(f"BROKEN: {broken}", err=True)
        sys.exit(1)
    click.echo(f"Whole: {len(entries)} entries, the last hash is {entries[-1].hash if entries else origin(known_as)}.", err=form != "text")
