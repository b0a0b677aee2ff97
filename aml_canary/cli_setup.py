"""The command line's beginnings: a repository's first files, and what Prefect has to have.

Commands of `cli`, which adds them. May import everything of `aml_canary`, when a command runs.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aml_canary.cli_common import failing_plainly, insist_on_prefect

if TYPE_CHECKING:
    from aml_canary.gateways.prefect_setup import Done

# As in `domain.starter`, which takes too long to load for --help; a test holds them together.
HOSTS = ("github", "gitlab", "azure-devops", "bitbucket", "bitbucket-dc", "gitea", "forgejo")


@click.command()
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--endpoint", help="Name of the endpoint.")
@click.option("--model", help="A registered model (azureml:name:version), or the folder of an MLflow model in the repository.")
@click.option("--repository", help="The git host's name for the repository, such as acme/models. Default: from the remote `origin`.")
@click.option("--url", help="Where the repository is read from. Default: the remote `origin`.")
@click.option("--host", type=click.Choice(HOSTS), help="The git host. Default: from the URL.")
@click.option("--branch", default="main", show_default=True, help="The branch that says what shall be live.")
@click.option("--deployment", default="blue", show_default=True, help="Name of the first deployment.")
@click.option("--instance-type", default="Standard_DS3_v2", show_default=True, help="Azure's VM size for it.")
@click.option("--subscription-id", default="", help="Azure subscription of the workspace.")
@click.option("--resource-group", default="", help="Azure resource group of the workspace.")
@click.option("--workspace", default="", help="Azure ML workspace.")
@click.option("--door", default="https://canary.example.com", show_default=True, help="Where the webhook door will be reached.")
@click.option("--no-input", is_flag=True, help="Ask nothing; what is missing is an error.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@failing_plainly
def init(
    folder: Path,
    endpoint: str | None,
    model: str | None,
    repository: str | None,
    url: str | None,
    host: str | None,
    no_input: bool,
    force: bool,
    **rest: str,
) -> None:
    """Write a repository's first files: manifest, smoke request, settings, prefect.yaml, and how to set the webhook up.

    FOLDER is the root of your own repository. What is not given is asked. Nothing is written where a file is there already.
    """
    from aml_canary.domain.starter import Beginning, files, host_of, name_of, webhook
    from aml_canary.gateways.git import remote_url
    from aml_canary.gateways.gitcommand import Address
    from aml_canary.local import begin

    def asked(given: str | None, option: str, question: str, default: str = "", choices: tuple[str, ...] = ()) -> str:
        if given is None and not no_input:
            given = click.prompt(question, default=default or None, type=click.Choice(choices) if choices else str)
        given = given or default
        if not given:
            raise click.UsageError(f"Give {option}.")
        return given

    origin = remote_url(folder) or ""
    url = asked(url, "--url", "URL that the repository is read from", Address(origin).bare if origin else "")
    begun = Beginning(
        endpoint=asked(endpoint, "--endpoint", "Name of the endpoint").lower(),
        model=asked(model, "--model", "Model: azureml:name:version, or the folder of an MLflow model"),
        repository=asked(repository, "--repository", "The git host's name for the repository", name_of(url)),
        host=asked(host, "--host", "Git host", host_of(url), HOSTS),
        url=Address(url).bare,
        **rest,
    )
    for path in begin(folder, files(begun), force=force):
        click.echo(f"wrote {path}")
    click.echo(f"\n{webhook(begun)}")
    click.echo(
        f"Next: put a real request into {begun.folder}/{begun.endpoint}-request.json, fill aml-canary.env in, and commit; "
        "then `aml-canary setup --deploy`, a worker, and `aml-canary doctor`."
    )


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("--deploy", is_flag=True, help="Also create or update the deployments, sync looking at each of AML_CANARY_REPOSITORIES.")
@click.option("--every", default=300, show_default=True, type=click.IntRange(30), help="With --deploy: how often sync looks, in seconds.")
@click.option(
    "--channel", "channels", multiple=True, help="Make this notification block, such as slack-webhook/ml-oncall; its address is asked."
)
@failing_plainly
def setup(dry_run: bool, deploy: bool, every: int, channels: tuple[str, ...]) -> None:
    """Make what Prefect has to have: work pool, channels, the automation that tells when the guard stops, deployments.

    Run it as often as you like: what is there stays. A channel's address is a secret; without a terminal it is read from the input,
    one line for each channel that is not there yet.
    """
    from aml_canary.domain.starter import deployments
    from aml_canary.gateways import prefect_setup
    from aml_canary.settings import settings

    insist_on_prefect()
    named = tuple(dict.fromkeys([*channels, *settings().notify]))
    done = [prefect_setup.pool(dry=dry_run)]
    done += [_channel(name, dry=dry_run) for name in named]
    done += prefect_setup.watchdog(named, dry=dry_run)
    if deploy:
        done.append(prefect_setup.deploy(deployments(settings().repositories, every), dry=dry_run))
    for one in done:
        click.echo(f"{'would be ' if dry_run and one.word != 'there' else ''}{one.word}: {one.what}")
    untold = [name for name in channels if name not in settings().notify]
    if untold:
        click.echo(f"Nobody is told by {', '.join(untold)} until AML_CANARY_NOTIFY names it where workers run.")


def _channel(name: str, *, dry: bool) -> "Done":
    from aml_canary.errors import Permanent
    from aml_canary.gateways import prefect_setup

    if prefect_setup.is_there(name):
        return prefect_setup.Done(f"channel {name}", "there")
    if dry:
        return prefect_setup.Done(f"channel {name}", "made")
    address = str(click.prompt(f"Address of {name}", hide_input=True)) if sys.stdin.isatty() else sys.stdin.readline()
    if not address.strip():
        raise Permanent(f"{name} is not there, and the input has no address for it. Give it one line, or make the block in the Prefect UI.")
    return prefect_setup.channel(name, address.strip())
