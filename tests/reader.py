"""Somebody who follows a document: what is typed is what stands there, in its order, in a real shell.

Only what is the reader's own there, such as a run's name or an address on the internet, is another here, and every use of this says which.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from examples.demo.processes import Process
from tests.unit.documents import ROOT, Block, blocks, shell, without_fences


class Reader:
    """Reads `document` from its first block in one of the `languages` to its last; leaving the `with` block earlier is a failure.

    `own` maps what stands in the document for the reader's own to what it is here; more can be put in on the way.
    """

    def __init__(
        self, document: str, folder: Path, env: Mapping[str, str], own: Mapping[str, str] | None = None, languages: Iterable[str] = ("sh",)
    ) -> None:
        self.document, self.folder = document, folder
        self.env, self.own = dict(env), dict(own or {})
        # What a shell that is kept open would know by now.
        self.exported: list[str] = []
        self._blocks: Iterator[Block] = iter(self._in(languages))

    def _in(self, languages: Iterable[str]) -> list[Block]:
        return [block for block in blocks(*languages) if block.where == self.document]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if kind is None:
            assert (left := [block.text for block in self._blocks]) == [], f"{self.document}: nobody has typed {left}"

    def next(self) -> Block:
        """The document's next block."""
        return next(self._blocks)

    def lines(self) -> list[str]:
        """The commands of the next block, for whoever types them one by one."""
        return shell(self.next().text)

    def read(self, *, typed: str = "", code: int = 0) -> str:
        """Type the next block; what was printed. `typed` is what the commands ask for, `code` the last one's exit code."""
        return self.type(*shell(self.next().text), typed=typed, code=code)

    def say(self, command: str, *, code: int = 0) -> str:
        """Type a command that stands in a sentence of the document."""
        self._insist(command)
        return self.type(command, code=code)

    def skip(self, program: str) -> None:
        """Pass the next block by, which has something for a program that is not installed here."""
        lines = self.lines()
        assert any(line.startswith(f"{program} ") for line in lines), lines

    def type(self, *commands: str, typed: str = "", code: int = 0) -> str:
        """What is printed for commands."""
        done = subprocess.run(
            self._shell(*commands), env=self.env, cwd=self.folder, input=typed, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == code, f"{self.document}: {commands}\n{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        self.exported += [command for command in commands if command.startswith(("eval ", "export ", "set -a;"))]
        return done.stdout + done.stderr

    @contextmanager
    def beginning(self, command: str) -> Iterator[Process]:
        """A command that goes on, until the end of the block at most; where it stands in no block of the document, a sentence has it."""
        if command not in [line for block in self._in(("sh",)) for line in shell(block.text)]:
            self._insist(command)
        with TemporaryDirectory() as folder:
            going = Process(command, self._shell(command), self.env, Path(folder) / "log", cwd=self.folder)
            try:
                yield going
            finally:
                going.stop()

    def _insist(self, command: str) -> None:
        assert f"`{command}`" in without_fences((ROOT / self.document).read_text()), f"{self.document} has no `{command}`"

    def _shell(self, *commands: str) -> list[str]:
        text = "\n".join((*self.exported, *commands))
        if self.own:
            text = re.sub("|".join(map(re.escape, sorted(self.own, key=len, reverse=True))), lambda found: self.own[found[0]], text)
        assert not re.search(r"<[a-z][^>\n]*>", text), f"{self.document}: what is this reader's own? {text}"
        return ["/bin/sh", "-ec", text]
