"""Functions by dotted name: only out of modules that this installation allows, and only what is theirs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from aml_canary.errors import Permanent
from aml_canary.gateways.functions import load
from aml_canary.settings import Settings, settings

MODULE = """
import os
from functools import partial
from os import system
from acme_test.elsewhere import imported

value = 3
bound = partial(system, "true")

def score(request, response):
    return len(response)

def _private():
    return 0

class Scorer:
    def __call__(self, request, response):
        return 2.0

scorer = Scorer()
"""


@pytest.fixture
def allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A package `acme_test` on the path, and what the setting says."""
    package = tmp_path / "acme_test"
    (package / "quality").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "elsewhere.py").write_text("def imported():\n    return 1\n")
    (package / "broken.py").write_text("raise RuntimeError('no licence')\n")
    (package / "exits.py").write_text("import acme_test_not_there\n")
    (package / "quality2.py").write_text("raise SystemError('imported although not allowed')\n")
    (package / "quality/__init__.py").write_text(MODULE)
    (package / "quality/deep.py").write_text("def score(request, response):\n    return 1.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(value: str) -> None:
        monkeypatch.setenv("AML_CANARY_FUNCTIONS", value)
        settings.cache_clear()

    put('["acme_test.quality"]')
    yield put
    settings.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_test"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "value"), [("acme_test.quality.score", 4), ("acme_test.quality.scorer", 2.0), ("acme_test.quality.deep.score", 1.5)]
)
def test_a_function_of_an_allowed_module_or_one_below_it_is_found(allow, name, value):
    assert load(name)("ask", "tell") == value


@pytest.mark.parametrize(
    "name", ["os.system", "acme_test.elsewhere.imported", "acme_test.quality2.score", "acme_test.score", "builtins.eval", "score", "", "."]
)
def test_what_is_not_of_an_allowed_module_is_refused_and_not_imported(allow, name):
    with pytest.raises(Permanent, match=r"may not be called.* AML_CANARY_FUNCTIONS allows acme_test\.quality\."):
        load(name)
    assert not any(module.startswith("acme_test") for module in sys.modules)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("acme_test.quality.system", "posix"),
        ("acme_test.quality.bound", "functools"),
        ("acme_test.quality.imported", "acme_test.elsewhere"),
    ],
)
def test_what_an_allowed_module_only_imported_is_refused(allow, name, module):
    with pytest.raises(Permanent, match=f"may not be called: it is of module {module}"):
        load(name)


@pytest.mark.parametrize(
    "name", ["acme_test.quality.os.system", "acme_test.quality.Scorer.__call__", "acme_test.quality.score.__globals__"]
)
def test_nobody_gets_through_a_module_to_another_or_into_an_object(allow, name):
    with pytest.raises(Permanent):
        load(name)


@pytest.mark.parametrize("name", ["acme_test.quality._private", "acme_test.quality.__import__", "acme_test.quality.__loader__"])
def test_what_is_private_is_refused(allow, name):
    with pytest.raises(Permanent, match="is private to its module"):
        load(name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("acme_test.quality.value", "is not a function: acme_test.quality has a int"),
        ("acme_test.quality.absent", "is not a function: acme_test.quality has none of that name"),
        ("acme_test.broken.score", r"cannot be imported here \(RuntimeError: no licence\)"),
        ("acme_test.exits.score", r"cannot be imported here \(ModuleNotFoundError: No module named 'acme_test_not_there'\)"),
        ("acme_test.nowhere.score", "Install its package on every worker"),
    ],
)
def test_what_is_allowed_and_not_there_is_refused_with_the_reason(allow, name, told):
    allow('["acme_test"]')
    with pytest.raises(Permanent, match=told):
        load(name)


def test_without_the_setting_nothing_is_allowed(allow):
    allow("[]")
    with pytest.raises(Permanent, match="AML_CANARY_FUNCTIONS allows none"):
        load("acme_test.quality.score")


@pytest.mark.parametrize("module", ["", ".", "acme.", ".acme", "acme..quality", "acme quality", "*", "acme-quality"])
def test_a_setting_that_names_no_module_is_refused(module):
    with pytest.raises(ValidationError, match="is not the dotted name of a module"):
        Settings(functions=(module,))


@pytest.mark.parametrize("metrics", ["", "prometheus2", "azure_monitor", "acme.", "acme.metrics()", "acme..minutes", "os system.x"])
def test_a_source_that_is_none_is_refused(metrics):
    with pytest.raises(ValidationError, match="neither azure-monitor, nor prometheus, nor the dotted name"):
        Settings(metrics=metrics)


@pytest.mark.parametrize("metrics", ["azure-monitor", "prometheus", "acme.metrics.minutes"])
def test_a_source_that_could_be_one_is_taken(metrics):
    assert Settings(metrics=metrics).metrics == metrics


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://x", "https://user:pw@x", "https://x/?a=b", "https://x y"])
def test_an_address_that_is_none_is_refused_without_being_shown(url):
    with pytest.raises(ValidationError, match="without credentials") as caught:
        Settings(prometheus_url=url)
    assert "pw" not in str(caught.value)


def test_a_token_that_could_end_its_header_is_refused_without_being_shown():
    with pytest.raises(ValidationError, match="one word of printable ASCII") as caught:
        Settings(prometheus_token="secret\r\nX-Other: 1")
    assert "secret" not in str(caught.value)
