"""Whose answers count, and what becomes of a question that nobody answers."""

from tests.orchestration.test_cli import cli
from tests.orchestration.world import World, wait_until

HELD = "  approvals: {before: [full], approvers: [grace], on_timeout: hold}\n"


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
