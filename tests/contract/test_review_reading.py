"""What a review reads from git: the right commit, whatever the host's refs do meanwhile, and every manifest on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aml_canary.errors import Transient
from aml_canary.settings import settings
from examples.demo.manifests import manifest
from examples.demo.stack import ROOT
from tests.contract.test_git_mirror import Origin

REF = "refs/pull/7/head"


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    monkeypatch.setenv("AML_CANARY_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield Origin(tmp_path)
    settings.cache_clear()


def commit(origin: Origin, **files: str) -> str:
    """A commit in the working folder, pushed nowhere."""
    for name, text in files.items():
        path = origin.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    origin.git("add", "--all")
    origin.git("commit", "-q", "--allow-empty", "-m", "Proposed")
    return origin.git("rev-parse", "HEAD")


def propose(origin: Origin, **files: str) -> str:
    made = commit(origin, **files)
    origin.git("push", "-q", "--force", str(origin.bare), f"HEAD:{REF}")
    return made


def test_the_commit_that_was_told_of_is_reviewed_also_by_a_short_name_and_an_older_one_is_not(origin: Origin) -> None:
    from tasks.reviewing import fetch_request

    origin.push("one")
    first = propose(origin, a="1")
    assert fetch_request.fn(origin.url, REF, first) == first
    assert fetch_request.fn(origin.url, REF, first[:12]) == first
    second = propose(origin, a="2")
    assert fetch_request.fn(origin.url, REF, first) == ""
    assert fetch_request.fn(origin.url, REF, second) == second
    # Amended: another history, and the commit from before is known from then.
    origin.git("reset", "-q", "--hard", "HEAD~1")
    third = propose(origin, a="3")
    assert fetch_request.fn(origin.url, REF, second) == ""
    assert fetch_request.fn(origin.url, REF, third) == third


def test_a_ref_that_lags_behind_its_delivery_is_waited_for(origin: Origin) -> None:
    from tasks.reviewing import fetch_request

    origin.push("one")
    first = propose(origin, a="1")
    later = commit(origin, a="2")
    with pytest.raises(Transient, match=f"{REF} is at {first[:12]} and not, or not yet, at {later[:12]}"):
        fetch_request.fn(origin.url, REF, later)
    # The branch is there before the pull request's own ref is.
    origin.git("push", "-q", str(origin.bare), "HEAD:refs/heads/feature")
    assert fetch_request.fn(origin.url, REF, later) == later


def test_both_sides_are_read_from_where_they_parted(origin: Origin) -> None:
    from tasks.reviewing import fetch_request, read_both

    sample = (ROOT / "examples/manifests/sample-request.json").read_text()
    models = {f"models/{path.relative_to(ROOT / 'examples/models')}": path.read_text()
              for path in (ROOT / "examples/models").rglob("*") if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    one = {name: manifest(name, {"blue": 100}, {"blue": "v1"}) for name in ("churn", "fraud")}
    files = {f"configs/{name}.canary.yml": text for name, text in one.items()}
    commit(origin, **models, **files, **{"configs/sample-request.json": sample})
    base = origin.push("base")
    proposed = propose(
        origin,
        **{
            "configs/churn.canary.yml": one["churn"].replace("instance_count: 2", "instance_count: 3"),
            "configs/b/canary.yml": "endpoint: 1",
        },
    )
    # The branch goes on meanwhile: that is not this pull request's doing.
    origin.git("checkout", "-q", base)
    (origin.work / "configs/fraud.canary.yml").unlink()
    origin.push("later")
    parted, before, after = read_both.fn(origin.url, fetch_request.fn(origin.url, REF, proposed))
    assert parted == base
    assert sorted(before.orders) == sorted(after.orders) == ["churn", "fraud"]
    assert [name for name in after.orders if before.orders[name].digest != after.orders[name].digest] == ["churn"]
    assert after.unreadable == {"configs/b/canary.yml"}
    assert after.doubled == ()
    again = propose(origin, **{f"configs/{n}.canary.yml": one["churn"] for n in ("x", "y")})
    assert read_both.fn(origin.url, fetch_request.fn(origin.url, REF, again))[2].doubled == (
        "churn is named by configs/churn.canary.yml and by configs/x.canary.yml. Keep one.",
        "churn is named by configs/x.canary.yml and by configs/y.canary.yml. Keep one.",
    )
