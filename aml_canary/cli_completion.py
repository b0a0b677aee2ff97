"""Completion for shells: click's own, with the names of endpoints and rollouts, asked of Prefect's API directly.

Loading Prefect would take longer than anybody waits for a completion, so this speaks HTTP by itself; where that fails, nothing is
proposed. May import click and the standard library only.
"""

import json
import os
from base64 import b64encode
from typing import Any

import click
from click.shell_completion import get_completion_class

_PATIENCE_SECONDS = 1.0
_LOCKS = {"variables": {"tags": {"all_": ["aml-canary-lock"]}}, "limit": 200}
_ROLLOUTS = {"flows": {"name": {"any_": ["canary", "teardown"]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 50}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete the commands: `eval "$(aml-canary completion bash)"`, or `... fish | source`."""
    from aml_canary.cli import main

    made = get_completion_class(shell)
    if made is not None:
        # Not made.source(): bash's looks for a bash of its own first.
        shown = made(main, {}, "aml-canary", "_AML_CANARY_COMPLETE")
        click.echo(shown.source_template % shown.source_vars())


def endpoints_held(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The endpoints that rollouts hold."""
    del context, parameter
    found = (variable.get("value") or {} for variable in _asked("/variables/filter", _LOCKS))
    return sorted(name for value in found if (name := str(value.get("endpoint", ""))).startswith(incomplete) and name)


def runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The newest rollouts by name, the newest first, and the endpoints that are held."""
    named = dict.fromkeys(str(run.get("name", "")) for run in _asked("/flow_runs/filter", _ROLLOUTS))
    return [*endpoints_held(context, parameter, incomplete), *(name for name in named if name and name.startswith(incomplete))]


def _asked(path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    url = os.environ.get("PREFECT_API_URL", "")
    if not url.startswith(("http://", "https://")):
        return []
    # Not above: it would be a third of the time that --help takes.
    import urllib.request

    headers = {"content-type": "application/json"}
    if login := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    request = urllib.request.Request(url.rstrip("/") + path, json.dumps(query).encode(), headers)  # noqa: S310 -- checked above
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310
            found = json.load(answer)
    except (OSError, ValueError):
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
