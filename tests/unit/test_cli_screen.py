"""What a terminal shows: rendered by rich as it would be there, and read as text."""

from dataclasses import replace
from datetime import timedelta

from rich.console import Console, RenderableType

from aml_canary.cli_screen import picture
from aml_canary.domain.standing import Minutes, Picture
from tests.unit.test_standing import ASKED, NOON, at


def seen(shown: RenderableType) -> str:
    console = Console(width=100, record=True, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    console.print(shown)
    return console.export_text()


def test_a_question_shows_what_happened_what_is_live_how_long_is_left_and_what_to_type():
    events = tuple(at(n, f"stage {n}") for n in range(30))
    text = seen(picture(Picture(ASKED, events, {"blue": 90, "green": 10}), NOON + timedelta(days=1)))
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[0].startswith("churn@1a2b3c4  Suspended  http://ui")
    assert "12:00:29  stage 29" in text
    assert not any(line.endswith("  stage 9") for line in lines), "the newest twenty"
    bars = {line.split()[0]: line for line in lines if line.endswith(" %")}
    assert bars.keys() == {"blue", "green"}
    assert bars["green"].endswith(" 10 %")
    assert "Waits for an answer to flight-green-10 for 1 d 0 h, 6 d 0 h left." in lines
    assert lines[-1] == "aml-canary approve churn@1a2b3c4"


def test_a_bake_shows_how_far_it_is_and_the_verdict_so_far():
    baking = replace(ASKED, waits="", gate="", until=None, stage="bake-green-10", minutes=Minutes(12, 60, "bake-green-10: inconclusive"))
    text = seen(picture(Picture(baking, (), None), NOON))
    assert "12 of at most 60 minutes, 48 min left" in text
    assert "bake-green-10: inconclusive" in text
    assert " %" not in text, "where Azure cannot be asked, no traffic is shown"
