"""Somebody who follows docs/getting-started.md beside a demo that is up: what is typed is what stands there, in its order.

Only `.demo` is another folder here, and what is pressed in Prefect's UI is called in its API.
"""

import os
import shlex
from pathlib import Path
from typing import Any

from examples.demo.prefect_api import PrefectApi
from tests.reader import Reader
from tests.unit.documents import sessions

GUIDE = "docs/getting-started.md"


class Beginner(Reader):
    """`state` is where the demo keeps its state and logs."""

    def __init__(self, state: Path) -> None:
        identity = {f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        # What a shell may have been told before, about another cloud and another Prefect.
        elsewhere = {"AZUREML_CURRENT_CLOUD": "SomebodyElses", "PREFECT_API_KEY": "of another server"}
        super().__init__(GUIDE, state, os.environ | identity | elsewhere, {".demo/": f"{state}/"}, languages=("sh", "yaml"))
        self.start_the_demo()

    def start_the_demo(self) -> None:
        """Section 1, which is the demo's own test: here it is up already."""
        clone, _, made = self.lines()
        assert clone.startswith("git clone https://git.example.com/")
        [kept] = self.lines()
        assert (made, kept) == ("make demo", ".venv/bin/python -m examples.demo --keep")

    def take_over(self) -> None:
        """Section 2: settings, a clone, and what is there."""
        settings, *commands = self.lines()
        assert "churn" in self.type(settings, *commands)
        self.exported = [settings]
        self.folder /= "mine"

    @property
    def prefect(self) -> PrefectApi:
        return PrefectApi(self.type('echo "$PREFECT_API_URL"').strip())

    def write_a_manifest(self) -> None:
        """Section 3. What each command prints is compared where Azure is not needed (`test_docs_commands`)."""
        for line in sessions()[GUIDE]:
            words = shlex.split(line.command)
            if words[0] == "cat":
                (self.folder / words[1]).write_text(line.output + "\n")
            else:
                printed = self.type(line.command)
                assert line.output.splitlines()[0] in printed, printed

    def push_the_first(self) -> str:
        """Section 4: the run that the push started. `watch` is left running beside it."""
        *commands, self.watch = self.lines()
        assert self.watch == "aml-canary watch houses"
        self.type(*commands)
        [self.approve] = self.lines()
        return self._run()

    def push_the_canary(self) -> str:
        """Section 5: the run that the push of green started."""
        written = self.next()
        assert written.language == "yaml"
        (self.folder / "configs" / "houses.canary.yml").write_text(written.text)
        printed = self.read()
        assert "flight-green-10" in printed, printed
        run = self._run()
        self._until_asked(run)
        assert "create-green" in self.say("aml-canary explain houses")
        return run

    def break_the_last_step(self, run: str) -> str:
        """Section 6: why the run has failed."""
        self._until_asked(run)
        self.read()
        ended = self.prefect.wait(run)["state"]
        assert ended["type"] == "FAILED", ended
        return str(ended["message"])

    def press_retry(self, run: str) -> None:
        """As both UIs do it."""
        self.prefect.retry(run, force=True)

    def approve_each(self, run: str, but: str = "") -> list[str]:
        """Approve what is asked, to the end of the run or until a step that is left alone; the steps."""
        gates: list[str] = []
        while self._until_asked(run) and (gate := self.prefect.gate(run)) != but:
            gates.append(gate)
            assert f"{gate} is approved and goes on, as Ada said." in self.type(self.approve)
        return gates

    def ended(self, run: str) -> str:
        """The name of the state in which the run ended."""
        return str(self.prefect.wait(run)["state"]["name"])

    def look_back(self, run: str) -> str:
        """The end of section 6: what `explain` tells, and that the audit log is whole."""
        self.own["houses@1a2b3c4"] = self.prefect.run(run)["name"]
        assert "Ada" in self.say("aml-canary audit houses@1a2b3c4 --verify")
        return self.say("aml-canary explain houses@1a2b3c4")

    def _run(self) -> str:
        commit = self.type("git rev-parse HEAD").strip()
        deadline = 120
        found: list[dict[str, Any]] = []
        for _ in range(deadline):
            found = [run for run in self.prefect.runs("canary") if run["parameters"]["commit"] == commit]
            if found:
                return str(found[0]["id"])
            self.type("sleep 1")
        raise AssertionError(f"no run of {commit} after two minutes")

    def _until_asked(self, run: str) -> bool:
        return bool(self.prefect.wait(run, "Suspended")["state"]["name"] == "Suspended")
