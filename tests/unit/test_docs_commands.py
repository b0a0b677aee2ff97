"""Everything that the documents have their reader type is typed in some test, by a `Reader`; this is where that is seen to.

Here is typed what needs neither Azure nor Prefect. Whether all of it is what the programs take is asked of the programs themselves, without
running them.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from aml_canary.cli import main
from aml_canary.domain.observed import absent
from aml_emulator.cli import main as emulator
from aml_emulator.faults import Faults
from aml_emulator.routes import OPERATIONS
from examples.demo.stack import BIN, exports
from tests.reader import Reader
from tests.unit.documents import COMMANDS, OURS, ROOT, Line, blocks, in_blocks, in_sentences, sessions, shell

# Programs that are everywhere: none of their own knows whether an option is right, but a `Reader` types them.
EVERYWHERE = {"cat", "cd", "curl", "eval", "export", "git", "pip", "python", "set", "."}


def split(line: Line) -> list[str]:
    """The words of a command, without where its output goes."""
    return shlex.split(re.sub(r" > \S+$", "", line.command), comments=True)


def parsed_by(group: click.Group, line: Line) -> None:
    """Let the real program take the command apart, without running it."""
    outer = click.Context(group, **group.context_settings)  # a command remembers the help option of its first context
    _, rest, _ = group.make_parser(outer).parse_args(split(line)[1:])
    if not rest:
        return
    command = group.commands.get(rest[0])
    assert command is not None, f"{line.where}: there is no `{rest[0]}`; there is {', '.join(sorted(group.commands))}"
    context = click.Context(command, parent=outer)
    try:
        options, extra, _ = command.make_parser(context).parse_args(rest[1:])
        for parameter in command.params:
            if isinstance(parameter.type, click.Choice) and parameter.name in options:
                parameter.type.convert(options[parameter.name], parameter, context)
    except click.UsageError as error:
        pytest.fail(f"{line.where}: `{line.command}`: {error.format_message()}")
    assert extra == [], f"{line.where}: `{line.command}` takes no {extra}"


@pytest.mark.parametrize("line", OURS, ids=lambda line: line.command)
def test_every_command_of_ours_has_the_options_that_the_documents_give_it(line):
    parsed_by(main, line)


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_of_ours_is_in_the_documents(name):
    assert name in {words[1] for line in OURS if len(words := split(line)) > 1}


def test_every_command_of_the_emulator_has_the_options_that_the_documents_give_it():
    lines = [line for line in COMMANDS if re.match(r"aml-emulator (--|start|env|reset)", line.command)]
    assert lines
    for line in lines:
        parsed_by(emulator, line)


PREFECT = [line for line in COMMANDS if re.match(r"prefect (--no-prompt )?[a-z-]+ ", line.command)]


@pytest.mark.parametrize("line", PREFECT, ids=lambda line: line.command)
def test_every_command_of_prefects_is_one_that_prefect_takes(line):
    from prefect.cli._app import _app

    # The one option that goes before the command is the outer app's.
    words = [word for word in split(line)[1:] if word != "--no-prompt"]
    command, _, left = _app.parse_args(words, exit_on_error=False, print_error=False)[:3]
    assert command.__module__.startswith("prefect.cli."), f"{line.where}: {line.command}"
    assert not left


def test_of_az_nothing_is_told_that_no_test_types():
    typed = [line.command for line in in_blocks()] + ["az rest --url"]
    told = {line.command for line in in_sentences() if line.command.startswith("az ")}
    assert {command for command in told if not any(one.startswith(command) for one in typed)} == {"az ml"}, "a name only"


def test_nothing_else_is_to_be_typed():
    ours = {"aml-canary", "aml-emulator", "make", "prefect", "az"}
    unknown = {
        (line.where, word) for line in in_blocks() if (word := line.command.removeprefix(".venv/bin/").split()[0]) not in ours | EVERYWHERE
    }
    assert unknown == set(), "run it in a test, or have its own program parse it"


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: f"{block.where}: {shell(block.text)[0][:40]}")
def test_a_shell_takes_every_block(block):
    # What stands for the reader's own, such as <identity>, would be a redirection.
    done = subprocess.run(["/bin/sh", "-n"], input=re.sub(r"<[^>\n]+>", "x", block.text), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.where}: {done.stderr}\n{block.text}"


def test_every_module_and_file_given_to_python_exists():
    for line in COMMANDS:
        if found := re.match(r"python -m (\S+)", line.command):
            there = found[1] in ("pip", "pytest") or (ROOT / found[1].replace(".", "/")).with_suffix(".py").exists()
            assert there or (ROOT / found[1].replace(".", "/") / "__main__.py").exists(), f"{line.where}: {line.command}"
        for path in re.findall(r"(?<= )tests/\S+", line.command):
            assert list(ROOT.glob(path)), f"{line.where}: {line.command}"


# Where a document's shell blocks are typed, one after the other, all of them.
TYPED = {
    "CONTRIBUTING.md": "tests/unit/test_docs_commands.py",
    "aml_emulator/README.md": "tests/e2e/test_installing.py",
    "docs/azure.md": "tests/e2e/test_going_to_azure.py",
    "docs/getting-started.md": "tests/e2e/beginner.py",
    "docs/metrics.md": "tests/e2e/test_az.py",
    "docs/git.md": "tests/unit/test_docs_commands.py",
    "docs/operating.md": "tests/orchestration/test_documents.py",
    "docs/security.md": "tests/e2e/test_installing.py",
}
# Commands in sentences that no `Reader` says, and the test that runs each.
RUN = {
    "aml-canary validate --format sarif": "tests/unit/test_docs_commands.py",
    "aml-canary status --format json": "tests/orchestration/test_cli.py",
    "aml-canary --version": "tests/e2e/test_installing.py",
    "aml-canary audit RUN": "tests/orchestration/test_retry.py",
    "aml-emulator start --help": "tests/contract/emulator/test_emulator_readme.py",
    "aml-emulator start --state DIR": "tests/contract/emulator/test_emulator_state.py",
    "aml-emulator start --answers FILE": "tests/orchestration/conftest.py",
    "prefect server start": "tests/contract/receiver_world.py",
}


def typed_where() -> set[str]:
    """The documents with a block that has more than exports, which `test_docs_blocks` runs."""
    return {line.where for line in in_blocks() if not line.output and not line.command.startswith("export ")} - transcribed()


def transcribed() -> set[str]:
    """Documents whose only commands are those of transcripts."""
    return set(sessions()) - {block.where for block in blocks("sh")}


def test_each_document_with_commands_in_blocks_is_typed_by_a_test():
    assert typed_where() == set(TYPED)
    for where, test in TYPED.items():
        text = (ROOT / test).read_text()
        assert re.search(rf'Reader\(\s*"{where}"|GUIDE = "{where}"', text), f"{test} has no reader of {where}"


def test_each_command_in_a_sentence_is_typed_by_a_test():
    call = re.compile(r"""\.(?:say|beginning)\(\s*(?:"([^"]*)"|'([^']*)')""")
    typed = {text for test in (ROOT / "tests").rglob("*.py") for found in call.findall(test.read_text()) for text in found}
    typed |= {line.command for line in in_blocks()}
    there = {line.command for line in in_sentences() if re.match(r"(aml-canary|aml-emulator|prefect) (--|[a-z-]+ \S)", line.command)}
    # Where its output goes makes no other command of it.
    assert {command for command in there if command not in typed | {one.split(" > ")[0] for one in typed}} == set(RUN)
    for test in RUN.values():
        assert (ROOT / test).exists()


def test_whoever_changes_something_types_what_contributing_has(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    env |= {"PYTEST_ADDOPTS": "-p no:cacheprovider", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    with Reader("CONTRIBUTING.md", ROOT, env, {".venv/bin/python": sys.executable}) as reader:
        everything, one = reader.lines()
        assert "2 passed" in reader.type(one)
        # These very tests, so they are only counted.
        assert re.search(r"\d{4} tests collected", reader.type(f"{everything} --collect-only --quiet"))
        reader.folder = tmp_path
        (tmp_path / "docs").mkdir()
        reader.say("aml-canary schema --format markdown > docs/manifest.md")
    assert (tmp_path / "docs/manifest.md").read_text() == (ROOT / "docs/manifest.md").read_text()


def test_findings_go_where_docs_git_has_them_go(checkout):
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    (checkout / "configs/bad.canary.yml").write_text("endpoint: {name: bad}\n")
    with Reader("docs/git.md", checkout, env) as reader:
        assert reader.lines()[0].startswith("export ")
        reader.read(code=1)
    [found] = json.loads((checkout / "aml-canary.sarif").read_text())["runs"]
    assert {at["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for at in found["results"]} == {"configs/bad.canary.yml"}


OFFLINE = ("--help", "--version", "init", "plan", "schema", "validate")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The working folder of somebody who follows the documents, and an Azure where nothing is yet."""
    for folder in ("configs", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples/models", tmp_path / "models", ignore=shutil.ignore_patterns("__pycache__"))
    for words in (["init", "--quiet"], ["remote", "add", "origin", "file:///demo/models.git"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("aml_canary.gateways.azureml.observe", absent)
    return tmp_path


@pytest.mark.parametrize(("where", "session"), sessions().items(), ids=sessions())
def test_what_a_transcript_shows_is_what_comes_out(where, session, checkout):
    for line in session:
        words = shlex.split(line.command)
        if words[0] == "cat":
            (checkout / words[1]).write_text(line.output + "\n")
        elif words[0] == "aml-canary":
            assert words[1] in OFFLINE, f"{where}: `{line.command}` is not run by this test: put it into a shell block"
            # What a terminal of 80 columns or more shows.
            came = CliRunner().invoke(main, words[1:], prog_name="aml-canary", terminal_width=78).output
            shown = re.escape(line.output).replace(r"\.\.\.", ".*") if "\n..." in line.output else re.escape(line.output)
            assert re.fullmatch(shown, came.rstrip("\n"), re.DOTALL), f"{where}: `{line.command}` prints:\n{came}"


def test_the_documents_run_what_can_be_run_without_azure():
    run = {split(line)[1] for lines in sessions().values() for line in lines if line.command.startswith("aml-canary")}
    assert run == {"--help", "init", "plan", "validate"}


def test_the_fault_that_the_beginners_guide_injects_is_one_that_the_emulator_knows():
    [command] = [line for line in COMMANDS if "_emulator/faults" in line.command and line.command.startswith("curl ")]
    words = split(command)
    fault = Faults(operation.name for operation in OPERATIONS).add(json.loads(words[words.index("--data") + 1]))
    assert (fault.on, fault.status, fault.count) == ("endpoint.put", 403, 1)


def test_the_settings_that_the_demo_leaves_are_the_ones_that_its_worker_has(tmp_path):
    given = {
        "AML_CANARY_WORKSPACE": "it's",
        "AZURE_CLIENT_SECRET": "a b",
        "PREFECT_API_URL": "http://x",
        "REQUESTS_CA_BUNDLE": "/ca",
        "HOME": "/h",
    }
    (tmp_path / "settings.sh").write_text(exports(given))
    theirs = {"PATH": "/bin:/usr/bin", "PREFECT_API_KEY": "of another server", "AZUREML_CURRENT_CLOUD": "SomebodyElses"}
    shown = subprocess.run(["/bin/sh", "-ec", f". {tmp_path}/settings.sh; env -0"], env=theirs, capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)
    assert {name: found.get(name) for name in given} == given | {"HOME": None}
    assert not {"PREFECT_API_KEY", "AZUREML_CURRENT_CLOUD"} & set(found), "what the shell was told before"
    assert found["PATH"].endswith(":/bin:/usr/bin")
