"""Prefect's two UIs as a person uses them: open a run, read its form, answer it, Retry; and pictures of what there is to see.

Where things are differs: the first UI has Resume and Retry in the page's header, the second in its menu. What a person says does not.
May import Playwright and the standard library only.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Locator, Page, expect

Version = Literal["v1", "v2"]
# A patient person: Prefect on a busy machine takes its time. What is there already is not waited for.
PATIENCE_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)


class PrefectUi:
    """One page of one of the UIs. `pictures` is the folder that pictures go to."""

    def __init__(self, page: Page, address: str, version: Version, pictures: Path) -> None:
        self.page, self.version, self._pictures = page, version, pictures
        self._address = address if version == "v1" else f"{address}/v2"
        page.set_default_timeout(PATIENCE_MS)

    def open_run(self, run: str, name: str) -> None:
        """Open the page of a flow run, and see that it has the run's name."""
        self.page.goto(f"{self._address}/runs/flow-run/{run}", wait_until="domcontentloaded")
        expect(self.page.get_by_text(name).first).to_be_visible()

    def open_artifacts(self, key: str) -> None:
        """Open the history of all artifacts with a key."""
        self.page.goto(f"{self._address}/artifacts/key/{key}", wait_until="domcontentloaded")
        expect(self.page.get_by_text(key).first).to_be_visible()

    def open_artifact(self, artifact: str, heading: str) -> None:
        """Open one artifact, and see that it has the heading."""
        self.page.goto(f"{self._address}/artifacts/artifact/{artifact}", wait_until="domcontentloaded")
        expect(self.page.get_by_role("heading", name=heading).first).to_be_visible()

    def open_form(self) -> Locator:
        """Press Resume: the dialog with what is asked."""
        self._press("Resume")
        form = self.page.get_by_role("dialog")
        expect(form.get_by_role("heading", name=re.compile(r"\?$"))).to_be_visible()
        return form

    def answer(self, form: Locator, decision: str, approver: str, comment: str = "") -> None:
        """Fill the form in and send it; the dialog closes where Prefect takes the answer."""
        self._choose(form, decision)
        self._field(form, "Approver").fill(approver)
        if comment:
            self._comment(form, comment)
        self.picture(f"answered-{decision}")
        form.get_by_role("button", name="Submit" if self.version == "v1" else "Resume", exact=True).click()
        expect(form.get_by_role("heading", name=re.compile(r"\?$"))).to_be_hidden()

    def retry(self) -> None:
        """Press Retry, and say yes where that is asked."""
        self._press("Retry")
        dialog = self.page.locator("[role=dialog], [role=alertdialog]")
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name="Retry").click()
        expect(dialog).to_be_hidden()

    def is_in(self, state: str) -> None:
        """Wait until the run's page shows the state. It looks again by itself."""
        expect(self.page.get_by_text(state, exact=True).first).to_be_visible()

    def picture(self, name: str, of: Locator | None = None) -> Path:
        """Keep a picture of what is to be seen, or of a part of it."""
        path = self._pictures / f"{name}-{self.version}.png"
        (of or self.page).screenshot(path=path, animations="disabled")
        return path

    def _press(self, what: str) -> None:
        if self.version == "v1":
            self.page.get_by_role("button", name=what, exact=True).first.click()
        else:
            self.page.locator('main button[aria-haspopup="menu"], header button[aria-haspopup="menu"]').first.click()
            self.page.get_by_role("menuitem", name=what, exact=True).click()

    def _choose(self, form: Locator, decision: str) -> None:
        if self.version == "v1":
            form.locator(".p-select-button__control").first.press("Space")
            self.page.locator(".p-select-option", has_text=decision).first.click()
        else:
            form.get_by_role("button", name="Select Decision").click()
            self.page.get_by_role("option", name=decision).click()

    def _field(self, form: Locator, label: str) -> Locator:
        return form.get_by_role("textbox").first if self.version == "v1" else form.get_by_role("textbox", name=label)

    def _comment(self, form: Locator, text: str) -> None:
        form.get_by_role("button" if self.version == "v1" else "tab", name="str", exact=True).click()
        form.get_by_role("textbox").last.fill(text)


def is_whole(within: Locator, image: Locator) -> None:
    """The picture is drawn, and nothing of it, nor of anything beside it, sticks out to the right."""
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth > 100 && image.naturalHeight > 100"), "the picture is drawn"
    inner, outer = image.bounding_box(), within.bounding_box()
    assert inner is not None
    assert outer is not None
    assert outer["x"] <= inner["x"]
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
    # Scrolled sideways, or cut off, is what somebody would not see.
    wider = within.evaluate(
        """within => [...within.querySelectorAll('*')]
            .filter(node => node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 10
                && ['auto', 'scroll', 'hidden'].includes(getComputedStyle(node).overflowX))
            .map(node => `${node.tagName}.${node.className} ${node.scrollWidth} > ${node.clientWidth}`)"""
    )
    assert wider == []


@contextmanager
def ui(browser: Browser, address: str, version: Version, pictures: Path, theme: Literal["light", "dark"] = "light") -> Iterator[PrefectUi]:
    """One of the UIs, as somebody sees it who was never there before."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=theme)
    try:
        yield PrefectUi(context.new_page(), address, version, pictures)
    finally:
        context.close()
