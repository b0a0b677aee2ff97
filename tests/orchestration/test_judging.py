"""Canaries with live traffic, good and bad in every way: each ends as it should, and says why in one line.

They run at the same time (`canaries`), because a verdict takes real minutes of real metrics. The time from the end of the first whole minute of
bad data to the PUT that takes traffic back is printed.
"""

import re
import time
from collections.abc import Callable, Iterator

import pytest

from aml_canary.gateways.azureml.client import client
from aml_canary.settings import settings
from examples.demo.stack import Stack
from tests.orchestration.canaries import Canaries, Canary
from tests.orchestration.conftest import deleted, end_rollouts
from tests.orchestration.world import wait_until

pytestmark = pytest.mark.timeout(1500)
# Whatever answers two numbers is right, for a model whose mistakes only users and the judge shall see.
LAX = re.compile(r", exclusiveMinimum: 1")
BLUE, GREEN = {"blue": 100}, {"green": 100}


def good(world: Canary) -> str:
    run = world.release("v2")
    with world.users() as users:
        name, message = world.ended(run)
    assert (name, users.tally.lost) == ("Promoted", {}), message
    assert (world.traffic, set(world.deployments)) == (GREEN, {"green"})
    order = [step for step in world.stages(run) if not step.startswith("show-")]
    assert order[-6:] == ["flight-green-30", "bake-green-30", "full-green", "bake-green-100", "keep-blue", "delete-blue"]
    return message


def resting(world: Canary) -> str:
    """What was replaced is kept, without a process; the guard wakes the rollout."""
    run = world.release("v2", "{enabled: false}")
    assert world.suspended(run) == "rest"
    since = time.time()
    assert (world.traffic, set(world.deployments)) == (GREEN, {"blue", "green"})
    name, message = world.ended(run)
    assert (name, set(world.deployments)) == ("Promoted", {"green"}), message
    assert "keep-blue" in world.stages(run)
    return f"blue was kept for {time.time() - since:.0f} s after it lost its traffic, and then deleted"


def rolled_back(world: Canary, run: str, since: float, because: str) -> str:
    name, message = world.ended(run)
    return told_back(world, name, message, since, because)


def told_back(world: Canary, name: str, message: str, since: float, because: str) -> str:
    assert name == "RolledBack", message
    assert re.search(because, message), message
    assert message.endswith("Live traffic was put back to blue 100 %."), message
    assert world.traffic == BLUE
    wait_until(lambda: world.lock() is None, "the endpoint is free")
    assert len(message.splitlines()) == 1
    return f"{world.seconds_until_blue(since):.0f} s after its first bad minute: {message}"


def broken(world: Canary) -> str:
    world.every = 20
    world.break_it()
    run = world.release("v2-broken")
    with world.users():
        world.until_traffic(blue=70, green=30)
        return rolled_back(world, run, time.time(), "green is worse: .*error")


def slow(world: Canary) -> str:
    run = world.release("v2-slow", "{least_minutes: 2, longest_minutes: 14, confidence: fast}")
    with world.users():
        world.until_traffic(blue=70, green=30)
        return rolled_back(world, run, time.time(), "green is worse: .*(slow|latency|ms)")


def wrong(world: Canary) -> str:
    """HTTP 200 and a wrong body: what smoke requests do not forbid, comparing answers finds."""
    judge = "{least_minutes: 2, longest_minutes: 10, quality: {least_agreement_percent: 90}}"
    run = world.release(
        "v2-wrong", judge, edit=lambda text: LAX.sub("", text).replace("max_latency_ms", "tolerance: 0.5\n          max_latency_ms")
    )
    with world.users():
        world.until_traffic(blue=70, green=30)
        return rolled_back(world, run, time.time(), "green is worse: .*agree")


def implausible(world: Canary) -> str:
    """The same, found by a function of the user's that looks at the answers."""
    judge = "{least_minutes: 2, longest_minutes: 10, quality: {function: examples.quality.follows_the_rows}}"
    run = world.release("v2-wrong", judge, edit=lambda text: asked_often(LAX.sub("", text)))
    with world.users():
        world.until_traffic(blue=70, green=30)
        return rolled_back(world, run, time.time(), "green is worse: .*(quality|answers)")


def asked_often(text: str) -> str:
    """The manifest with its smoke request four times."""
    before, request, after = re.split(r"(      - name: two-rows\n(?:        .*\n)+)", text)
    return before + "".join(request.replace("two-rows", f"two-rows-{n}") for n in range(4)) + after


def late(world: Canary) -> str:
    world.every = 10
    run = world.release("v2-broken", "{least_minutes: 6, longest_minutes: 12}")
    with world.users():
        world.until_minute(run, 2)
        world.break_it()
        return rolled_back(world, run, time.time(), "green is worse: .*error")


def incident(world: Canary) -> str:
    """Both fail alike, so green is not the reason."""
    world.every = 4
    run = world.release(
        "v2-broken",
        "{least_minutes: 3, longest_minutes: 15, on_inconclusive: hold, tolerated_slowdown: 3, tolerated_error_percent: 15}",
        blue="v2-broken",
    )
    with world.users() as users:
        world.until_traffic(blue=70, green=30)
        world.break_it()
        world.until_minute(run, 2)
        world.break_it(broken=False)
        name, message = world.ended(run)
    assert (name, world.traffic) == ("Promoted", GREEN), message
    assert users.tally.lost["HTTP 424"] > 50
    return message


def silent(world: Canary) -> str:
    """Nobody asks anything: that is no reason to go on, and none to go back."""
    run = world.release("v2", "{least_minutes: 1, longest_minutes: 2}")
    assert world.suspended(run) == "bake-green-30"
    form = world.prefect.form(run)
    assert "**Approve:** Go on without a verdict." in form
    assert "**error** (cannot be judged): no data" in form
    world.answer(run, "reject", comment="nobody has used it yet")
    name, message = world.ended(run)
    assert name == "Rejected"
    assert "Ada rejected bake-green-30: nobody has used it yet" in message
    assert world.traffic == BLUE
    return message


def stopping(world: Canary) -> str:
    """Traffic stops in mid-bake, and the manifest holds."""
    run = world.release("v2", "{least_minutes: 3, longest_minutes: 4, on_inconclusive: hold, tolerated_error_percent: 0.5}")
    with world.users():
        world.until_traffic(blue=70, green=30)
        world.until_minute(run, 1)
    name, message = world.ended(run)
    assert name == "Failed", message
    assert "bake-green-30 ended without a verdict and holds" in message
    assert world.traffic == {"blue": 70, "green": 30}
    return message


def killed(world: Canary) -> str:
    """kill -9 in mid-bake: the guard judges on."""
    world.every = 10
    run = world.release("v2-broken", "{least_minutes: 6, longest_minutes: 12}")
    with world.users():
        world.until_minute(run, 1)
        world.kill_flow(run)
        world.break_it()
        since = time.time()
        name, message = world.ended(run)
    return told_back(world, name, message, since, "green is worse: .*error")


def waiting(world: Canary) -> str:
    """It passes, and gets worse while somebody decides: the guard does not wait for them."""
    world.every = 10
    run = world.release("v2-broken", gates="[full]")
    with world.users():
        assert world.suspended(run) == "full-green"
        assert "**pass** (good)" in world.prefect.form(run)
        assert world.traffic == {"blue": 70, "green": 30}
        world.break_it()
        since = time.time()
        name, message = world.ended(run)
    return told_back(world, name, message, since, "green is worse: .*error")


STORIES: tuple[Callable[[Canary], str], ...] = (
    slow,
    incident,
    late,
    good,
    killed,
    waiting,
    wrong,
    implausible,
    stopping,
    broken,
    silent,
    resting,
)


@pytest.fixture(scope="module")
def canaries(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in stack.env.items():
            if name.startswith(("AML_CANARY_", "AZURE_", "REQUESTS_CA_BUNDLE")):
                environment.setenv(name, value)
        settings.cache_clear()
        client.cache_clear()
        running = Canaries(stack.prefect, lambda name: Canary(stack, tmp_path_factory.mktemp(name), f"judged-{name}"))
        for story in STORIES:
            running.begin(story.__name__, story)
        yield running
        running.close()
        for canary in running.made:
            end_rollouts(stack, canary.endpoint)
        for canary in running.made:
            wait_until(lambda name=canary.endpoint: deleted(stack, name), "the endpoint is idle, and deleted")
        settings.cache_clear()
        client.cache_clear()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_canary_under_live_traffic_ends_as_it_should(
    canaries: Canaries, story: Callable[[Canary], str], record_property: Callable[[str, object], None]
) -> None:
    record_property("told", f"{story.__name__}: {canaries.outcome(story.__name__)}")
