"""What every command does: fail plainly, insist on a Prefect server, print tables for whoever reads.

May import click and `errors`; the rest when it is needed.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from aml_canary.errors import AmlCanaryError, Permanent

P = ParamSpec("P")
R = TypeVar("R")


formats = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="What to print: text for people, json for scripts."
)


def failing_plainly(command: Callable[P, R]) -> Callable[P, R]:
    """Our own errors become their text and exit code 1, wrong settings theirs and exit code 2; a traceback is for bugs."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except AmlCanaryError as error:
            click.echo(str(error), err=True)
            sys.exit(1)
        except ValueError as error:
            from aml_canary.settings import problem_with_settings

            told = problem_with_settings(error)
            if not told:
                raise
            click.echo(told, err=True)
            sys.exit(2)

    return run


def insist_on_prefect() -> None:
    """Without an address, Prefect's client would start a server of its own, for this moment, which knows of no rollout."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise Permanent("No Prefect server is configured: set PREFECT_API_URL, such as http://127.0.0.1:4200/api.")


def on_terminal() -> bool:
    """Whether somebody looks; in a pipe everything is plain text."""
    return sys.stdout.isatty()


def show(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: with rich on a terminal, as plain columns in a pipe."""
    if on_terminal():
        from aml_canary.cli_screen import show_table

        show_table(headings, rows)
        return
    whole = [tuple(headings), *map(tuple, rows)]
    widths = [max(len(row[n]) for row in whole) for n in range(len(headings))]
    for row in whole:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
