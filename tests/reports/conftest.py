"""One browser for the tests of the page: the system's Chromium, as Debian and Ubuntu call it. No browser is fetched.

Its library holds the event loop of the thread while it is open, so it is closed before other tests begin.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.reports import html
from runner.reports.facts import Facts, Rows, no_rows
from runner.reports.pack import USUAL, Limit
from tests.reports import making

pytest.importorskip("playwright", reason="needs the extra `test`")
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        # Without a sandbox of its own, which root has none of; nothing but files of ours is opened.
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


class Shown:
    """One page in a browser, and all that it asked for or complained of."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page, self.file = page, file
        self.requests: list[str] = []
        self.messages: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url.split("#")[0]))
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("dialog", lambda dialog: self.messages.append(dialog.message))

    def open(self, address: str = "") -> Shown:
        self.page.goto(f"{self.file.as_uri()}{address}")
        if self.page.locator("#list").count():
            expect(self.page.locator("#found")).to_have_text(re.compile("of"))
        return self

    def rows(self) -> str:
        """`267 of 2,000 rows`."""
        return self.page.locator("#found").inner_text()

    def has_rows(self, words: str) -> None:
        """Waits a little for them: the page searches in its own time."""
        expect(self.page.locator("#found")).to_have_text(words)

    def selected(self) -> str:
        return self.page.locator(".row[aria-selected=true] .id").inner_text()

    def hash(self) -> str:
        return str(self.page.evaluate("location.hash"))

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.page.wait_for_timeout(60)  # the page draws in its own time


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 1,200 tickets."""
    return written(tmp_path_factory.mktemp("report") / "report.html", 1200)


def written(path: Path, rows: int, *, longest: int = 0, limit: Limit = USUAL) -> Path:
    of = making.rows(rows, longest=longest)
    return write(path, making.facts(of), making.source(of), limit=limit)


def write(path: Path, facts: Facts, rows: Rows = no_rows, *, limit: Limit = USUAL) -> Path:
    with path.open("wb") as file:
        file.writelines(html.page(facts, rows, limit=limit))
    return path


@pytest.fixture
def shown(browser: Browser, report: Path) -> Iterator[Shown]:
    page = browser.new_page(viewport={"width": 1168, "height": 900})
    yield Shown(page, report)
    page.close()
