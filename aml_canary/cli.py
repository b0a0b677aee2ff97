"""The command line: check manifests, see plans, start rollouts, run the webhook door; the other commands are in `cli_<subject>`.

Exit codes: 0 fine, 1 found problems or failed, 2 wrong usage. Each command imports what it needs when it runs, so that `--help` loads neither
Prefect, nor Azure, nor rich. May import everything of `aml_canary`; flows and tasks are reached through Prefect, by name.
"""

import json
import sys
from pathlib import Path

import click

from aml_canary.cli_answers import abort, approve, explain, reject
from aml_canary.cli_audit import audit
from aml_canary.cli_common import failing_plainly, formats, insist_on_prefect
from aml_canary.cli_completion import completion
from aml_canary.cli_doctor import doctor
from aml_canary.cli_setup import init, setup
from aml_canary.cli_status import status, watch

_path = click.argument("path", type=click.Path(exists=True, path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aml-canary")
def main() -> None:
    """Safe GitOps rollouts of models on Azure ML online endpoints."""


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--notes", is_flag=True, help="Print also how older spellings were read.")
@click.option("--changed", is_flag=True, help="PATHS are files that changed: check the manifests that they belong to.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    help="What to print: text for people, json for scripts, sarif (2.1.0) for code hosts and editors.",
)
@failing_plainly
def validate(paths: tuple[Path, ...], notes: bool, changed: bool, form: str) -> None:
    """Check manifests: files, folders of a manifest, or folders to look through."""
    from aml_canary.local import changed_readings, readings

    read = changed_readings(paths) if changed else [reading for path in paths for reading in readings(path)]
    checked, found = len(read), [finding for reading in read for finding in reading.findings]
    errors = [finding for finding in found if finding.severity == "error"]
    if form == "json":
        click.echo(json.dumps({"manifests": checked, "findings": [vars(finding) for finding in found]}, indent=2))
    elif form == "sarif":
        from importlib.metadata import version

        from aml_canary.domain.sarif import sarif

        click.echo(json.dumps(sarif(found if notes else errors, version("aml-canary")), indent=2))
    else:
        for finding in found if notes else errors:
            click.echo(str(finding))
        click.echo(f"{checked} manifests, {len(errors)} errors, {len(found) - len(errors)} notes.")
    if not checked and not changed:
        click.echo(
            "No manifest was found: a manifest is canary.yml or *.canary.yml, or a folder with endpoint.yml or managed-<n>-*.yaml.",
            err=True,
        )
    sys.exit(1 if errors or not (checked or changed) else 0)


@main.command()
@_path
@click.option(
    "--observed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Plan against this endpoint (JSON, as `status --format json` prints it).",
)
@formats
@failing_plainly
def plan(path: Path, observed: Path | None, form: str) -> None:
    """Show what a rollout of the manifest at PATH would do, without doing it."""
    from aml_canary.domain.order import what_is_left
    from aml_canary.domain.planner import Plan
    from aml_canary.domain.report import plan_report
    from aml_canary.domain.simulate import whole_path
    from aml_canary.domain.steps import gate_of, label, sentence
    from aml_canary.gateways.expecting import expected
    from aml_canary.local import local_order, observed_from

    order = local_order(path)
    live = observed_from(observed, order.endpoint)
    steps = whole_path(order.stages, live, order.waits)
    remarks = what_is_left(order, live).plan.remarks
    # A file says nothing of what is asked.
    remarks += expected(steps, live, order.manifest.rollout.judge) if observed is None else ()
    approvals = order.manifest.rollout.approvals
    if form == "json":
        rows = [{"step": label(s), "what": sentence(s), "approval": gate_of(s) in approvals.before} for s in steps]
        click.echo(json.dumps({"endpoint": order.endpoint, "steps": rows, "remarks": list(remarks)}, indent=2))
    else:
        click.echo(plan_report(order.endpoint, Plan(steps, remarks), live, approvals))


@main.command()
@_path
@click.option(
    "--repository", help="Name (AML_CANARY_REPOSITORIES) or URL the worker reads from. Default: the remote `origin`, or the folder."
)
@formats
@failing_plainly
def run(path: Path, repository: str | None, form: str) -> None:
    """Start a rollout of the manifest at PATH, as committed at HEAD, now."""
    from aml_canary.gateways.prefect_runs import start_rollout
    from aml_canary.local import committed_order

    insist_on_prefect()
    order = committed_order(path, repository)
    started = start_rollout(order)
    if form == "json":
        click.echo(json.dumps({"run": started.id, "name": started.name, "url": started.url, "commit": order.commit}))
    else:
        click.echo(f"{started.name}: {started.url}")


@main.command()
@click.argument("endpoint")
@failing_plainly
def unquarantine(endpoint: str) -> None:
    """Let sync start again what was judged bad or rejected on ENDPOINT."""
    from dataclasses import replace

    from aml_canary.gateways import prefect_history

    insist_on_prefect()
    orders = prefect_history.quarantine_of(endpoint)
    barred = [entry for entry in orders.values() if not entry.lifted]
    for entry in barred:
        click.echo(f"Commit {entry.commit[:12]} was in quarantine: {entry.why}")
    if not barred:
        click.echo(f"Nothing is in quarantine on {endpoint}.")
        return
    prefect_history.set_quarantine(endpoint, {order: replace(entry, lifted=True) for order, entry in orders.items()})
    click.echo("Lifted. The next sync starts what the branch wants.")


@main.command()
@click.option(
    "--format", "form", type=click.Choice(["json", "markdown"]), default="json", help="JSON Schema for editors, or a page for people."
)
def schema(form: str) -> None:
    """Print the JSON Schema of the manifest's target form, for editors."""
    if form == "markdown":
        from aml_canary.domain.schema_page import manifest_page

        click.echo(manifest_page(), nl=False)
        return
    from aml_canary.domain.schema import manifest_json_schema

    click.echo(json.dumps(manifest_json_schema(), indent=2))


@main.command("serve-webhooks")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8090, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@failing_plainly
def serve_webhooks(host: str, port: int) -> None:
    """Run the webhook door: verified pushes become sync runs."""
    from aml_canary.receiver import serve

    serve(host, port)


for command in (approve, reject, abort, explain, audit, status, watch, init, setup, doctor, completion):
    main.add_command(command)
