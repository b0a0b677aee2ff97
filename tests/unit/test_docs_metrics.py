"""What docs/metrics.md has its reader type: variables that are taken, and a function that is a source."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aml_canary.domain.judge.minutes import Arm
from aml_canary.gateways.metrics import source
from aml_canary.gateways.metrics.azure_monitor import AzureMonitor
from aml_canary.gateways.metrics.function import Function
from aml_canary.gateways.metrics.prometheus import Prometheus, filled
from aml_canary.settings import Settings, settings

DOCUMENT = (Path(__file__).parents[2] / "docs/metrics.md").read_text()


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def typed(title: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings after the section's exports were typed into a shell."""
    lines = "\n".join(block for block in re.findall(r"```sh\n(.*?)```", section(title), re.DOTALL) if block.startswith("export "))
    names = re.findall(r"^export (\w+)=", lines, re.MULTILINE)
    assert names
    shown = subprocess.run(
        ["/bin/sh", "-c", f"{lines}\nenv -0"], capture_output=True, check=True, env={"PATH": os.environ["PATH"]}, text=True
    )
    values = dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)
    for name in names:
        monkeypatch.setenv(name, values[name])
    settings.cache_clear()
    return settings()


@pytest.fixture(autouse=True)
def _forget():
    yield
    settings.cache_clear()


def test_the_variables_for_prometheus_make_it_the_source(monkeypatch):
    installed = typed("Prometheus", monkeypatch)
    assert isinstance(source(), Prometheus)
    for name in ("prometheus_requests", "prometheus_latency"):
        for template in (getattr(installed, name), Settings.model_fields[name].default):
            window, times, by = re.search(r"\[(\d+)s\]\)\) \* (\d+) / (\d+)$", template).groups()
            assert (window, times) == (by, "60")
            assert 'deployment=~"blue|green"' in filled(template, "churn", ["blue", "green"])


def test_the_function_is_a_source(monkeypatch, tmp_path):
    [code] = re.findall(r"```python\n(.*?)```", section("A function of yours"), re.DOTALL)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/canary.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    typed("A function of yours", monkeypatch)
    try:
        assert isinstance(source(), Function)
        found = source().minutes("churn", ("blue", "green"), 29927280, 29927281)
    finally:
        for name in ("acme.canary", "acme"):
            sys.modules.pop(name, None)
    assert found == {
        "blue": {29927280: Arm({200: 540, 424: 2}, {50: 12.0, 95: 31.5}), 29927281: None},
        "green": {29927280: Arm({200: 61}, durations=(11.9, 12.4, 30.8)), 29927281: None},
    }


def test_the_table_has_the_lag_of_each_source():
    rows = re.findall(r"^\| (.*?) \|.*\| (\d+) minutes? \|$", DOCUMENT, re.MULTILINE)
    kinds = (AzureMonitor, Prometheus, Function)
    assert [int(lag) for _, lag in rows] == [kind.lag_minutes for kind in kinds]
    assert isinstance(source(), AzureMonitor)


def test_the_command_for_azure_asks_what_the_source_asks():
    [command] = [block for block in re.findall(r"```sh\n(.*?)```", section("Azure Monitor"), re.DOTALL) if block.startswith("az monitor")]
    words = shlex.split(command.replace("<", "").replace(">", "").replace("\\\n", ""))
    asked = dict(itertools.pairwise(words))
    code = (Path(__file__).parents[2] / "aml_canary/gateways/metrics/azure_monitor.py").read_text()
    wire = (Path(__file__).parents[2] / "aml_canary/gateways/azureml/monitor.py").read_text()
    assert f'"{asked["--filter"]}"' in code
    assert f'"{asked["--metric"]}"' in code
    assert f'interval="{asked["--interval"]}"' in wire
    assert f'aggregation="{asked["--aggregation"]}"' in wire
