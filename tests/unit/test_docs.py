"""The documents say what is so: commands, output, settings, links and names in them are checked against the code.

Where a block is stale, the message of the failure holds what it should say.
"""

import ast
import re
import shlex
import shutil
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import yaml
from click.testing import CliRunner
from pydantic_core import PydanticUndefined

from aml_canary.cli import main
from aml_canary.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted(path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts))
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
VERBS = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())

FENCE = re.compile(r"^[ ]*```(?P<language>\w*)\n(?P<text>.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)


class Line(NamedTuple):
    """A command as a document has it, what is printed below it, and where that is."""

    command: str
    output: str
    where: str


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def without_fences(text: str) -> str:
    return FENCE.sub("", text)


def fences(text: str, *languages: str) -> list[str]:
    """The fenced blocks in these languages, without the indentation they have in a list."""
    found = []
    for match in FENCE.finditer(text):
        if match["language"] in languages:
            indent = re.match(r" *", match[0])[0]
            found.append(re.sub(rf"^{indent}", "", match["text"], flags=re.MULTILINE))
    return found


def transcripts() -> list[list[Line]]:
    """Each `console` block: its commands, and the output of each."""
    found = []
    for document in DOCS:
        for block in fences(document.read_text(), "console"):
            parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
            found.append([Line(parts[n], parts[n + 1].rstrip("\n"), name_of(document)) for n in range(0, len(parts), 2)])
    return found


def commands() -> Iterator[Line]:
    """Everything in the documents that somebody could type: transcripts, shell blocks, and code in a sentence."""
    for block in transcripts():
        yield from block
    for document in DOCS:
        text = document.read_text()
        for block in fences(text, "sh"):
            for line in re.sub(r"\\\n\s*", "", block).splitlines():
                yield Line(line.strip(), "", name_of(document))
        for code in re.findall(r"`([^`\n]+)`", without_fences(text)):
            yield Line(code, "", name_of(document))


COMMANDS = [line._replace(command=line.command.removeprefix(".venv/bin/")) for line in commands()]
OURS = [line for line in COMMANDS if line.command.startswith("aml-canary ")]


@pytest.mark.parametrize("line", OURS, ids=lambda line: line.command)
def test_every_command_of_ours_has_the_options_that_the_documents_give_it(line):
    outer = click.Context(main, **main.context_settings)  # a command remembers the help option of its first context
    _, rest, _ = main.make_parser(outer).parse_args(shlex.split(line.command)[1:])
    if not rest:
        return
    command = main.commands.get(rest[0])
    assert command is not None, f"{line.where}: there is no `aml-canary {rest[0]}`; there is {', '.join(sorted(main.commands))}"
    context = click.Context(command, parent=outer)
    try:
        options, extra, _ = command.make_parser(context).parse_args(rest[1:])
        for parameter in command.params:
            if isinstance(parameter.type, click.Choice) and parameter.name in options:
                parameter.type.convert(options[parameter.name], parameter, context)
    except click.UsageError as error:
        pytest.fail(f"{line.where}: `{line.command}`: {error.format_message()}")
    assert extra == [], f"{line.where}: `{line.command}` takes no {extra}"


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_of_ours_is_in_the_readme(name):
    assert name in {shlex.split(line.command)[1] for line in OURS if line.where == "README.md"}


def runs_offline(words: list[str]) -> bool:
    return words[0] == "aml-canary" and (words[1] in ("validate", "schema", "--help", "--version") or "--observed" in words)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The working folder of somebody who follows the documents; what they are told to write is written here."""
    for folder in ("configs", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", transcripts(), ids=lambda block: block[0].command if block else "nothing")
def test_what_a_transcript_shows_is_what_comes_out(block, checkout):
    assert block, "a console block holds commands that begin with `$ `"
    for line in block:
        words = shlex.split(line.command)
        if words[0] == "cat":
            (checkout / words[1]).write_text(line.output + "\n")
        elif runs_offline(words):
            # What a terminal of 80 columns or more shows.
            came = CliRunner().invoke(main, words[1:], prog_name="aml-canary", terminal_width=78).output
            assert line.output == came.rstrip("\n"), f"{line.where}: `{line.command}` prints:\n{came}"


def test_the_readme_runs_what_can_be_run_without_azure():
    run = {shlex.split(line.command)[1] for line in OURS if line.where == "README.md" and line.output}
    assert {"--help", "validate", "plan"} <= run


def test_every_make_verb_in_the_documents_exists():
    asked = {(verb, line.where) for line in COMMANDS for verb in re.findall(r"^make ([a-z-]+)", line.command)}
    assert {verb for verb, _ in asked} >= {"demo", "test"}
    assert {(verb, where) for verb, where in asked if verb not in VERBS} == set()


def test_every_variable_given_to_make_exists():
    given = {name for line in COMMANDS if line.command.startswith("make ") for name in re.findall(r" ([A-Z]+)=", line.command)}
    assert {name for name in given if not re.search(rf"^{name} \?=", MAKEFILE, re.MULTILINE)} == set()


def test_contributing_gives_every_verb_as_the_plain_command_that_make_runs():
    recipes = [line.strip() for line in MAKEFILE.replace("$(BIN)", ".venv/bin").replace("$(APPROVE)", "api").splitlines()]
    rows = re.findall(r"^\| `make ([a-z-]+)` \| (.*?) \| ", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {verb for verb, _ in rows} == VERBS - {"help"}
    for verb, cell in rows:
        plain = re.findall(r"`([^`]+)`", cell)
        assert plain, f"make {verb} has no plain command"
        other = [command for command in plain if not any(f"{line} ".startswith(f"{command} ") for line in recipes)]
        assert other == [], f"make {verb} is something else"


def test_the_readmes_manifest_is_the_example():
    shown = [block for block in fences(README, "yaml") if "deployments:" in block]
    assert shown == [(ROOT / "examples/manifests/churn.canary.yml").read_text()]


@pytest.mark.parametrize("document", DOCS, ids=name_of)
def test_every_yaml_block_is_yaml(document):
    for block in fences(document.read_text(), "yaml"):
        yaml.safe_load(block)


def variable(field: str) -> str:
    return f"AML_CANARY_{field.upper()}"


def settings_table() -> str:
    """The settings as the README has them."""
    rows = ["| variable | default | meaning |", "|-|-|-|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, "", (), {}, PydanticUndefined) else f"`{str(default).replace(str(Path.home()), '~')}`"
        rows.append(f"| `{variable(name)}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_readmes_settings_are_those_of_the_code():
    shown = README.split("<!-- settings: begin -->\n")[1].split("\n<!-- settings: end -->")[0]
    assert shown == settings_table(), f"between the two comments belongs:\n{settings_table()}"


def test_every_setting_is_documented_and_every_documented_one_is_a_setting():
    named = {name for document in DOCS for name in re.findall(r"\bAML_CANARY_[A-Z_]*[A-Z]\b", document.read_text())}
    assert named == {variable(name) for name in Settings.model_fields}


def slugs(document: Path) -> set[str]:
    """The anchors of a document's headings, as git hosts make them."""
    headings = re.findall(r"^#+ (.*)$", without_fences(document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCS, ids=name_of)
def test_every_relative_link_leads_somewhere(document):
    text = re.sub(r"`[^`\n]*`", "", without_fences(document.read_text()))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in slugs(target)):
            broken.append(link)
    assert broken == []


ADRS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))


@pytest.mark.parametrize("decision", ADRS, ids=lambda path: path.stem)
def test_every_decision_is_dated_has_three_parts_and_is_linked(decision):
    text = decision.read_text()
    title = re.match(r"# (\d+)\. (.+)\n", text)
    assert title, "the first line is `# <number>. <title>`"
    assert int(title[1]) == int(decision.name[:4])
    assert re.search(r"^Date: \d{4}-\d\d-\d\d\. Status: \w+", text, re.MULTILINE)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert f"[{title[2]}]({decision.name})" in (ROOT / "docs/adr/README.md").read_text()


def test_decisions_have_each_a_number_of_their_own_and_those_named_in_the_code_are_there():
    numbers = [path.name[:4] for path in ADRS]
    assert sorted(set(numbers)) == numbers
    code = [ROOT / "pyproject.toml", *(path for room in ("flows", "tasks", "aml_canary") for path in (ROOT / room).rglob("*.py"))]
    named = {number for path in code for number in re.findall(r"docs/adr/(\d{4})", path.read_text())}
    assert named <= set(numbers)
    assert "0007-locked-dependencies.md" in [path.name for path in ADRS], "pyproject.toml refers to it for fastapi"


def test_the_arrows_are_the_contracts_that_are_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    arrows = ARCHITECTURE.split("\n## Arrows\n")[1].split("\n## ")[0]
    assert re.findall(r"^- \*\*(.*)\*\*$", arrows, re.MULTILINE) == [contract["name"] for contract in contracts]


def test_each_word_is_defined_once():
    words = ARCHITECTURE.split("\n## Words\n")[1].split("\n## ")[0]
    defined = [word for row in re.findall(r"^\| (.*?) \| .* \|$", words, re.MULTILINE)[1:] for word in row.split(", ")]
    assert len(defined) > 30
    assert sorted(defined) == sorted(set(defined))


def arguments_of(flow: str) -> set[str]:
    """The parameters of the flow of this name, read without importing it."""
    tree = ast.parse((ROOT / "flows" / f"{flow}.py").read_text())
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == flow)
    return {argument.arg for argument in function.args.args}


def test_deployments_pools_and_parameters_given_to_prefect_exist():
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    names = {f"{d['entrypoint'].split('.')[-1]}/{d['name']}" for d in deployed}
    pools = {d["work_pool"]["name"] for d in deployed}
    seen = set()
    for line in COMMANDS:
        if line.command.startswith("prefect deployment run "):
            name = line.command.split()[3]
            assert name in names, f"{line.where}: {line.command}"
            given = set(re.findall(r"--param (\w+)=", line.command))
            assert given <= arguments_of(name.split("/")[0]), f"{line.where}: {line.command}"
            seen.add(name)
        elif pool := re.match(r"prefect (?:work-pool create|worker start --pool) (\S+)", line.command):
            assert pool[1] in pools, f"{line.where}: {line.command}"
            seen.add(pool[1])
    assert seen == {"sync/sync", "teardown/teardown", "guard/guard", "rollouts"}
    for block in (yaml.safe_load(block) for block in fences(README, "yaml") if block.startswith("schedules:")):
        assert {"repository"} <= block["schedules"][0]["parameters"].keys() <= arguments_of("sync")


def test_the_picture_is_whole_and_says_in_words_what_it_shows():
    for picture in (ROOT / "docs/img").glob("*.svg"):
        root = ElementTree.fromstring(picture.read_text())  # noqa: S314 -- ours
        space = "{http://www.w3.org/2000/svg}"
        assert root.find(f"{space}title") is not None
        assert root.find(f"{space}desc") is not None
        assert "prefers-color-scheme: dark" in picture.read_text()
        assert f"docs/img/{picture.name}" in README


def test_the_lock_names_no_index_and_no_host():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert not re.search(r"^-", lock, re.MULTILINE)
