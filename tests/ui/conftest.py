"""One stack and one browser for all tests that click: the stack of the orchestration tests, Debian's Chromium, driven by Playwright.

Not part of `make test`, which needs no browser.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from examples.demo.stack import ROOT
from tests.orchestration.conftest import here, stack, world

__all__ = ["browser", "here", "pictures", "stack", "world"]

# Nothing that would leave this machine, nothing that a machine without a screen does not have.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser that was never used before."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "These tests need Debian's Chromium: apt-get install chromium."
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, headless=True, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where pictures are kept: what UI_PICTURES says, or build/ui."""
    folder = Path(os.environ.get("UI_PICTURES") or ROOT / "build" / "ui")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
