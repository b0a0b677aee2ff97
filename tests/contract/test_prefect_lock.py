"""The lock, waiting and giving way on a real Prefect server: what `prefect_model` takes for granted."""

import concurrent.futures
import logging
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running, Suspended

from aml_canary import cli_answers, gateways
from aml_canary.domain.observed import Facts, Observed
from aml_canary.errors import Transient
from aml_canary.gateways import prefect_db, prefect_history
from aml_canary.gateways.prefect_db import Holder
from tasks import guarding, stages


@pytest.fixture
def holder(deployment: UUID) -> Callable[..., Holder]:
    """A holder whose run is at work, or suspended."""

    def made(token: str, *, suspended: bool = False) -> Holder:
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(deployment, parameters={"repository": "r", "commit": "c"}).id
            client.set_flow_run_state(run, Running(), force=True)
            if suspended:
                client.set_flow_run_state(run, Suspended(timeout_seconds=600), force=True)
        return Holder("churn", str(run), f"commit {token}", "m", token=token)

    return made


@pytest.fixture(autouse=True)
def free(deployment: UUID) -> Iterator[None]:
    yield
    for held in prefect_db.holders():
        prefect_db.release_lock(held)


def test_of_twenty_who_take_it_at_once_one_has_it_and_all_know_who(holder: Callable[..., Holder]) -> None:
    wanted = [replace(holder("one"), run=f"run {number}", token=str(number)) for number in range(20)]
    # Prefect's models are built when first used, and twenty threads must not do that at once; runs have a process each.
    prefect_db.release_lock(prefect_db.take_lock(wanted[0]))
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        # Threads know the settings of this test by a context of their own.
        seen = list(pool.map(lambda one: one[0].run(prefect_db.take_lock, one[1]), [(copy_context(), one) for one in wanted]))
    assert set(seen) == {prefect_db.held_by("churn")}


def test_who_holds_it_takes_it_anew_and_only_the_newest_token_gives_it_up(holder: Callable[..., Holder]) -> None:
    first = prefect_db.take_lock(holder("one"))
    again = prefect_db.take_lock(replace(first, token="two"))
    assert (again.term, again.token) == ("one", "two")
    prefect_db.release_lock(first)
    assert prefect_db.held_by("churn") == again
    prefect_db.release_lock(again)
    assert prefect_db.held_by("churn") is None


@pytest.mark.parametrize("give_up", [False, True], ids=["taking it anew", "giving it up"])
def test_a_lock_that_another_put_in_its_place_meanwhile_stays_the_others(
    holder: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch, give_up: bool
) -> None:
    mine, other = prefect_db.take_lock(holder("mine")), holder("other")
    read = SyncPrefectClient.read_variable_by_name

    def read_and_then_replaced(client: SyncPrefectClient, name: str) -> Any:
        found = read(client, name)
        monkeypatch.setattr(SyncPrefectClient, "read_variable_by_name", read)
        prefect_db.release_lock(mine)
        prefect_db.take_lock(other)
        return found

    monkeypatch.setattr(SyncPrefectClient, "read_variable_by_name", read_and_then_replaced)
    if give_up:
        prefect_db.release_lock(mine)
    else:
        with pytest.raises(Transient, match="taken at this moment"):
            prefect_db.take_lock(replace(mine, token="again"))
    assert prefect_db.held_by("churn") == replace(other, term=other.token)


def test_it_is_handed_over_once_with_who_was_displaced(holder: Callable[..., Holder]) -> None:
    dead = prefect_db.take_lock(holder("dead"))
    first = prefect_db.hand_over(dead, replace(holder("first"), displaced=(dead.run,)))
    assert prefect_db.held_by("churn") == first
    assert first.displaced == (dead.run,)
    assert prefect_db.hand_over(dead, holder("second")) == first


def test_who_waits_is_woken_when_nobody_alive_has_it(holder: Callable[..., Holder]) -> None:
    held, waiting = prefect_db.take_lock(holder("held")), holder("waits", suspended=True)
    prefect_db.mark_waiting(waiting.run, "churn", waiting=True)
    assert prefect_db.wake_forgotten() == ()
    prefect_db.release_lock(held, wake=False)
    assert len(prefect_db.wake_forgotten()) == 1
    assert prefect_db.run_state(waiting.run).type == "SCHEDULED"


def test_one_that_waits_for_an_answer_is_ended_and_one_at_work_is_asked(holder: Callable[..., Holder]) -> None:
    waiting, at_work = holder("waits", suspended=True), holder("works")
    assert prefect_history.ask_to_give_way(waiting.run, "newer") is True
    assert prefect_db.run_state(waiting.run).name == "Superseded"
    assert prefect_history.ask_to_give_way(at_work.run, "newer") is False
    assert (prefect_history.asked_to_give_way(at_work.run), prefect_db.run_state(at_work.run).type) == ("newer", "RUNNING")


def test_what_a_rollout_was_done_with_is_not_put_back_and_where_nobody_can_tell_traffic_goes_back(
    holder: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = holder("a")
    facts = Facts(run=done.run, since="2026-11-26T07:15:06+00:00", stable={"blue": 100})
    back = SimpleNamespace(traffic=facts.stable)
    azure = SimpleNamespace(glance=lambda _: Observed("churn", exists=True, facts=facts), put_traffic_back=lambda *_: back)
    monkeypatch.setattr(stages, "azureml", azure)
    monkeypatch.setattr(stages, "audit_if_possible", lambda *_, **__: None)
    monkeypatch.setattr(stages, "get_run_logger", lambda: logging.getLogger("quiet"))
    put_back = "Live traffic was put back to blue 100 %."
    assert stages.roll_back.fn("churn", done) == put_back, "it goes on"
    prefect_db.let_stand(done.run, facts.since)
    prefect_db.let_stand(done.run, facts.since)
    assert "was left alone" in stages.roll_back.fn("churn", done)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert stages.roll_back.fn("churn", done) == put_back
    facts = replace(facts, since="2026-11-26T07:15:07+00:00")
    assert stages.roll_back.fn("churn", done) == put_back, "it has written again"
    assert not prefect_db.stands("what somebody wrote into the tag", facts.since)


def test_where_to_come_back_to_is_what_was_live_before_this_rollout_and_not_before_one_that_was_done(holder: Callable[..., Holder]) -> None:
    done, mine = holder("a"), holder("b")
    facts = Facts(run=done.run, since="2026-11-26T07:15:06+00:00", stable={"blue": 100}, traffic={"green": 100})
    live = Observed("churn", exists=True, traffic={"green": 100}, facts=facts)
    of_others, of_mine = replace(mine, displaced=(done.run,)), replace(mine, predecessors=(done.run,))
    assert stages._stable(live, of_others) == {"green": 100}
    assert stages._stable(live, of_mine) == {"blue": 100}, "it goes on with what that one began"
    prefect_db.let_stand(done.run, facts.since)
    assert stages._stable(live, of_mine) == {"green": 100}


def test_abort_leaves_alone_what_an_earlier_rollout_was_done_with(holder: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch) -> None:
    done, mine = holder("a"), holder("b")
    facts = Facts(run=done.run, since="2026-11-26T07:15:06+00:00", stable={"blue": 100}, traffic={"green": 100})
    back = Observed("churn", exists=True, traffic={"blue": 100})
    azure = SimpleNamespace(glance=lambda _: Observed("churn", exists=True, facts=facts), put_traffic_back=lambda *_: back)
    monkeypatch.setattr(gateways, "azureml", azure)
    took_its_place = replace(mine, displaced=(done.run,))
    assert cli_answers._back("churn", took_its_place, "now") == back
    prefect_db.let_stand(done.run, facts.since)
    assert cli_answers._back("churn", took_its_place, "now") is None


def test_the_guard_does_not_ask_again_for_metrics_that_it_did_not_get(
    holder: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def glance(endpoint: str) -> Observed:
        asked.append(endpoint)
        raise Transient("Azure Monitor is away.")

    monkeypatch.setattr(guarding, "azureml", SimpleNamespace(glance=glance))
    with pytest.raises(Transient):
        guarding.judge_unwatched(holder("a"))
    assert asked == ["churn"], "the next guard is a minute away, and other endpoints wait for this one"
