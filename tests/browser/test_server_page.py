"""`podmap ui` in a real browser: a run that goes on is seen to, steered, and deleted."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.conftest import Cli

pytestmark = pytest.mark.browser

FOR_EVER = """\
echo "begun $1"
while [ ! -e go ]; do sleep 0.05; done
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
"""
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)


class Tab:
    """A tab of a browser with the page of a server, and what it asks of others."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        origin = url.partition("?")[0]
        page.set_default_timeout(WAIT_MS)
        page.on(
            "request",
            lambda asked: asked.url.startswith(origin) or self.foreign.append(asked.url),
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)


@pytest.fixture
def open_ui(cli: Cli, browser: Browser) -> Iterator[Callable[..., tuple[Tab, Any]]]:
    """Starts a server, and opens what it prints."""
    opened: list[tuple[Tab, Any]] = []

    def start(*args: str) -> tuple[Tab, Any]:
        process = cli.start("ui", "--port", "0", "--no-browser", "--json", *args)
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        opened.append((Tab(browser.new_context().new_page(), url), process))
        return opened[-1]

    yield start
    for tab, process in opened:
        tab.page.context.close()
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert [] == [each for tab, _ in opened for each in (*tab.foreign, *tab.complaints)]


def test_a_run_is_watched_and_steered_from_start_to_end(
    cli: Cli, open_ui: Callable[..., tuple[Tab, Any]]
) -> None:
    running = cli.start("run", cli.spec(trial=FOR_EVER), "-q")
    tab, _ = open_ui()
    page = tab.page
    assert "token" not in page.url
    page.get_by_text("grid").first.click()
    page.get_by_role("tabpanel").wait_for()
    expect(page.get_by_text("running", exact=False).first).to_be_visible()
    page.get_by_role("button", name=re.compile("pause", re.IGNORECASE)).click()
    expect(page.get_by_text("paused", exact=False).first).to_be_visible()
    page.get_by_role("button", name=re.compile("go on", re.IGNORECASE)).click()
    Path(cli.folder, "go").touch()
    expect(page.get_by_text("ended", exact=False).first).to_be_visible()
    assert 0 == running.wait()


def test_a_server_that_is_stopped_is_told_and_comes_back(
    cli: Cli, open_ui: Callable[..., tuple[Tab, Any]]
) -> None:
    cli.env["PODMAP_UI_TOKEN"] = "a-token-of-the-tests"
    running = cli.start("run", cli.spec(trial=FOR_EVER), "-q")
    tab, process = open_ui()
    page = tab.page
    page.get_by_text("grid").first.click()
    page.get_by_role("tabpanel").wait_for()
    port = re.search(r":(\d+)/", page.url)
    assert port is not None
    process.send_signal(signal.SIGINT)
    process.communicate()
    expect(page.get_by_text("cannot be reached", exact=False).first).to_be_visible()
    again = cli.start("ui", "--port", port[1], "--no-browser", "--json")
    try:
        expect(page.get_by_text("cannot be reached", exact=False).first).to_be_hidden()
    finally:
        again.send_signal(signal.SIGINT)
        again.communicate()
        Path(cli.folder, "go").touch()
        running.wait()


def test_without_the_token_the_page_asks_for_it(
    cli: Cli, open_ui: Callable[..., tuple[Tab, Any]]
) -> None:
    cli.env["PODMAP_UI_TOKEN"] = "a-token-of-the-tests"
    assert 0 == cli.process("run", cli.spec(), "-q").code
    tab, _ = open_ui()
    page = tab.page
    page.context.clear_cookies()
    page.reload()
    page.get_by_label("Token").fill("a-token-of-the-tests")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_text("grid").first).to_be_visible()
