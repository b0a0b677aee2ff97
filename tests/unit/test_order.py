"""An order is known by its content: every file that the manifest refers to is part of it, and nothing else of the commit is."""

import pytest

from aml_canary.domain.manifest_reader import read_manifest, require
from aml_canary.domain.order import Order, order_of
from aml_canary.domain.tree import MemoryTree

MANIFEST = b"""
endpoint: {name: churn, traffic: {blue: 100}}
deployments:
  blue:
    model: {path: ../weights}
    code_configuration: {code: ../code, scoring_script: score.py}
    environment: {image: "base:1", conda_file: ../env.yml}
    instance_type: Standard_F2s_v2
    instance_count: 1
rollout:
  smoke:
    requests:
      - {name: one, file: request.json}
"""
FILES = {
    "configs/churn.canary.yml": MANIFEST,
    "configs/request.json": b"{}",
    "weights/w.bin": b"w",
    "code/score.py": b"def init(): ...",
    "code/lib/helpers.py": b"",
    "env.yml": b"name: x",
    "README.md": b"hello",
}


def order(commit: str = "c" * 40, **changed: bytes) -> Order:
    tree = MemoryTree(FILES | changed)
    return order_of(require(read_manifest(tree, "configs/churn.canary.yml")), tree, "acme/models", commit)


@pytest.mark.parametrize("file", ["configs/request.json", "weights/w.bin", "code/score.py", "code/lib/helpers.py", "env.yml"])
def test_a_file_that_the_manifest_refers_to_makes_another_order(file):
    assert order(**{file: b'{"name": "another"}'}).digest != order().digest


def test_a_file_that_is_new_in_a_folder_it_refers_to_makes_another_order():
    assert order(**{"code/lib/more.py": b""}).digest != order().digest


def test_another_commit_another_file_and_another_layout_of_the_manifest_do_not():
    assert order("d" * 40, **{"README.md": b"goodbye"}).digest == order().digest
    assert order(**{"configs/churn.canary.yml": b"# a remark\n" + MANIFEST}).digest == order().digest
