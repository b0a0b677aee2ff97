"""What a commit changes, as the form tells it: short, with a link where there is one, and never markup of somebody else's."""

from dataclasses import replace

from aml_canary.domain.changed import Revision, changed_text, fields_against_live, revision_line
from aml_canary.domain.manifest import CodeConfiguration, Deployment, Endpoint, Manifest, Stage
from aml_canary.domain.review import Change

PLAIN = Revision("0123456789abcdef", "Green: the new model", "Ada", "2026-11-26T12:00:00+01:00")
FULL = replace(
    PLAIN,
    url="https://github.com/acme/models/commit/0123456789abcdef",
    base="fedcba9876543210",
    fields=(Change("deployments.green.instance_count", None, "2"),),
    files=(Change("models/v2/score.py", "1", "2"), Change("models/v2/new.py", None, "3"), Change("models/v2/old.py", "4", None)),
)


def test_a_commit_is_told_by_whom_about_what_and_where_to_look():
    assert revision_line(PLAIN) == "`0123456789ab`: `Green: the new model`, by `Ada`, 2026-11-26"
    assert revision_line(FULL).startswith("[0123456789ab](https://github.com/acme/models/commit/0123456789abcdef): `Green")
    assert revision_line(Revision("0123456789abcdef")) == "`0123456789ab`"


def test_fields_and_files_are_told_against_what_was_live():
    assert changed_text(FULL).splitlines()[1:] == [
        "What it changes since `fedcba987654`, which was live before:",
        "",
        "- `deployments.green.instance_count`: nothing → `2`",
        "- `models/v2/score.py`: changed",
        "- `models/v2/new.py`: new",
        "- `models/v2/old.py`: gone",
    ]
    assert changed_text(PLAIN) == "Commit `0123456789ab`: `Green: the new model`, by `Ada`, 2026-11-26."
    assert changed_text(replace(FULL, fields=(), files=())).endswith(
        "It changes nothing that this manifest says since `fedcba987654`, which was live before."
    )


def test_of_many_changes_the_first_are_told_and_the_others_counted():
    many = replace(FULL, files=tuple(Change(f"f{n}", "1", "2") for n in range(30)))
    lines = changed_text(many).splitlines()
    assert lines[-1] == "- and 22 more files"
    assert len(lines) == 3 + 1 + 8 + 1


def test_what_a_commit_says_cannot_be_markup():
    wild = replace(PLAIN, subject="` ![x](http://evil) | <b>\n# no", author="`[a](b)`")
    line = revision_line(wild)
    assert "\n" not in line
    assert line.count("`") == 6


def manifest(traffic, **code) -> Manifest:
    deployments = {
        name: Deployment(name=name, instance_type="F2", code_configuration=CodeConfiguration(code=folder, scoring_script="score.py"))
        for name, folder in code.items()
    }
    return Manifest(
        path="m.yml", stages=(Stage(name="m", file="m.yml", endpoint=Endpoint(name="churn", traffic=traffic), deployments=deployments),)
    )


def test_a_deployment_that_takes_another_s_place_is_compared_with_that_one():
    before, after = manifest({"blue": 100}, blue="models/v1"), manifest({"green": 100}, green="models/v2")
    assert fields_against_live(before, after) == (Change("deployments.green.code_configuration.code", "models/v1", "models/v2"),)
    beside = manifest({"blue": 90, "green": 10}, blue="models/v1", green="models/v2")
    assert {change.field.split(".")[1] for change in fields_against_live(before, beside)} == {"green"}
    assert all(change.before is None for change in fields_against_live(before, beside))
    assert fields_against_live(before, before) == ()
