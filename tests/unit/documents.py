"""The documents as the tests read them: fenced blocks, transcripts, and everything in them that somebody could type. No tests here."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted(path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts))
README = (ROOT / "README.md").read_text()

FENCE = re.compile(r"^[ ]*```(?P<language>\w*)\n(?P<text>.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block, without the indentation it has in a list, and the document it is in."""

    language: str
    text: str
    where: str


class Line(NamedTuple):
    """A command as a document has it, what is printed below it, and where that is."""

    command: str
    output: str
    where: str


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def without_fences(text: str) -> str:
    return FENCE.sub("", text)


def blocks(*languages: str) -> list[Block]:
    """All blocks of all documents; those in these languages, if any are named."""
    found = []
    for document in DOCS:
        for match in FENCE.finditer(document.read_text()):
            if not languages or match["language"] in languages:
                indent = re.match(r" *", match[0])[0]
                found.append(Block(match["language"], re.sub(rf"^{indent}", "", match["text"], flags=re.MULTILINE), name_of(document)))
    return found


def transcripts() -> list[list[Line]]:
    """Each `console` block: its commands, and the output of each."""
    found = []
    for block in blocks("console"):
        parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)[1:]
        found.append([Line(parts[n], parts[n + 1].rstrip("\n"), block.where) for n in range(0, len(parts), 2)])
    return found


def sessions() -> dict[str, list[Line]]:
    """Of each document with transcripts: all that is typed in them, one after the other, as its reader does."""
    found: dict[str, list[Line]] = {}
    for block in transcripts():
        assert block, "a console block holds commands that begin with `$ `"
        found.setdefault(block[0].where, []).extend(block)
    return found


def shell(text: str) -> list[str]:
    """The commands of a shell block, each on one line; a quoted text may go over several."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    whole: list[str] = []
    for line in lines:
        if whole and whole[-1].count("'") % 2:
            whole[-1] += f"\n{line}"
        elif line.strip():
            whole.append(line.strip())
    return whole


def in_blocks() -> Iterator[Line]:
    """Every command of a transcript or a shell block."""
    for block in transcripts():
        yield from block
    for block in blocks("sh"):
        for line in shell(block.text):
            yield Line(line, "", block.where)


def in_sentences() -> Iterator[Line]:
    """Everything that is set as code in a sentence: commands, and much that is none."""
    for document in DOCS:
        for code in re.findall(r"`([^`\n]+)`", without_fences(document.read_text())):
            yield Line(code, "", name_of(document))


def with_inner(lines: Iterable[Line]) -> Iterator[Line]:
    """The commands, and those whose output they take."""
    for line in lines:
        # In the checkout a program is called by its path.
        yield line._replace(command=line.command.removeprefix(".venv/bin/"))
        for inner in re.findall(r"\$\(([^()]+)\)", line.command):
            yield Line(inner, "", line.where)


COMMANDS = [*with_inner((*in_blocks(), *in_sentences()))]
OURS = [line for line in COMMANDS if line.command.startswith("aml-canary ")]
