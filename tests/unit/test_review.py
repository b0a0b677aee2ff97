"""What a pull request changes, and how that is told: the words, and that no manifest can write anything else than words into it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aml_canary.domain.findings import Finding
from aml_canary.domain.manifest import Approvals
from aml_canary.domain.manifest_reader import read_manifest, require
from aml_canary.domain.observed import absent
from aml_canary.domain.order import order_of
from aml_canary.domain.quota import Family, Quota
from aml_canary.domain.review import Change, Planned, Review, changed_fields, changed_files, verdict
from aml_canary.domain.review_text import CUT, comment
from aml_canary.domain.simulate import walk
from aml_canary.domain.tree import MemoryTree
from tests.unit.worlds import live

MARKER = "[//]: # (aml-canary review)"
PATH = "configs/churn.canary.yml"
MANIFEST = """
endpoint: {name: churn, traffic: {TRAFFIC}}
deployments:
  blue: {model: "azureml:churn:1", code_configuration: {code: ../models/v1, scoring_script: score.py}, environment: "azureml:sklearn:1",
    instance_type: Standard_F2s_v2, instance_count: COUNT}
GREEN
rollout:
  steps: [10]
  smoke: {requests: [{name: sample, file: sample.json, expect: {max_latency_ms: LATENCY}}]}
"""
GREEN = """  green: {model: "azureml:churn:2", code_configuration: {code: ../models/v1, scoring_script: score.py}, environment: "azureml:sklearn:1",
    instance_type: Standard_F2s_v2, instance_count: 5}"""


def tree(traffic="blue: 100", count="1", green="", latency="500", score="one", **more):
    text = MANIFEST.replace("TRAFFIC", traffic).replace("COUNT", count).replace("GREEN", green).replace("LATENCY", latency)
    files = {PATH: text, "configs/sample.json": "[[1]]", "models/v1/score.py": score, "models/v1/same.py": "", **more}
    return MemoryTree({name: content.encode() for name, content in files.items()})


def manifest(files):
    reading = read_manifest(files, PATH)
    assert reading.manifest, reading.findings
    return require(reading)


def planned(here=None, files=None):
    files = files or tree("green: 100", green=GREEN)
    order = order_of(manifest(files), files, "acme/models", "0" * 40)
    here = here or live({"blue": 100}, {"blue": None})
    return Planned(
        "churn",
        PATH,
        approvals=Approvals(),
        live=here,
        way=tuple(walk(order.stages, here)),
        fields=(Change("endpoint.traffic.green", None, "100"),),
    )


def test_fields_that_differ_are_told_by_dotted_name_with_both_values():
    before, after = tree(), tree("blue: 20, green: 80", "2", GREEN, "800")
    told = {change.field: (change.before, change.after) for change in changed_fields(manifest(before), manifest(after))}
    assert told["deployments.blue.instance_count"] == ("1", "2")
    assert told["endpoint.traffic.blue"] == ("100", "20")
    assert told["endpoint.traffic.green"] == (None, "80")
    assert told["rollout.smoke.requests.sample.expect.max_latency_ms"] == ("500", "800")
    assert told["deployments.green.model"] == (None, "azureml:churn:2")
    assert all(
        name.startswith(("deployments.green.", "endpoint.traffic."))
        for name in told.keys() - {"deployments.blue.instance_count", "rollout.smoke.requests.sample.expect.max_latency_ms"}
    )
    assert changed_fields(manifest(before), manifest(before)) == ()


def test_files_are_told_by_content_wherever_the_manifest_refers_to_them():
    before = tree()
    after = tree(score="two", **{"models/v1/new.py": "", "configs/sample.json": "[[2]]", "models/v3/score.py": "not referred to"})
    found = changed_files(manifest(before), before, manifest(after), after)
    assert [(change.field, change.before is None, change.after is None) for change in found] == [
        ("configs/sample.json", False, False),
        ("models/v1/new.py", True, False),
        ("models/v1/score.py", False, False),
    ]
    back = changed_files(manifest(after), after, manifest(before), before)
    assert [change.field for change in back if change.after is None] == ["models/v1/new.py"]


def test_the_comment_is_short_first_and_has_the_whole_way():
    text = comment(Review("abc" * 10, "main", (planned(),), unchanged=("fraud",), quota_unread="501"), MARKER)
    lines = text.splitlines()
    assert lines[0] == MARKER
    assert lines[2:5] == ["## aml-canary: fine", "", "1 endpoint would change."]
    assert "- `churn`: `blue 100 %` → `blue 90 %, green 10 %` → `green 100 %`; 4 steps, 2 approvals, at most 7 instances." in lines
    assert "- Unchanged: `fraud`." in lines
    assert "| 3 | `flight-green-10` | `Set live traffic to blue 90 %, green 10 %.` | `blue 90 %, green 10 %` | yes |" in lines
    assert "- `endpoint.traffic.green`: nothing → `100`" in lines
    # blue has 2 instances, green 5: ceil(2.4) + ceil(6.0).
    assert "| `Standard_F2s_v2` | 2 | 7 | 9 | could not be read |" in lines
    assert "Quota could not be read: `501`" in lines


def test_quota_that_does_not_suffice_is_told_first():
    quota = Quota({"standard_f2s_v2": ("standardFSv2Family", 2)}, {"standardfsv2family": Family("standardFSv2Family", 6, 17)})
    short = Review("abc", "main", (planned(),), quota=quota)
    assert verdict(short) == ("success", "1 endpoint would change, not enough quota.")
    assert "`not enough: 6 of 17 cores of standardFSv2Family are used, 12 more are needed`" in comment(short, MARKER)
    enough = replace(short, quota=Quota(quota.sizes, {"standardfsv2family": Family("standardFSv2Family", 6, 18)}))
    assert verdict(enough) == ("success", "1 endpoint would change.")


def test_what_must_be_put_right_is_a_failure_with_its_count_and_what_we_broke_an_error():
    error, note = Finding("a.yml", 3, "endpoint", "rule", "wrong", "Right it."), Finding("a.yml", 0, "", "legacy", "old", "", "note")
    assert verdict(Review("abc", "main", findings=(note,))) == ("success", "No endpoint would change.")
    assert verdict(Review("abc", "main", findings=(note, error))) == ("failure", "1 error in the manifests.")
    refused = Planned("churn", PATH, refused="No way.")
    assert verdict(Review("abc", "main", (refused,), findings=(error,), problems=("Round.",))) == ("failure", "3 errors in the manifests.")
    broke = Planned("churn", PATH, broke="Azure refused.")
    assert verdict(Review("abc", "main", (broke,))) == ("error", "churn could not be planned.")
    text = comment(Review("abc", "main", (broke, refused), findings=(note, error)), MARKER)
    assert text.index("- error: `a.yml:3` `rule`: `endpoint: wrong` `Right it.`") < text.index("- note: `a.yml` `legacy`: `old`")
    assert "Could not be planned: `Azure refused.`" in text
    assert "Refused: `No way.`" in text


def test_a_removed_manifest_is_told():
    assert "`fraud`: its manifest is gone" in comment(Review("abc", "main", removed=("fraud",)), MARKER)
    assert verdict(Review("abc", "main", removed=("fraud",)))[1] == "No endpoint would change, 1 manifest removed."


def skeleton(text):
    """Everything of a rendered comment but what stands in its code spans."""
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    found = []
    for token in rendered:
        found.append((token.type, token.tag))
        found += [(inner.type, "" if inner.type == "code_inline" else inner.content) for inner in token.children or ()]
    return found


def filled(word):
    """A review in which everything that somebody else may have written is this word."""
    way = tuple((step, after) for step, after in planned().way)
    here = live({"blue": 100}, {"blue": None})
    one = Planned(
        word,
        word,
        True,
        (Change(word, word, None), Change(word, None, word)),
        (Change(word, word, word),),
        live=here,
        way=way,
        remarks=(word,),
    )
    other = Planned(word, word, live=absent(word), refused=word, broke=word)
    findings = (Finding(word, 3, word, word, word, word), Finding(word, 0, word, word, word, word, "note"))
    quota = Quota({"standard_f2s_v2": (word, 2)}, {word.lower(): Family(word, 1, 2)})
    return Review("abc", word, (one, other), (word,), (word,), findings, (word,), quota)


EVIL = st.text(st.sampled_from("|`\\<>[]()!*_#~@&:-\n\r\t \u2028\u202e\x00\x85ab/."), min_size=1) | st.text(min_size=1)


@given(EVIL)
def test_no_text_becomes_anything_else_than_text(word):
    assert skeleton(comment(filled(word), MARKER)) == skeleton(comment(filled("x"), MARKER))


def test_the_property_sees_a_text_that_breaks_out():
    good = "| a | b |\n|-|-|\n| `x` | yes |"
    assert all(skeleton(good) != skeleton(good.replace("`x`", bad)) for bad in ("`x | y`", "`x` **y** `z`", "x", "`x`\n\ny `"))


@given(EVIL, st.integers(300, 3000), st.integers(0, 200))
def test_no_comment_is_longer_than_its_host_takes(word, limit, times):
    review = replace(filled(word), findings=filled(word).findings * times)
    text = comment(review, MARKER, limit)
    assert len(text) <= limit
    assert text.startswith(MARKER + "\n")
    assert (CUT in text) == (len(comment(review, MARKER, 10**9)) > len(text))


@given(EVIL)
def test_a_comment_that_just_fits_is_whole(word):
    whole = comment(filled(word), MARKER, 10**9)
    assert comment(filled(word), MARKER, len(whole)) == whole
    assert CUT in comment(filled(word), MARKER, len(whole) - 1)
