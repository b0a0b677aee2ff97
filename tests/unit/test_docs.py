"""The documents say what is so: output, settings, links, pictures and names in them are checked against the code.

Where a block is stale, the message of the failure holds what it should say. What can be typed is in `test_docs_commands`.
"""

import ast
import json
import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from pydantic_core import PydanticUndefined

from aml_canary.domain.schema_page import manifest_page
from aml_canary.settings import Settings
from benchmarks.judge.families import HEALTHY_FAMILIES
from tests.unit.documents import COMMANDS, DOCS, README, ROOT, blocks, name_of, without_fences

ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
VERBS = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())
SETTINGS_PAGE = (ROOT / "docs/settings.md").read_text()


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


def variable(field: str) -> str:
    return f"AML_CANARY_{field.upper()}"


def settings_table() -> str:
    """The settings as docs/settings.md has them."""
    rows = ["| variable | default | meaning |", "|-|-|-|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, "", (), {}, PydanticUndefined) else f"`{str(default).replace(str(Path.home()), '~')}`"
        rows.append(f"| `{variable(name)}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_documented_settings_are_those_of_the_code():
    shown = SETTINGS_PAGE.split("<!-- settings: begin -->\n")[1].split("\n<!-- settings: end -->")[0]
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


def test_decisions_are_numbered_without_a_gap_and_those_named_in_the_code_are_there():
    numbers = [int(path.name[:4]) for path in ADRS]
    assert numbers == list(range(1, len(ADRS) + 1))
    code = [ROOT / "pyproject.toml", *(path for room in ("flows", "tasks", "aml_canary") for path in (ROOT / room).rglob("*.py"))]
    named = {int(number) for path in code for number in re.findall(r"docs/adr/(\d{4})", path.read_text())}
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
    schedules = [yaml.safe_load(block.text)["schedules"] for block in blocks("yaml") if block.text.startswith("schedules:")]
    assert schedules
    for schedule in schedules:
        assert {"repository"} <= schedule[0]["parameters"].keys() <= arguments_of("sync")


def test_each_picture_is_whole_says_in_words_what_it_shows_and_is_shown():
    shown = {
        (document.parent / path).resolve()
        for document in DOCS
        for path in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", without_fences(document.read_text()))
    }
    assert set((ROOT / "docs/img").iterdir()) == {path for path in shown if path.is_relative_to(ROOT / "docs/img")}
    for picture in (ROOT / "docs/img").glob("*.svg"):
        root = ElementTree.fromstring(picture.read_text())  # noqa: S314 -- ours
        space = "{http://www.w3.org/2000/svg}"
        assert root.find(f"{space}title") is not None
        assert root.find(f"{space}desc") is not None
        assert "prefers-color-scheme: dark" in picture.read_text()


def test_the_lock_names_no_index_and_no_host():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert not re.search(r"^-", lock, re.MULTILINE)


def test_the_manifest_reference_is_what_the_model_says():
    page = manifest_page()
    assert (ROOT / "docs/manifest.md").read_text() == page, "run `aml-canary schema --format markdown > docs/manifest.md`"


def test_every_key_that_a_manifest_may_have_is_in_its_reference():
    from aml_canary.domain.schema import manifest_json_schema

    schema = manifest_json_schema()
    keys = [key for node in (schema, *schema["$defs"].values()) for key in node["properties"]]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]*) \| (.+) \|$", manifest_page().replace("\\|", "/"), re.MULTILINE)
    assert sorted(row[0] for row in rows) == sorted(keys)
    assert [row for row in rows if not row[3].strip() or "anything" in row[1]] == [row for row in rows if row[0] == "equals"]


def test_the_readme_is_one_page_and_every_document_is_in_the_index():
    assert len(README.splitlines()) < 160
    index = (ROOT / "docs/README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_the_false_alarms_among_the_limits_are_the_stored_ones():
    names = {family.name for family in HEALTHY_FAMILIES}
    cells = json.loads((ROOT / "benchmarks/judge/results.json").read_text())["cells"]
    ours = [(cell["judges"]["ours"]["failed"], cell["judges"]["ours"]["runs"], cell) for cell in cells if cell["family"] in names]
    failed, runs = sum(row[0] for row in ours), sum(row[1] for row in ours)
    worst = max(ours, key=lambda row: row[0] / row[1])
    said = (ROOT / "docs/limits.md").read_text()
    assert f"it failed {failed} of {runs:,} healthy canaries" in said, f"{failed} of {runs:,}"
    where = f"{worst[2]['rate']} requests a minute and {worst[2]['share']} % of the traffic, {worst[0]} of {worst[1]}"
    assert worst[2]["family"] == "clustered retries", worst
    assert where in said, where
    for name in names:
        kind = [row for row in ours if row[2]["family"] == name]
        assert sum(row[0] for row in kind) * 100 < sum(row[1] for row in kind), name
