"""The command line's words about one rollout: approve, reject, abort, explain.

Commands of `cli`, which adds them. May import everything of `aml_canary`, when a command runs.
"""

import getpass
import json
import shlex
from typing import TYPE_CHECKING

import click

from aml_canary.cli_common import failing_plainly, formats, insist_on_prefect, on_terminal
from aml_canary.cli_completion import endpoints_held, runs

if TYPE_CHECKING:
    from aml_canary.domain.observed import Observed
    from aml_canary.gateways.prefect_db import Holder

_run = click.argument("run", shell_complete=runs)
_as = click.option("--as", "who", default=getpass.getuser, show_default="your login name", help="Your name, as it is recorded.")
_yes = click.option("--yes", is_flag=True, help="Do not show the question and ask back first, as a terminal would.")


@click.command()
@_run
@_as
@click.option("--comment", help="Why, for whoever reads this later.")
@_yes
@failing_plainly
def approve(run: str, who: str, comment: str | None, yes: bool) -> None:
    """Approve what RUN asks, by its id, its name (endpoint@commit), or its endpoint: it goes on with the next step."""
    _answer(run, "approve", who, comment, yes)


@click.command()
@_run
@click.argument("why")
@_as
@_yes
@failing_plainly
def reject(run: str, why: str, who: str, yes: bool) -> None:
    """Reject what RUN asks, and say WHY: the rollout ends, and live traffic goes back."""
    _answer(run, "reject", who, why, yes)


def _answer(run: str, decision: str, who: str, comment: str | None, yes: bool) -> None:
    from aml_canary.domain.answering import HOW
    from aml_canary.errors import Permanent
    from aml_canary.gateways import prefect_answers

    insist_on_prefect()
    asked = prefect_answers.waiting(run)
    if decision == "approve" and prefect_answers.wants_proof(asked):
        raise Permanent(f"{asked.gate} of {asked.name} takes no approval from here: nothing would show that it is yours. Instead, {HOW}.")
    if not yes and on_terminal():
        from aml_canary.cli_screen import show_markdown

        show_markdown(prefect_answers.question(asked))
        click.confirm(f"{decision.capitalize()} {asked.gate} of {asked.name}, as {who}?", abort=True)
    prefect_answers.answer(asked, decision, who, comment)
    told = "is approved and goes on" if decision == "approve" else "is rejected, and live traffic goes back"
    click.echo(f"{asked.name}: {asked.gate} {told}, as {who} said.")


@click.command()
@click.argument("endpoint", shell_complete=endpoints_held)
@click.argument("why")
@click.option(
    "--without-prefect", is_flag=True, help="Prefect is down: put live traffic back, as the endpoint's own tags say, and no more."
)
@failing_plainly
def abort(endpoint: str, why: str, without_prefect: bool) -> None:
    """End the rollout of ENDPOINT now, and say WHY: live traffic goes back first, from here, so no worker is needed."""
    from datetime import UTC, datetime

    from aml_canary.domain.observed import traffic_text
    from aml_canary.errors import Transient
    from aml_canary.gateways import azureml, prefect_db
    from aml_canary.gateways.prefect_audit import append_if_possible

    now = datetime.now(UTC).isoformat(timespec="seconds")
    if without_prefect:
        _only_put_back(endpoint, why, now)
        return
    insist_on_prefect()
    try:
        holder = prefect_db.held_by(endpoint)
    except Transient as error:
        raise Transient(f"{error} Nothing was done. With --without-prefect live traffic is put back all the same.") from error
    if holder is None:
        live = azureml.glance(endpoint)
        click.echo(f"No rollout holds {endpoint}. Live traffic: {traffic_text(live.traffic)}.")
        return
    back = end_rollout(holder, why, now)
    said = {"why": why, "traffic": None if back is None else dict(back.traffic)}
    problem = append_if_possible(holder.run, "ended", "Aborted", who=f"{getpass.getuser()} (aml-canary abort, unverified)", after=said)
    if problem:
        click.echo(f"The audit log does not say so: {problem}", err=True)
    put = (
        f"was put back to {traffic_text(back.traffic)}"
        if back is not None
        else f"was left alone: {traffic_text(azureml.glance(endpoint).traffic)}"
    )
    click.echo(f"The rollout of {endpoint} is ended. Live traffic {put}. The endpoint is free.")
    _tell(holder.run, f"{why.rstrip('.')}. Live traffic {put}.")


def end_rollout(holder: "Holder", why: str, now: str) -> "Observed | None":
    """Put traffic back, end the run and free the endpoint; the endpoint where there was something to put back, else None."""
    from aml_canary.gateways import prefect_answers, prefect_db

    endpoint = holder.endpoint
    back = _back(endpoint, holder, now)
    prefect_answers.abort_run(holder.run, why)
    # A step that was under way at that moment may have moved traffic once more, and a process that began may have taken the lock anew.
    back = _back(endpoint, holder, now) or back
    held = prefect_db.held_by(endpoint)
    prefect_db.release_lock(held if held is not None and held.run == holder.run else holder)
    return back


def _back(endpoint: str, holder: "Holder", now: str) -> "Observed | None":
    """Put back what this rollout has shifted and was not done with; the endpoint then, or None where there was nothing to do."""
    from aml_canary.gateways import azureml, prefect_db

    facts = azureml.glance(endpoint).facts
    if facts.run in holder.runs and prefect_db.stands(facts.run, facts.since):
        return None
    return azureml.put_traffic_back(endpoint, holder.runs, now)


def _only_put_back(endpoint: str, why: str, now: str) -> None:
    """What can be done where nobody knows which rollout goes on: undo what the last one wrote, be it ended or not."""
    from aml_canary.domain.observed import traffic_text
    from aml_canary.gateways import azureml

    live = azureml.observe(endpoint)
    back = azureml.put_traffic_back(endpoint, frozenset({live.facts.run}), now)
    if back is None:
        by_hand = bool(live.facts.stable) and not live.on_stable
        why_not = "somebody else set it" if by_hand else "its tags know of nothing to go back to"
        click.echo(f"Live traffic of {endpoint} was left alone, because {why_not}: {traffic_text(live.traffic)}.")
    else:
        click.echo(f"Live traffic of {endpoint} was put back: {traffic_text(back.traffic)}. It was {traffic_text(live.traffic)}.")
    click.echo(f"Prefect was not asked. End the rollout when it is back: {shlex.join(('aml-canary', 'abort', endpoint, why))}")


def _tell(run: str, message: str) -> None:
    """Tell whom AML_CANARY_NOTIFY names here, if anybody; whatever goes wrong with that, the rollout is ended."""
    from aml_canary.gateways import prefect_notices

    try:
        problems = prefect_notices.tell_end(run, "Aborted", message)
    except Exception as error:
        problems = (f"Nobody was told: {error}",)
    for problem in problems:
        click.echo(problem, err=True)


@click.command()
@_run
@formats
@failing_plainly
def explain(run: str, form: str) -> None:
    """Tell what RUN did and why, step by step: stages, questions, answers, verdicts, its end."""
    from aml_canary.domain.explained import explained
    from aml_canary.gateways.prefect_story import story_of

    insist_on_prefect()
    story = sorted(story_of(run), key=lambda event: event.at)
    if form == "json":
        click.echo(json.dumps([{"at": event.at.isoformat(timespec="milliseconds"), "told": event.told} for event in story], indent=2))
    else:
        click.echo(explained(story))
