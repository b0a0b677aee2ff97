"""The page at /_emulator/: what it shows is what is so, and it needs nothing from anywhere else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

ENDPOINT = "canary"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-gpu")


@pytest.fixture
def busy(azure: Any) -> Any:
    """Blue takes all traffic and green copies of half of it; somebody without a key was refused."""
    azure.create_endpoint()
    azure.deploy("blue", "v1", count=2)
    azure.deploy("green", "v2")
    azure.traffic(blue=100)
    for _ in range(3):
        assert azure.score().status_code == 200
    assert azure.score(body={"wrong": "shape"}).status_code == 424
    azure.key, key = "nonsense", azure.key
    assert azure.score().status_code == 401
    azure.key = key
    azure.mirror(green=50)
    return azure


def test_the_overview_holds_the_facts_of_every_endpoint(busy: Any) -> None:
    facts = busy.emulator.call("GET", "overview")
    assert (facts["workspace"], facts["pace"], facts["faults"]) == ("aml-emulator", "fast", 0)
    [endpoint] = facts["endpoints"]
    blue, green = endpoint.pop("deployments")
    assert endpoint == {"name": ENDPOINT, "state": "Succeeded", "auth_mode": "Key", "requests": 5, "refused": 1}
    assert blue == {
        "name": "blue", "state": "Succeeded", "weight": 100, "mirror": 0, "instances": 2, "running": 2, "requests": 4, "errors": 1, "mirrored": 0,
    }  # fmt: skip
    assert (green["weight"], green["mirror"], green["requests"]) == (0, 50, 0)
    assert facts["log"][0]["operation"] == "endpoint.get"
    assert {line["name"] for line in facts["log"]} >= {f"onlineEndpoints/{ENDPOINT}", f"onlineEndpoints/{ENDPOINT}/deployments/green"}


def test_the_page_asks_for_nothing_outside_itself(aml_emulator: Any) -> None:
    page = requests.get(f"{aml_emulator.arm_url}/_emulator/", verify=aml_emulator.ca_bundle, timeout=30)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "://" not in page.text
    assert re.findall(r'(?:src=|href=|fetch\()"([^"]*)"', page.text) == ["data:,", "/_emulator/overview"]
    assert "prefers-color-scheme: dark" in page.text


def test_the_page_asks_again_and_again_for_facts_that_change_and_shows_none_that_are_not_there(busy: Any, aml_emulator: Any) -> None:
    page = requests.get(f"{aml_emulator.arm_url}/_emulator/", verify=aml_emulator.ca_bundle, timeout=30).text
    facts = busy.emulator.call("GET", "overview")
    [endpoint] = facts["endpoints"]
    known = {
        "facts": set(facts),
        "deployment": set(endpoint["deployments"][0]),
        "endpoint": set(endpoint),
        "show": set(facts["log"][0]),
    }
    assert set(re.findall(r"facts\.(\w+)", page)) <= known["facts"]
    for function in ("deployment", "endpoint", "show"):
        body = page.split(f"function {function}(")[1].split("\n  }")[0]
        used = set(re.findall(r"one\.(\w+)", body))
        assert used, function
        assert used <= known[function], function
    assert "setTimeout(poll, 1000)" in page
    assert re.search(r"bar\.style\.width = `\$\{one\.mirror \|\| one\.weight\}%`", page)
    # Names come from whoever uses the emulator, so nothing that it shows may be read as markup.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", page)
    # A copy could still be under way, and be counted, when the next test has begun.
    busy.mirror()
    assert busy.score().status_code == 200
    again = busy.emulator.call("GET", "overview")
    assert again["endpoints"][0]["requests"] == endpoint["requests"] + 1


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_shows_the_facts(busy: Any, tmp_path: Path) -> None:
    own = ("--headless", "--no-sandbox", "--ignore-certificate-errors", f"--user-data-dir={tmp_path}", "--virtual-time-budget=3000")
    command = [str(CHROMIUM), *own, *QUIET, "--dump-dom", f"{busy.emulator.arm_url}/_emulator/"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    rows = re.findall(r"<tr><td><strong>(.*?)</tr>", shown)
    texts = [re.sub(r"<[^>]*>", " ", row).split() for row in rows]
    assert texts == [
        ["blue", "Succeeded", "100", "%", "2", "/", "2", "4", "1", "0"],
        ["green", "Succeeded", "50", "%", "mirror", "1", "/", "1", "0", "0", "0"],
    ]
    assert re.findall(r'style="width: (\d+)%', shown) == ["100", "50"]
    assert "5 requests · 1 refused at the door" in shown
    assert 'id="live">live<' in shown
