"""A real Chromium: PODMAP_TEST_CHROMIUM's, or the one on the PATH. Nothing is installed here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, Request, sync_playwright

SKIPPED = "PODMAP_SKIP_BROWSER is set: nothing was tested in a real browser"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = {360: 740, 800: 900, 1600: 1000}
"""Widths of windows in pixels, each with its height."""


class Watched:
    """A page, and what it must not do: ask for anything, or complain."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.allowed = ["file://", "data:", "blob:"]
        """What the addresses of its requests may begin with."""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._asked)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._said)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(tuple(self.allowed)):
            self.requests.append(request.url)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def open(self, path: Path, place: str = "") -> Page:
        """Opens a file of this machine at a place of the app, and waits for the app."""
        self.page.goto("about:blank")
        self.page.goto(path.as_uri() + place)
        self.page.get_by_role("tabpanel").wait_for()
        return self.page


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("PODMAP_SKIP_BROWSER"):
        terminalreporter.section("Browser", sep="!", red=True, bold=True)
        terminalreporter.line(SKIPPED, red=True)


def chromium() -> str:
    """The program of the browser; there must be one."""
    named = os.environ.get("PODMAP_TEST_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert found, (
        "no Chromium is on the PATH: install it (Debian: apt-get install chromium), name it by "
        "PODMAP_TEST_CHROMIUM, or go without these tests by PODMAP_SKIP_BROWSER=1"
    )
    return found


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Not for longer: while it is there an event loop runs, and `asyncio.run` can start none."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    if os.environ.get("PODMAP_SKIP_BROWSER"):
        pytest.skip(SKIPPED)
    # Without its sandbox it runs as root, too; it only ever sees pages of these tests.
    started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
    yield started
    started.close()


@pytest.fixture
def window(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Opens windows; what a page complains of or asks for fails its test at the end."""
    opened: list[Watched] = []

    def open_window(width: int = 1600, scheme: str = "light", **more: Any) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": WIDTHS.get(width, 900)},
            color_scheme=scheme,  # type: ignore[arg-type] # a literal in the tests
            **more,
        )
        opened.append(Watched(context.new_page()))
        return opened[-1]

    yield open_window
    for watched in opened:
        watched.page.context.close()
    assert [] == [each for watched in opened for each in watched.complaints]
    assert [] == [each for watched in opened for each in watched.requests]
