"""A question answered by a comment on the git host: on a commit or a pull request, by the login that the host vouches for."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from examples.demo.manifests import manifest, path_of
from tests.contract.githost_world import GitHostWorld, git_host
from tests.contract.receiver_world import Door
from tests.orchestration.test_approvals import refused
from tests.orchestration.test_cli import cli
from tests.orchestration.test_reviews import access
from tests.orchestration.world import World, wait_until
from tests.unit.fixtures.webhooks import deliveries

VERIFIED = """\
  approvals: {before: [traffic, full], approvers: [ada, demo], author_may_approve: false, require_verified: true}
"""
PULL = 7


class Host:
    """People who comment on a git host on loopback, and the door that hears of it. `kind` is github or gitlab."""

    def __init__(self, world: World, kind: str, api: GitHostWorld, door: Door) -> None:
        self.world, self.kind, self.api, self.door = world, kind, api, door

    def merge(self) -> str:
        """Green, verified, by pull request number 7, which is merged; the merge's commit."""
        git = self.world.repository._git
        git("checkout", "--quiet", "-B", "feature")
        text = self.world.written(manifest(self.world.endpoint, {"green": 100}, {"green": "v2"}, rollout=VERIFIED))
        (self.world.repository.work / path_of(self.world.endpoint)).write_text(text)
        git("commit", "--quiet", "--all", "-m", "Propose green")
        head = git("rev-parse", "HEAD").strip()
        git("checkout", "--quiet", "main")
        git("merge", "--quiet", "--no-ff", "-m", "Merge green", "feature")
        git("push", "--quiet", "origin", "main")
        commit = git("rev-parse", "HEAD").strip()
        merged = {"merge_commit_sha": commit}
        github, gitlab = {"head": {"sha": head}, "merged": True}, {"sha": head, "squash_commit_sha": None}
        self.api.pulls[str(PULL)] = {**merged, **(github if self.kind == "github" else gitlab)}
        return commit

    def comment(self, login: str, text: str, commit: str = "") -> tuple[str, bytes]:
        """The delivery that tells of a new comment on a commit, or on the pull request: its name among the samples, and its body."""
        name = "comment_on_commit" if commit else "comment_on_pull_request"
        said = json.loads(deliveries.body(self.kind, name))
        # Hosts tell whole seconds: this one is over when the comment is heard.
        wait_until(lambda: time.time() % 1 < 0.1, "a new second", every=0.02)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        number = secrets.randbelow(2**31) + 1
        if self.kind == "github":
            said["repository"]["full_name"] = self.world.repository.name
            said["comment"] |= {"body": text, "created_at": now, "id": number} | ({"commit_id": commit} if commit else {})
            said["comment"]["user"] = said["sender"] = {**said["sender"], "login": login}
        else:
            said["project"]["path_with_namespace"] = self.world.repository.name
            said["user"]["username"] = login
            note = {"note": text, "created_at": now, "updated_at": now, "id": number}
            said["object_attributes"] |= note | ({"commit_id": commit} if commit else {})
        return name, json.dumps(said).encode()

    def deliver(self, comment: tuple[str, bytes]) -> str:
        """Deliver; the run that answers with it."""
        name, body = comment
        signed = deliveries.signed(self.kind, body, self.world.stack.webhook_secret, time.time())
        headers = deliveries.headers(self.kind, name) | signed
        answer = self.door.deliver(body, headers, path=f"/webhooks/{self.kind}")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["run"])

    def told(self, comment: tuple[str, bytes]) -> tuple[str, str]:
        """Deliver, and how that run ended: its state's name, and what was replied on the thread."""
        run = self.deliver(comment)
        state = self.world.end_of(run)["state"]
        reply = self.api.replies[-1] if self.api.replies else {"body": state["message"]}
        return state["name"], reply.get("body") or reply["note"]


@contextmanager
def hosted(world: World, kind: str) -> Iterator[Host]:
    """The worker's runs, and the door, know this test's repository and its host."""
    with git_host() as api:
        env = access(world, api, kind)
        found = {name: world.prefect.deployment(f"{name}/{name}") for name in ("answer", "canary")}
        for one in found.values():
            world.prefect.call("PATCH", f"/deployments/{one['id']}", {"job_variables": {**one["job_variables"], "env": env}})
        door = Door(world.stack.env | env)
        try:
            yield Host(world, kind, api, door)
        finally:
            door.process.terminate()
            door.process.wait(30)
            for one in found.values():
                world.prefect.call("PATCH", f"/deployments/{one['id']}", {"job_variables": one["job_variables"]})


def start(world: World, commit: str) -> str:
    """Start a rollout by the repository's name in the settings, as sync does."""
    parameters: dict[str, Any] = {"repository": world.repository.name, "commit": commit, "manifest": path_of(world.endpoint)}
    return world.prefect.start("canary/canary", parameters)


def test_a_comment_by_an_approver_answers_the_one_question_it_was_written_for_and_nobody_elses_does(world: World) -> None:
    with hosted(world, "github") as host:
        world.blue_is_live()
        commit = host.merge()
        early = host.comment("ada", "/canary approve", commit)
        run = start(world, commit)
        assert world.until_asked(run) == "flight-green-10"
        assert "comment `/canary approve`" in refused(world, run, "ada")

        state, told = host.told(host.comment("eve", "/canary approve"))
        assert (state, told.splitlines()[0]) == ("Refused", "@eve")
        assert "your answer does not count. eve is none of rollout.approvals.approvers: ada, demo." in told
        state, told = host.told(host.comment("demo", "/canary approve", commit))
        assert "demo wrote or pushed this commit, and rollout.approvals.author_may_approve is false." in told
        assert "this was asked after your comment was written" in host.told(early)[1]
        assert "I know `/canary approve`" in host.told(host.comment("ada", "/canary promote", commit))[1]
        assert world.prefect.state(run) == "Suspended"
        assert world.traffic == {"blue": 100}

        yes = host.comment("ada", "/canary approve looks fine", commit)
        assert host.told(yes) == (
            "Answered",
            f"@ada\n\n`{world.endpoint}@{commit[:7]}`, `flight-green-10`: is approved and goes on, as ada says.",
        )
        assert world.until_asked(run) == "full-green"
        assert world.traffic == {"blue": 90, "green": 10}
        world.until_logged(run, "flight-green-10 is approved by ada (verified by github: https://")

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

        state, told = host.told(host.comment("ada", "/canary reject too slow"))
        assert (state, "is rejected, and live traffic goes back, as ada says." in told) == ("Answered", True)
        ended = world.end_of(run)["state"]
        assert (ended["name"], "ada rejected full-green: too slow." in ended["message"]) == ("Rejected", True)
        assert world.traffic == {"blue": 100}
        assert host.told(host.comment("ada", "/canary approve", commit))[1] == "@ada\n\nNo rollout of this commit waits for an answer."

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


def test_on_gitlab_a_comment_on_the_merge_request_or_its_merge_answers(world: World) -> None:
    with hosted(world, "gitlab") as host:
        world.blue_is_live()
        commit = host.merge()
        run = start(world, commit)
        assert world.until_asked(run) == "flight-green-10"
        assert "eve is none of rollout.approvals.approvers: ada, demo." in host.told(host.comment("eve", "/canary approve"))[1]
        state, told = host.told(host.comment("ada", "/canary approve"))
        assert (state, told.partition("\n")[0]) == ("Answered", "@ada")
        assert "`flight-green-10`: is approved and goes on, as ada says." in told
        assert world.until_asked(run) == "full-green"
        world.until_logged(run, "flight-green-10 is approved by ada (verified by gitlab: https://")
        assert host.told(host.comment("ada", "/canary approve", commit))[0] == "Answered"
        assert world.end_of(run)["state"]["name"] == "Promoted"
        assert world.traffic == {"green": 100}
    paths = [received.path for received in host.api.received if received.method == "POST" and "statuses" not in received.path]
    project = f"/projects/acme%2F{world.endpoint}"
    assert paths == [f"{project}/merge_requests/7/notes"] * 2 + [f"{project}/repository/commits/{commit}/comments"]
