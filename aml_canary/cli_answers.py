"""The command line's words about one rollout: approve, reject, abort, explain.

Commands of `cli`, which adds them. May import everything of `aml_canary`, when a command runs.
"""

import getpass

import click

from aml_canary.cli_common import failing_plainly, insist_on_prefect

_run = click.argument("run")
_as = click.option("--as", "who", default=getpass.getuser, show_default="your login name", help="Your name, as it is recorded.")


@click.command()
@_run
@_as
@click.option("--comment", help="Why, for whoever reads this later.")
@failing_plainly
def approve(run: str, who: str, comment: str | None) -> None:
    """Approve what RUN asks, by its id or name (endpoint@commit): it goes on with the next step."""
    _answer(run, "approve", who, comment)


@click.command()
@_run
@click.argument("why")
@_as
@failing_plainly
def reject(run: str, why: str, who: str) -> None:
    """Reject what RUN asks, and say WHY: the rollout ends, and live traffic goes back."""
    _answer(run, "reject", who, why)


def _answer(run: str, decision: str, who: str, comment: str | None) -> None:
    from aml_canary.gateways import prefect_answers

    insist_on_prefect()
    asked = prefect_answers.waiting(run)
    prefect_answers.answer(asked, decision, who, comment)
    told = "is approved and goes on" if decision == "approve" else "is rejected, and live traffic goes back"
    click.echo(f"{asked.name}: {asked.gate} {told}, as {who} said.")


@click.command()
@click.argument("endpoint")
@click.argument("why")
@failing_plainly
def abort(endpoint: str, why: str) -> None:
    """End the rollout of ENDPOINT now, and say WHY: live traffic goes back first, from here, so no worker is needed."""
    from datetime import UTC, datetime

    from aml_canary.domain.observed import traffic_text
    from aml_canary.gateways import azureml, prefect_answers, prefect_db
    from aml_canary.gateways.prefect_audit import append_if_possible

    insist_on_prefect()
    holder = prefect_db.held_by(endpoint)
    if holder is None:
        live = azureml.glance(endpoint)
        click.echo(f"No rollout holds {endpoint}. Live traffic: {traffic_text(live.traffic)}.")
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    back = azureml.put_traffic_back(endpoint, holder.runs, now)
    prefect_answers.abort_run(holder.run, why)
    # A step that was under way at that moment may have moved traffic once more.
    back = azureml.put_traffic_back(endpoint, holder.runs, now) or back
    prefect_db.release_lock(holder)
    said = {"why": why, "traffic": None if back is None else dict(back.traffic)}
    problem = append_if_possible(holder.run, "ended", "Aborted", who=f"{getpass.getuser()} (aml-canary abort, unverified)", after=said)
    if problem:
        click.echo(f"The audit log does not say so: {problem}", err=True)
    put = f"was put back to {traffic_text(back.traffic)}" if back is not None else "was as before the rollout and was left alone"
    click.echo(f"The rollout of {endpoint} is ended. Live traffic {put}. The endpoint is free.")


@click.command()
@_run
@failing_plainly
def explain(run: str) -> None:
    """Tell what RUN did and why, step by step: stages, questions, answers, verdicts, its end."""
    from aml_canary.domain.explained import explained
    from aml_canary.gateways.prefect_story import story_of

    insist_on_prefect()
    click.echo(explained(story_of(run)))
