"""The picture of a rollout: whole XML, weights that total 100, and names that stay text, whatever the plan and whatever the names."""

import base64
import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from aml_canary.domain.manifest import Approvals
from aml_canary.domain.observed import nonzero
from aml_canary.domain.steps import Bake, DeleteDeployment, Rest, ShiftTraffic, SmokeInvoke
from aml_canary.domain.timeline import BAR, BAR_LEFT, WIDTH, Done, Moment, image, moments, picture
from tests.unit.worlds import World, rollouts, walked, weights

SVG = "{http://www.w3.org/2000/svg}"
BLUE, BOTH, GREEN = {"blue": 100}, {"blue": 90, "green": 10}, {"green": 100}
DONE = (Done("flight-green-10", "2026-11-26T14:03:09+00:00", BOTH), Done("bake-green-10", "2026-11-26T14:33:00+00:00", BOTH, "pass"))
AHEAD = (ShiftTraffic("green", GREEN), Bake("green", GREEN), Rest(("blue",), 10), DeleteDeployment("blue", retire=True))


def rows_of(svg: str) -> list[list[float]]:
    """For each row, the percentage that each deployment's piece of the bar is wide."""
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):  # noqa: S314 -- our own
        pieces = [rect for rect in group.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
        edge = BAR_LEFT
        for rect in pieces:
            assert abs(float(rect.get("x", "")) - edge) < 0.2, "no gap"
            edge = float(rect.get("x", "")) + float(rect.get("width", ""))
        assert not pieces or abs(edge - BAR_LEFT - BAR) < 0.2, "the whole bar"
        found.append([100 * float(rect.get("width", "")) / BAR for rect in pieces])
    return found


@given(rollouts(), st.sampled_from([(), ("traffic",), ("traffic", "full", "retire")]))
def test_of_any_plan_the_picture_is_whole_xml_whose_weights_total_100_in_each_row(rollout, before):
    aim, world = rollout
    done = [Done("create-green", "2026-11-26T14:00:00+00:00", world.live.traffic)]
    rows = moments(done, world.live.traffic, world.steps(aim), Approvals(before=before))
    svg = picture("churn", rows)
    for widths, row in zip(rows_of(svg), rows, strict=True):
        assert sum(row.traffic.values()) in (0, 100)
        expected = [float(weight) for weight in nonzero(row.traffic).values()]
        assert sorted(round(width) for width in widths) == sorted(expected)
    assert dict(rows[-1].traffic) == dict(walked(aim, World(world.live, world.smoked)).live.traffic)


@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.integers(0, 100), max_size=9))
def test_names_are_text_in_the_picture_whatever_they_are(title, step, note, traffic):
    svg = picture(title, [Moment(step, traffic, "done", note), Moment("now", traffic, "now")])
    root = ElementTree.fromstring(svg)  # noqa: S314 -- our own
    assert {node.tag.removeprefix(SVG) for node in root.iter()} <= {"svg", "title", "desc", "style", "rect", "text", "g", "line", "circle"}
    assert not [name for node in root.iter() for name in node.attrib if name.startswith("on") or "href" in name]


@given(weights(("blue", "green", "red", "teal", "plum", "sand")))
def test_every_deployment_has_a_colour_of_its_own(traffic):
    svg = picture("churn", [Moment("now", traffic, "now")])
    legend = [rect.get("fill") for rect in ElementTree.fromstring(svg) if rect.tag == f"{SVG}rect" and rect.get("fill")]  # noqa: S314 -- our own
    assert len(legend) == len(set(legend)) == len(nonzero(traffic))


def test_past_now_and_next_are_told_apart_and_a_question_stands_where_somebody_is_asked():
    rows = moments(DONE, BOTH, AHEAD, Approvals(before=("full",)))
    assert [(row.label, row.when, row.asked) for row in rows] == [
        ("flight-green-10", "done", False),
        ("bake-green-10", "done", False),
        ("now", "now", False),
        ("full-green", "next", True),
        ("bake-green-100", "next", False),
        ("keep-blue", "next", False),
        ("delete-blue", "next", False),
    ]
    assert [row.note for row in rows[:3]] == ["14:03", "14:33 pass", "live"]
    assert [dict(row.traffic) for row in rows[2:5]] == [BOTH, GREEN, GREEN]
    svg = picture("churn", rows)
    assert svg.count('class="gate"') == svg.count(">asks first<") == 1
    assert "now: blue 90 %, green 10 %. next full-green: green 100 %, after an approval." in svg


def test_a_rollout_of_more_than_a_day_tells_the_days_and_a_long_one_is_shortened():
    later = Done("flight-green-50", "2026-11-27T09:00:00+00:00", BOTH)
    assert [row.note for row in moments((*DONE, later), BOTH, (), Approvals())][:3] == ["11-26 14:03", "11-26 14:33 pass", "11-27 09:00"]
    many = moments(DONE * 20, BOTH, [SmokeInvoke(f"n{n}") for n in range(40)], Approvals())
    svg = picture("churn", many)
    assert "28 earlier steps" in svg
    assert "24 more steps" in svg
    assert len(rows_of(svg)) == 31


def test_an_endpoint_without_traffic_has_an_empty_bar():
    svg = picture("churn", [Moment("now", {}, "now")])
    assert rows_of(svg) == [[]]
    assert 'class="none"' in svg


def test_nothing_is_fetched_from_anywhere_and_both_themes_are_there():
    svg = picture("churn", moments(DONE, BOTH, AHEAD, Approvals()))
    assert "prefers-color-scheme:dark" in svg
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"url\(|@import|@font-face|<script|<foreignObject|<image", svg)
    assert f'width="{WIDTH}"' in svg
    assert len(svg) < 12_000, "it is kept with every question"


def test_the_image_is_one_line_of_markdown_that_holds_the_picture():
    svg = picture("churn", moments(DONE, BOTH, AHEAD, Approvals()))
    text = image(svg, "Traffic of [churn](x)!\n")
    assert "\n" not in text
    assert (found := re.fullmatch(r"!\[Traffic of churn\(x\)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", text))
    assert base64.b64decode(found[1]).decode() == svg
