"""Who approved: whose answers count, what becomes of a question that nobody answers, and how one is answered from the git host."""

import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from examples.demo.manifests import path_of
from tests.contract.githost_world import GitHostWorld, git_host
from tests.contract.receiver_world import Door, signature
from tests.orchestration.test_cli import cli
from tests.orchestration.test_reviews import access
from tests.orchestration.world import World, wait_until
from tests.unit.fixtures.webhooks import deliveries

HELD = "  approvals: {before: [full], approvers: [grace], on_timeout: hold}\n"
VERIFIED = """\
  approvals: {before: [traffic, full], approvers: [ada, demo], author_may_approve: false, require_verified: true}
"""


def refused(world: World, run: str, approver: str) -> str:
    """Approve as somebody whose answer does not count, and wait until the same is asked again; the form then."""
    before = world.prefect.run(run)["state"]["state_details"]["pause_key"]
    assert world.prefect.answer(run, "approve", approver)["status"] == "ACCEPT"

    def again() -> bool:
        state = world.prefect.run(run)["state"]
        return state["name"] == "Suspended" and state["state_details"].get("pause_key") != before

    wait_until(again, "it is asked again")
    return world.prefect.form(run)


def test_an_answer_by_somebody_else_does_not_count_and_a_question_that_nobody_answers_holds_everything(world: World) -> None:
    world.blue_is_live()
    run = world.start_green(HELD)
    assert world.until_asked(run) == "full-green"
    assert "May approve: `grace`. Without an answer for 168 h, live traffic stays as it is" in world.prefect.form(run)
    told = "The answer of Ada (unverified) does not count. Ada is none of rollout.approvals.approvers: grace."
    assert told in refused(world, run, "Ada")

    # As Prefect does it when the time is over, which `test_endings` waits for.
    over = {"type": "FAILED", "name": "Failed", "message": "The flow was paused and never resumed."}
    world.prefect.call("POST", f"/flow_runs/{run}/set_state", {"state": over, "force": True})
    told = world.run_guard()
    assert world.endpoint not in told
    assert world.traffic == {"blue": 90, "green": 10}
    assert (world.lock() or {})["run"] == run

    world.prefect.retry(run, force=True)
    assert world.until_asked(run) == "full-green"
    reply = world.prefect.answer(run, "approve", approver="Grace")
    assert reply["status"] == "ACCEPT"
    assert world.end_of(run)["state"]["name"] == "Promoted"
    checked = cli(world, "audit", run, "--verify")
    assert checked.returncode == 0, checked.stderr
    assert "): unanswered attempt 1" in checked.stdout


class Host:
    """People who comment on a git host on loopback, and the door that hears of it."""

    def __init__(self, world: World, api: GitHostWorld, door: Door) -> None:
        self.world, self.api, self.door = world, api, door

    def comment(self, commit: str, login: str, text: str) -> bytes:
        """The delivery that tells of a new comment on a commit."""
        said = json.loads(deliveries.body("github", "comment_on_commit"))
        said["repository"]["full_name"] = self.world.repository.name
        # Hosts tell whole seconds: this one is over when the comment is heard.
        wait_until(lambda: time.time() % 1 < 0.1, "a new second", every=0.02)
        said["comment"] |= {"body": text, "commit_id": commit, "created_at": datetime.now(UTC).isoformat(timespec="seconds")}
        said["comment"]["id"] = secrets.randbelow(2**31) + 1
        said["comment"]["user"] = said["sender"] = {**said["sender"], "login": login}
        return json.dumps(said).encode()

    def deliver(self, body: bytes) -> str:
        """Deliver; the run that answers with it."""
        signed = {"x-hub-signature-256": signature(body, self.world.stack.webhook_secret)}
        answer = self.door.deliver(body, signed, event="commit_comment")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["run"])

    def told(self, body: bytes) -> tuple[str, str]:
        """Deliver, and how that run ended: its state's name, and what was replied on the thread."""
        run = self.deliver(body)
        state = self.world.end_of(run)["state"]
        return state["name"], self.api.replies[-1]["body"] if self.api.replies else state["message"]


@pytest.fixture
def host(world: World) -> Iterator[Host]:
    """The worker's runs, and the door, know this test's repository and its host."""
    with git_host() as api:
        env = access(world, api)
        found = {name: world.prefect.deployment(f"{name}/{name}") for name in ("answer", "canary")}
        for one in found.values():
            world.prefect.call("PATCH", f"/deployments/{one['id']}", {"job_variables": {**one["job_variables"], "env": env}})
        door = Door(world.stack.env | env)
        try:
            yield Host(world, api, door)
        finally:
            door.process.terminate()
            door.process.wait(30)
            for one in found.values():
                world.prefect.call("PATCH", f"/deployments/{one['id']}", {"job_variables": one["job_variables"]})


def start(world: World, commit: str) -> str:
    """Start a rollout by the repository's name in the settings, as sync does."""
    parameters: dict[str, Any] = {"repository": world.repository.name, "commit": commit, "manifest": path_of(world.endpoint)}
    return world.prefect.start("canary/canary", parameters)


def test_a_comment_by_an_approver_answers_the_one_question_it_was_written_for_and_nobody_elses_does(world: World, host: Host) -> None:
    world.blue_is_live()
    commit = world.push({"green": 100}, {"green": "v2"}, VERIFIED)
    early = host.comment(commit, "ada", "/canary approve")
    run = start(world, commit)
    assert world.until_asked(run) == "flight-green-10"
    assert "comment `/canary approve`" in refused(world, run, "ada")

    state, told = host.told(host.comment(commit, "eve", "/canary approve"))
    assert (state, told.splitlines()[0]) == ("Refused", "@eve")
    assert "your answer does not count. eve is none of rollout.approvals.approvers: ada, demo." in told
    state, told = host.told(host.comment(commit, "demo", "/canary approve"))
    assert "demo wrote or pushed this commit, and rollout.approvals.author_may_approve is false." in told
    assert "this was asked after your comment was written" in host.told(early)[1]
    assert "I know `/canary approve`" in host.told(host.comment(commit, "ada", "/canary promote"))[1]
    assert world.prefect.state(run) == "Suspended"
    assert world.traffic == {"blue": 100}

    yes = host.comment(commit, "ada", "/canary approve looks fine")
    assert host.told(yes) == (
        "Answered",
        f"@ada\n\n`{world.endpoint}@{commit[:7]}`, `flight-green-10`: is approved and goes on, as ada says.",
    )
    assert world.until_asked(run) == "full-green"
    assert world.traffic == {"blue": 90, "green": 10}
    assert any("flight-green-10 is approved by ada (verified by github: https://" in line for line in world.prefect.logs(run))

    # The same comment again: by the host, by hand with the same words, and as somebody who may start runs would make one up.
    again = host.deliver(yes)
    parameters = world.prefect.run(again)["parameters"]
    by_hand = world.end_of(world.prefect.start("answer/answer", parameters))
    assert (by_hand["state"]["name"], "was asked after your comment" in by_hand["state"]["message"]) == ("Refused", True)
    made_up = {**parameters, "comment": {**parameters["comment"], "at": int(time.time()), "id": "7"}}
    forged = world.end_of(world.prefect.start("answer/answer", made_up))
    assert forged["state"]["type"] == "FAILED"
    assert "Nothing shows that a git host sent this comment" in forged["state"]["message"]
    assert world.prefect.gate(run) == "full-green"

    state, told = host.told(host.comment(commit, "ada", "/canary reject too slow"))
    assert (state, "is rejected, and live traffic goes back, as ada says." in told) == ("Answered", True)
    ended = world.end_of(run)["state"]
    assert (ended["name"], "ada rejected full-green: too slow." in ended["message"]) == ("Rejected", True)
    assert world.traffic == {"blue": 100}
    assert host.told(host.comment(commit, "ada", "/canary approve"))[1] == "@ada\n\nNo rollout of this commit waits for an answer."

    # All of it is in the audit log, in order, and nobody has changed it since.
    checked = cli(world, "audit", run, "--verify")
    assert checked.returncode == 0, checked.stderr
    audit = json.loads(cli(world, "audit", run, "--format", "json").stdout)["entries"]
    assert [f"{entry['what']} {entry['about'].partition('-green-')[0]}" for entry in audit] == [
        "began attempt 1",
        "writes create-green",
        "wrote create-green",
        "smoke answers smoke-invoke-green",
        "asked flight",
        "does not approve flight",
        "asked flight",
        "approved flight",
        "writes flight",
        "wrote flight",
        "asked full",
        "rejected full",
        f"put back {world.endpoint}",
        "ended Rejected",
    ]
    assert [entry["who"].partition(":")[0] for entry in audit if entry["what"] in ("does not approve", "approved", "rejected")] == [
        "ada (unverified)",
        "ada (verified by github",
        "ada (verified by github",
    ]
    moved = next(entry for entry in audit if entry["what"] == "wrote" and entry["about"] == "flight-green-10")
    assert (moved["before"]["traffic"], moved["after"]["traffic"]) == ({"blue": 100}, {"blue": 90, "green": 10})
    [shown] = world.prefect.call("POST", "/artifacts/filter", {"artifacts": {"key": {"any_": [f"audit-{world.endpoint}"]}}})
    assert audit[-1]["hash"] in shown["data"]
