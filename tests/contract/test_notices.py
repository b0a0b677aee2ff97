"""Notices by a real Prefect server and its own webhook block: one for each event, and no trouble from a channel."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Failed, Running, State

from aml_canary.gateways import prefect_notices
from aml_canary.settings import settings
from examples.demo.stack import free_port
from tests.contract.channels import SECRET, Channel, running_channel


@pytest.fixture
def start(deployment: UUID) -> Callable[[], str]:
    """Starts a run; its id."""

    def started() -> str:
        with get_client(sync_client=True) as client:
            parameters = {"repository": "r", "commit": "c"}
            run = client.create_flow_run_from_deployment(deployment, parameters=parameters, name="churn@1a2b3c4").id
            client.set_flow_run_state(run, Running(), force=True)
        return str(run)

    return started


@pytest.fixture
def channel(start: Callable[[], str]) -> Iterator[Channel]:
    with running_channel() as running:
        yield running


@pytest.fixture
def tell(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Says which blocks are told."""

    def these(*blocks: str) -> None:
        monkeypatch.setenv("AML_CANARY_NOTIFY", str(list(blocks)).replace("'", '"'))
        settings.cache_clear()

    yield these
    settings.cache_clear()


def end(run: str, state: State) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, state, force=True)


def waits(run: str, question: str = "q1") -> tuple[str, ...]:
    asked = "Set live traffic to blue 90 %, green 10 %."
    return prefect_notices.tell_waiting(run, "flight-green-10", asked, question, "May approve: `ada`, `bob`.")


def test_a_question_is_told_once_with_what_is_asked_who_may_answer_and_where(start, channel, tell):
    run = start()
    tell(channel.block("ml-oncall"))
    assert (waits(run), waits(run)) == ((), ())
    [(subject, text)] = channel.told
    assert subject == "churn@1a2b3c4 waits for an answer: flight-green-10"
    assert text.splitlines()[:2] == ["Set live traffic to blue 90 %, green 10 %.", "May approve: `ada`, `bob`."]
    assert f"/runs/flow-run/{run}" in text.splitlines()[2]
    assert text.splitlines()[3].startswith("From a shell: aml-canary approve churn@1a2b3c4")
    assert waits(run, "q2") == (), "asked again is another question"
    assert len(channel.told) == 2


def test_each_end_is_told_once_whoever_tells_of_it(start, channel, tell):
    run = start()
    tell(channel.block("ml-oncall"))
    assert prefect_notices.tell_end(run) == ()
    assert channel.told == [], "it has not ended"
    end(run, Failed(message="Azure has no quota."))
    for _ in range(2):
        assert prefect_notices.tell_end(run) == ()
    assert prefect_notices.tell_end(run, "Rejected", "Ada rejected it. Back to blue.") == ()
    end(run, Cancelled(name="Rejected", message="Ada rejected it."))
    assert prefect_notices.tell_end(run) == ()
    assert channel.subjects() == ["churn@1a2b3c4: failed, and needs somebody", "churn@1a2b3c4: rejected"]
    assert channel.told[0][1].splitlines()[0] == "Azure has no quota."


def test_what_the_guard_has_made_safe_needs_nobody_and_a_deleted_run_is_silence(start, channel, tell):
    run = start()
    tell(channel.block("ml-oncall"))
    end(run, Failed(message="The flow was paused and never resumed."))
    assert prefect_notices.tell_end(run, message="churn: its machine is gone. Back to blue.") == ()
    assert prefect_notices.tell_end(run, "Unanswered", "churn: back to blue.") == ()
    made_safe = ["failed, and its endpoint was made safe", "nobody answered in time, and its endpoint was made safe"]
    assert channel.subjects() == [f"churn@1a2b3c4: {each}" for each in made_safe]
    with get_client(sync_client=True) as client:
        client.delete_flow_run(run)
    assert prefect_notices.tell_end(run, message="churn: its run is gone.") == ()
    assert len(channel.told) == 2


def test_one_channel_that_is_down_keeps_nothing_from_the_others_and_its_address_to_itself(start, channel, tell):
    run = start()
    down, up = channel.block("down", f"http://127.0.0.1:{free_port()}"), channel.block("up")
    tell(down, up)
    [problem] = waits(run)
    assert problem == (
        "Nobody may have heard that churn@1a2b3c4 waits for an answer: flight-green-10: custom-webhook/down did not take it (ConnectError)."
    )
    assert SECRET not in problem
    assert len(channel.told) == 1


def test_a_channel_that_takes_its_time_is_not_waited_for(start, channel, tell, monkeypatch):
    run = start()
    tell(channel.block("slow"))
    channel.answers.clear()
    monkeypatch.setattr(prefect_notices, "PATIENCE_SECONDS", 3.0)
    [problem] = waits(run)
    assert problem.endswith("custom-webhook/slow did not answer within 3 s.")
    assert len(channel.told) == 1


def test_a_block_that_is_not_there_or_is_no_channel_is_named(start, channel, tell):
    Secret(value="s").save("ml-oncall", overwrite=True)
    tell("slack-webhook/nobody", "secret/ml-oncall")
    missing, other = waits(start())
    assert "slack-webhook/nobody cannot be used: Unable to find block document named nobody" in missing
    assert other.endswith("secret/ml-oncall cannot be used: secret/ml-oncall is no notification block")


def test_where_nobody_is_to_be_told_prefect_is_not_even_asked(tell):
    tell()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert waits("1a2b") == ()
        assert prefect_notices.tell_end("1a2b") == ()
