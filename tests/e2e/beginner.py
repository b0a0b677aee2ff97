"""Somebody who follows docs/getting-started.md beside a demo that is up: what is typed is what stands there, in its order.

Only `.demo` is another folder here, and what is pressed in Prefect's UI is called in its API.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from examples.demo.prefect_api import PrefectApi
from tests.unit.documents import Block, blocks, sessions, shell

GUIDE = "docs/getting-started.md"


class Beginner:
    """`folder` is where the demo keeps its state and logs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.repository = folder, folder / "mine"
        identity = {f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        # What a shell may have been told before, about another cloud and another Prefect.
        elsewhere = {"AZUREML_CURRENT_CLOUD": "SomebodyElses", "PREFECT_API_KEY": "of another server"}
        self.env = os.environ | identity | elsewhere
        self._blocks = iter([block for block in blocks("sh", "yaml") if block.where == GUIDE])
        for skipped in ("make demo", "examples.demo --keep"):
            assert skipped in self.next().text

    def next(self) -> Block:
        """The guide's next block."""
        return next(self._blocks)

    def type(self, *commands: str, check: bool = True) -> str:
        """What is printed for commands, in a shell that has taken over the demo's settings."""
        here = self.repository if self.repository.exists() else self.folder
        lines = [f". {self.folder}/run/settings.sh", f"cd {here}", *commands]
        text = "\n".join(lines).replace(".demo/", f"{self.folder}/")
        done = subprocess.run(["/bin/sh", "-ec", text], env=self.env, capture_output=True, text=True, timeout=240, check=False)
        assert not check or done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @property
    def prefect(self) -> PrefectApi:
        return PrefectApi(self.type('echo "$PREFECT_API_URL"').strip())

    def take_over(self) -> None:
        """Section 2: settings, a clone, and what is there."""
        assert "churn" in self.type(*shell(self.next().text))

    def write_a_manifest(self) -> None:
        """Section 3. What each command prints is compared where Azure is not needed (`test_docs_commands`)."""
        for line in sessions()[GUIDE]:
            words = shlex.split(line.command)
            if words[0] == "cat":
                (self.repository / words[1]).write_text(line.output + "\n")
            else:
                printed = self.type(line.command)
                assert line.output.splitlines()[0] in printed, printed

    def push_the_first(self) -> str:
        """Section 4: the run that the push started. `watch` is left running beside it."""
        *commands, watch = shell(self.next().text)
        assert watch == "aml-canary watch houses"
        self.type(*commands)
        run = self._run()
        command = f". {self.folder}/run/settings.sh; {watch}"
        self._watch = subprocess.Popen(
            ["/bin/sh", "-ec", command], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.approve = self.next().text
        return run

    def watched(self) -> str:
        """What `watch` has shown, once it has ended by itself."""
        return self._watch.communicate(timeout=60)[0]

    def push_the_canary(self) -> str:
        """Section 5: the run that the push of green started."""
        written = self.next()
        assert written.language == "yaml"
        (self.repository / "configs" / "houses.canary.yml").write_text(written.text)
        printed = self.type(*shell(self.next().text))
        assert "flight-green-10" in printed, printed
        return self._run()

    def break_the_last_step(self, run: str) -> str:
        """Section 6: why the run has failed."""
        self._until_asked(run)
        self.type(*shell(self.next().text))
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
        name = self.prefect.run(run)["name"]
        sentences = re.findall(r"`(aml-canary (?:explain|audit) houses@1a2b3c4[^`]*)`", Path(GUIDE).read_text())
        explain, audit = (sentence.replace("houses@1a2b3c4", name) for sentence in sentences)
        assert "Ada" in self.type(audit)
        return self.type(explain)

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
