"""What the command line looks like on a terminal: tables, bars, a picture of a rollout that changes.

In a pipe everything is plain text, which this is not asked for. Loaded by a command, never by `--help`. May import rich and `domain`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aml_canary.domain.progress import duration
from aml_canary.domain.standing import Picture, Standing, telling, waiting_told

_EVENTS_SHOWN = 20
_BAR = 30
# What a state is to whoever looks: fine, to be looked at, bad.
_STYLES = {"COMPLETED": "green", "PAUSED": "yellow", "FAILED": "red", "CRASHED": "red", "CANCELLED": "magenta", "RUNNING": "cyan"}


def console() -> Console:
    """The terminal; not coloured where NO_COLOR is set."""
    return Console(highlight=False)


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as it needs to be."""
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def show_markdown(text: str) -> None:
    """Print a markdown document."""
    console().print(Markdown(text))


def picture(seen: Picture, now: datetime) -> RenderableType:
    """A rollout at one moment: what happened, live traffic, what it waits for, how far its bake is."""
    standing = seen.standing
    parts: list[RenderableType] = [_head(standing), _events(seen)]
    if seen.traffic is not None:
        parts.append(_traffic(seen.traffic))
    if standing.minutes is not None:
        minutes = standing.minutes
        label = f"  {minutes.judged} of at most {minutes.longest} minutes, {duration((minutes.longest - minutes.judged) * 60)} left"
        parts += [_bar(minutes.judged, minutes.longest, label), Text(minutes.verdict)]
    if told := waiting_told(standing, now):
        parts.append(Text(f"Waits for {told}.", style="yellow"))
        if standing.since and standing.until:
            whole = (standing.until - standing.since).total_seconds()
            parts.append(_bar((now - standing.since).total_seconds(), whole, ""))
        if standing.waits == "answer":
            parts.append(Text(f"aml-canary approve {standing.name}", style="bold"))
    return Group(*parts)


def _head(standing: Standing) -> Text:
    head = Text(standing.name, style="bold")
    head.append(f"  {standing.state}", style=_STYLES.get(standing.type, ""))
    return head.append(f"  {standing.url}", style="dim")


def _events(seen: Picture) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for event in sorted(telling(seen), key=lambda event: event.at)[-_EVENTS_SHOWN:]:
        table.add_row(Text(f"{event.at:%H:%M:%S}", style="dim"), Text(event.told))
    return table


def _traffic(weights: Mapping[str, int]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, weight in sorted(weights.items()):
        table.add_row(Text(name), ProgressBar(total=100, completed=weight, width=_BAR), Text(f"{weight} %"))
    return table


def _bar(done: float, whole: float, label: str) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row(ProgressBar(total=max(whole, 1), completed=max(0, done), width=_BAR), Text(label))
    return table
