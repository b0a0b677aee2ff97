"""Who approved: whose answers count, what becomes of a question that nobody answers, and how one is answered from the git host."""

from tests.orchestration.world import World, wait_until

HELD = "  approvals: {before: [full], approvers: [grace], timeout_hours: 0.006, on_timeout: hold}\n"


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
    assert "May approve: `grace`. Without an answer for 0.006 h, live traffic stays as it is" in world.prefect.form(run)
    told = "The answer of Ada (unverified) does not count. Ada is none of rollout.approvals.approvers: grace."
    assert told in refused(world, run, "Ada")

    assert "never resumed" in world.end_of(run)["state"]["message"]
    told = world.run_guard()
    assert world.endpoint not in told
    assert world.traffic == {"blue": 90, "green": 10}
    assert (world.lock() or {})["run"] == run

    world.prefect.retry(run, force=True)
    assert world.until_asked(run) == "full-green"
    reply = world.prefect.answer(run, "approve", approver="Grace")
    assert reply["status"] == "ACCEPT"
    assert world.end_of(run)["state"]["name"] == "Promoted"
