"""The demo's repository tells of a push as a git host does: real git and its real hook, against a door on loopback that answers as it is told."""

from pathlib import Path

import pytest

from examples.demo.repository import Repository
from tests.contract.githost_world import git_host


@pytest.mark.parametrize(("statuses", "times"), [([202], 1), ([503, 202], 2), ([401], 1)])
def test_a_push_is_told_again_while_prefect_is_busy_and_not_where_it_was_refused(tmp_path: Path, statuses: list[int], times: int) -> None:
    with git_host() as door:
        door.answers = [(status, {}, b"") for status in statuses]
        repository = Repository(tmp_path)
        repository.tell(door.api, "secret")
        repository.push({"a": "1"}, "one")
    told = [received.headers["x-github-delivery"] for received in door.received]
    assert len(told) == times
    assert len(set(told)) == 1, "it is the same delivery"
