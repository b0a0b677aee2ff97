"""Answers and the audit log on a real Prefect server: who may start runs there, or write into them, can still be nobody else; and the log is
one chain whoever writes at the same moment, and shows on the command line whatever is done to it."""

import concurrent.futures
import importlib.util
import json
import logging
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import asdict
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from prefect.client.orchestration import get_client
from prefect.states import Completed, Running, Suspended

from aml_canary.cli import main
from aml_canary.domain.audit import verify
from aml_canary.gateways import prefect_audit, prefect_db
from aml_canary.githosts.delivery import Comment
from aml_canary.githosts.seal import seal
from aml_canary.settings import settings
from tasks import answering, gate


@pytest.fixture
def run(deployment: UUID) -> str:
    """A run at work."""
    with get_client(sync_client=True) as client:
        made = client.create_flow_run_from_deployment(deployment, parameters={"repository": "r", "commit": "c"}).id
        client.set_flow_run_state(made, Running(), force=True)
    return str(made)


def another_process() -> ModuleType:
    """The gateway as another process has it: it has seen nothing of any chain."""
    spec = importlib.util.find_spec("aml_canary.gateways.prefect_audit")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_five_who_write_at_once_make_one_chain_with_all_that_they_wrote(run: str) -> None:
    def work(number: int) -> None:
        process = another_process()
        for step in range(4):
            process.append(run, "asked", f"{number}-{step}", who=f"process {number}", before={1: "a"}, after=None)

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        # Threads know the settings of this test by a context of their own.
        list(pool.map(lambda one: one[0].run(work, one[1]), [(copy_context(), number) for number in range(5)]))
    entries = prefect_audit.entries_of(run)
    assert verify(run, entries, over=False) == ""
    assert {entry.about for entry in entries} == {f"{number}-{step}" for number in range(5) for step in range(4)}
    assert len(entries) == 20


def test_more_than_a_page_of_entries_are_read_in_order(run: str) -> None:
    for number in range(101):
        prefect_audit.append(run, "asked", str(number), who="rollout")
    assert [entry.about for entry in prefect_audit.entries_of(run)] == [str(number) for number in range(101)]
    assert another_process().append(run, "asked", "101", who="guard").number == 102
    assert verify(run, prefect_audit.entries_of(run), over=False) == ""


def test_an_entry_whose_reply_was_lost_is_there_once(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = prefect_audit._create

    def twice(run: str, entry: prefect_audit.Entry) -> bool:
        real(run, entry)
        return real(run, entry)

    monkeypatch.setattr(prefect_audit, "_create", twice)
    for number in range(2):
        prefect_audit.append(run, "asked", str(number), who="rollout")
    assert [entry.about for entry in prefect_audit.entries_of(run)] == ["0", "1"]


def test_of_a_run_that_is_gone_nothing_is_written_and_nothing_is_raised(deployment: UUID) -> None:
    assert prefect_audit.append_if_possible(str(uuid4()), "put back", "churn", who="guard") != ""
    assert prefect_audit.append_if_possible("no id", "put back", "churn", who="guard") != ""


def drop(run: str, number: int) -> None:
    with get_client(sync_client=True) as client:
        client.delete_flow_run_input(UUID(run), f"audit-{number:06d}")


def change(run: str, number: int) -> None:
    with get_client(sync_client=True) as client:
        value = json.loads(client.read_flow_run_input(UUID(run), f"audit-{number:06d}"))
        drop(run, number)
        client.create_flow_run_input(UUID(run), f"audit-{number:06d}", json.dumps({**value, "who": "grace (verified)"}))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda _: None, ""),
        (lambda run: change(run, 2), "Entry 2 (approved flight-green-10) was changed after it was written."),
        (lambda run: drop(run, 2), "Entry 2 is not there; entry 3 (ended Promoted) stands in its place."),
        (lambda run: drop(run, 3), "its last entry, 2 (approved flight-green-10), is no end"),
        (lambda run: [drop(run, number) for number in (1, 2, 3)], "There is no entry, and the run has ended"),
    ],
    ids=["whole", "changed", "removed", "cut off", "emptied"],
)
def test_the_command_line_prints_exports_and_checks_it(run: str, harm: Callable[[str], object], told: str) -> None:
    prefect_audit.append(run, "began", "attempt 1", who="rollout")
    prefect_audit.append(run, "approved", "flight-green-10", who="ada (unverified)", after={"decision": "approve"}, evidence="0" * 64)
    last = prefect_audit.append(run, "ended", "Promoted", who="rollout")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run), Completed(), force=True)
    harm(run)
    checked = CliRunner().invoke(main, ["audit", run, "--verify"])
    assert (checked.exit_code, told in checked.stderr) == (1 if told else 0, True)
    if not told:
        assert 'ada (unverified): approved flight-green-10: {"decision": "approve"}, evidence 000000000000' in checked.stdout
        assert f"Whole: 3 entries, the last hash is {last.hash}." in checked.stdout
        exported = CliRunner().invoke(main, ["audit", run, "--format", "jsonl"]).stdout.splitlines()
        assert [json.loads(line)["number"] for line in exported] == [1, 2, 3]
        shown = json.loads(CliRunner().invoke(main, ["audit", run, "--format", "json"]).stdout)
        assert shown["entries"] == [json.loads(line) for line in exported]


ASKED = 1_791_712_800
KEY = "flight-green-10-0a1b2c3d-e4f5a6"


def written(
    text: str = "/canary approve", *, by: str = "right", key: str = KEY, known_as: str = "7", at: int = ASKED + 60
) -> dict[str, Any]:
    """A comment by ada as it is kept with a run, sealed with this secret."""
    comment = asdict(Comment("acme/models", "ada", text, at, known_as, "https://git.example/7", commit="3" * 40))
    heard = {"host": "github", "repository": "acme/models", "comment": comment}
    return {**heard, "seal": seal(heard, by), "key": key}


VERIFIED, TYPED, NOBODY = ("approve", "ada", True), ("approve", "Eve", False), None
ANSWERS = {
    "sealed by the door": ([written()], None, VERIFIED),
    "sealed by nobody": ([written(by="guessed")], None, NOBODY),
    "changed after it was sealed": ([{**written("/canary reject"), "comment": written()["comment"]}], None, NOBODY),
    "no comment at all": ([{"key": KEY}], None, NOBODY),
    "written before the question": ([written(at=ASKED)], None, NOBODY),
    "used for another question too": ([written(), written(key="full-green-0a1b2c3d-000000")], None, NOBODY),
    "another comment for another question": ([written(), written(key="full-green-0a1b2c3d-000000", known_as="8")], None, VERIFIED),
    "neither word": ([written("/canary promote")], None, NOBODY),
    "typed as well": ([written()], "approve", VERIFIED),
    "sealed by nobody and typed": ([written(by="guessed")], "approve", TYPED),
    "typed no against verified yes": ([written()], "reject", ("reject", "Eve", False)),
    "verified no against typed yes": ([written("/canary reject slow")], "approve", ("reject", "ada", True)),
    "verified no and typed no": ([written("/canary reject slow")], "reject", ("reject", "ada", True)),
}


@pytest.mark.parametrize("how", ANSWERS)
def test_an_answer_is_verified_by_the_doors_seal_for_one_question_asked_before(run: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notes, typed, wanted = ANSWERS[how]
    monkeypatch.setenv("AML_CANARY_WEBHOOK_SECRETS", '["older", "right"]')
    monkeypatch.setattr(answering, "get_run_logger", lambda: logging.getLogger("quiet"))
    settings.cache_clear()
    for note in notes:
        prefect_db.keep(run, f"verified-{note['key']}", note)
    if typed:
        prefect_db.keep(run, f"suspended-{KEY}-response", {"decision": typed, "approver": "Eve", "comment": None})
    try:
        found = gate._answered(run, [{"key": KEY, "at": ASKED + 0.5}])
    finally:
        settings.cache_clear()
    assert [(answer.decision, answer.who.name, answer.who.verified) for _, answer in found] == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    ("verified_only", "code", "told"), [(True, 1, "Instead, comment `/canary approve`"), (False, 0, "is approved and goes on")]
)
def test_the_command_line_approves_nothing_that_wants_proof(run: str, verified_only: bool, code: int, told: str) -> None:
    prefect_db.keep(run, "asked-flight-green-10-000", {"key": KEY, "at": ASKED, "require_verified": verified_only})
    state = Suspended(timeout_seconds=600, pause_key=KEY)
    state.state_details.run_input_keyset = {name: f"suspended-{KEY}-{name}" for name in ("schema", "description", "response")}
    prefect_db.keep(run, f"suspended-{KEY}-schema", {"type": "object"})
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run), state, force=True)
    came = CliRunner().invoke(main, ["approve", run, "--as", "ada"])
    assert (came.exit_code, told in came.output) == (code, True), came.output
