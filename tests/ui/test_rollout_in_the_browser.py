"""A rollout as its people see and steer it, by clicks in Prefect's own pages, in both of its UIs."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.orchestration.world import World, wait_until
from tests.ui.prefect_ui import PrefectUi, Version, is_whole, ui

BOTH: tuple[Version, ...] = ("v1", "v2")


class Desk:
    """One person's browser, with each UI in a window of its own."""

    def __init__(self, browser: Browser, world: World, pictures: Path, stack: ExitStack) -> None:
        self._browser, self._pictures, self._stack = browser, pictures, stack
        self._address = world.prefect.url.removesuffix("/api")
        self._open: dict[Version, PrefectUi] = {}

    def __getitem__(self, version: Version) -> PrefectUi:
        if version not in self._open:
            self._open[version] = self._stack.enter_context(ui(self._browser, self._address, version, self._pictures))
        return self._open[version]


@pytest.fixture
def desk(browser: Browser, world: World, pictures: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(browser, world, pictures, stack)


def timeline_in(within: Locator) -> Locator:
    return within.locator('img[src^="data:image/svg+xml;base64,"]')


def asked(world: World, run: str, gate: str) -> str:
    """Wait until the run asks; its name. The form's text is saved a moment later, which is waited for."""
    assert world.until_asked(run) == gate
    world.prefect.form(run)
    return str(world.prefect.run(run)["name"])


def newest(world: World, key: str) -> dict[str, Any]:
    query = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
    found: dict[str, Any] = world.prefect.call("POST", "/artifacts/filter", query)[0]
    return found


def test_a_form_is_read_approved_and_rejected_in_either_ui(world: World, desk: Desk) -> None:
    world.endpoint = "churn"  # as the documents have it, which show these pictures
    world.blue_is_live()
    run = world.start_green()
    name = asked(world, run, "flight-green-10")
    assert name.startswith(f"{world.endpoint}@")
    for version in BOTH:
        desk[version].open_run(run, name)
        desk[version].picture("run-waits")
        form = desk[version].open_form()
        expect(form.get_by_text("Set live traffic to blue 90 %, green 10 %.").first).to_be_visible()
        expect(form.get_by_text("live traffic stays at blue 100 % and the rollout ends.")).to_be_visible()
        is_whole(form, timeline_in(form))
        for part in ("two-rows", "What changed in git", "models/v1", "Live now", "What is left of the plan"):
            expect(form.get_by_text(part).first).to_be_attached()
        desk[version].picture("form")
    desk["v1"].answer(desk["v1"].page.get_by_role("dialog"), "approve", "Ada")
    asked(world, run, "full-green")
    assert world.traffic == {"blue": 90, "green": 10}

    desk["v2"].open_run(run, name)
    form = desk["v2"].open_form()
    is_whole(form, timeline_in(form))
    desk["v2"].picture("question", form)
    desk["v2"].answer(form, "reject", "Grace", "the lift is not convincing")
    ended = world.end_of(run)["state"]
    assert (ended["type"], ended["name"]) == ("CANCELLED", "Rejected")
    assert "Grace rejected full-green: the lift is not convincing. Live traffic was put back to blue 100 %." in ended["message"]
    assert world.traffic == {"blue": 100}

    assert "outcome:rejected" in world.prefect.run(run)["tags"]
    for version in BOTH:
        desk[version].open_run(run, name)
        desk[version].is_in("Rejected")
        desk[version].picture("run-rejected")
        desk[version].open_artifact(newest(world, f"report-{world.endpoint}")["id"], f"{world.endpoint}: Rejected")
        expect(desk[version].page.get_by_text("Ada (unverified) approved flight-green-10")).to_be_visible()
        body = desk[version].page.locator("body")
        is_whole(body, timeline_in(body))
        desk[version].picture("report")
        desk[version].open_artifacts(f"timeline-{world.endpoint}")
        desk[version].picture("timeline-history")

    world.prefect.retry(run, force=False)
    asked(world, run, "flight-green-10")
    desk["v1"].open_run(run, name)
    desk["v1"].answer(desk["v1"].open_form(), "reject", "Ada", "nor is it now")
    assert "Ada rejected flight-green-10: nor is it now." in world.end_of(run)["state"]["message"]


def test_a_stage_that_failed_is_retried_in_either_ui_and_the_rollout_approved_to_its_end(world: World, desk: Desk) -> None:
    world.blue_is_live()
    world.stack.emulator.faults.add("deployment.put", name="green", count=2, status=400, code="BadRequest", message="no")
    run = world.start_green("  approvals: {before: [traffic, full]}\n")
    assert world.end_of(run)["state"]["type"] == "FAILED"
    assert "outcome:failed" in world.prefect.run(run)["tags"]
    name = world.prefect.run(run)["name"]

    desk["v1"].open_run(run, name)
    desk["v1"].is_in("Failed")
    desk["v1"].picture("run-failed")
    desk["v1"].retry()
    wait_until(lambda: world.prefect.run(run)["run_count"] == 2, "the first UI's Retry has run")
    assert world.end_of(run)["state"]["type"] == "FAILED"

    desk["v2"].open_run(run, name)
    desk["v2"].is_in("Failed")
    desk["v2"].retry()
    wait_until(lambda: world.prefect.run(run)["run_count"] == 3, "the second UI's Retry has run")
    asked(world, run, "flight-green-10")
    desk["v2"].answer(desk["v2"].open_form(), "approve", "Ada")
    asked(world, run, "full-green")
    desk["v1"].open_run(run, name)
    desk["v1"].answer(desk["v1"].open_form(), "approve", "Grace")
    assert world.end_of(run)["state"]["name"] == "Promoted"
    assert world.traffic == {"green": 100}
    tags = world.prefect.run(run)["tags"]
    assert [tag for tag in tags if tag.startswith("outcome:")] == ["outcome:promoted"]
    assert f"workspace:{world.stack.emulator.workspace}" in tags
