"""The app on the pages of `podmap ui`: runs of a real store, live, and how they are steered."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Watched
from tests.conftest import Cli

pytestmark = pytest.mark.browser

Window = Callable[..., Watched]
TOKEN = "a-token-of-the-tests"
SLOW = """\
while [ ! -e "$GO_ON" ]; do sleep 0.05; done
echo "podmap: {\\"step\\": 1, \\"y\\": 0}"
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
"""
"""Trials that wait for a file."""


class Server:
    """`podmap ui` on a port that stays the same when it is started again."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Starts it; the URL of its page."""
        command = ["ui", str(self.cli.store), "--port", str(self.port), "--no-browser"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "podmap.cli.main", *command],
            env={**self.cli.env, "PODMAP_UI_TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate(timeout=60)
            self.process = None


@pytest.fixture
def server(cli: Cli) -> Iterator[Server]:
    cli.store.mkdir(parents=True, exist_ok=True)
    server = Server(cli)
    yield server
    server.stop()


@pytest.fixture
def two_runs(cli: Cli) -> list[str]:
    """The ids of two runs of one sweep, each in a process: Playwright has this one's event loop."""
    spec = cli.spec()
    assert [0, 0] == [cli.process("run", spec).code for _ in range(2)]
    return [path.parent.name for path in cli.store.glob("*/*/manifest.json")]


def open_page(watched: Watched, server: Server) -> Page:
    url = server.start()
    watched.allowed.append(f"http://127.0.0.1:{server.port}/")
    watched.page.goto(url)
    watched.page.get_by_role("heading", name="Runs").wait_for()
    return watched.page


def test_runs_are_listed_opened_and_compared(
    window: Window, server: Server, two_runs: list[str]
) -> None:
    watched = window(1600)
    shown = open_page(watched, server)
    one, other = two_runs
    expect(shown.get_by_role("listitem")).to_have_count(2)
    shown.get_by_role("button", name=one).click()
    expect(shown.get_by_role("heading", name="grid")).to_be_visible()
    expect(shown.get_by_role("main")).to_contain_text("4 of 4 ended")
    shown.get_by_role("tab", name="Compare").click()
    expect(shown.get_by_role("table").first).to_contain_text(other)
    expect(shown.get_by_text("They ran the same spec.")).to_be_visible()
    shown.get_by_role("tab", name="Trials").click()
    shown.get_by_role("rowgroup").get_by_role("row").nth(2).click()
    dialog = shown.get_by_role("dialog", name="Trial 2")
    expect(dialog).to_contain_text("x is 2")
    dialog.get_by_role("button", name="Whole log").click()
    expect(dialog.get_by_role("heading", name="Log", exact=True)).to_be_visible()
    shown.keyboard.press("Escape")
    shown.go_back()
    expect(shown.get_by_role("heading", name="Runs")).to_be_visible()


def test_a_server_that_goes_away_is_told_and_comes_back(
    window: Window, server: Server, cli: Cli, two_runs: list[str]
) -> None:
    watched = window(800)
    shown = open_page(watched, server)
    server.stop()
    expect(shown.get_by_text("cannot be reached")).to_be_visible(timeout=20_000)
    server.start()
    expect(shown.get_by_text("cannot be reached")).to_have_count(0, timeout=40_000)
    expect(shown.get_by_role("listitem")).to_have_count(2)
    watched.complaints.clear()  # the browser logs each request that was refused


def test_a_run_is_watched_and_steered_to_its_end(
    window: Window, server: Server, cli: Cli, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    cli.env["GO_ON"] = str(go_on)
    process = cli.start("run", cli.spec(trial=SLOW))
    watched = window(1600)
    shown = open_page(watched, server)
    shown.get_by_role("button", name="grid").first.click(timeout=30_000)
    expect(shown.get_by_text("running").first).to_be_visible(timeout=20_000)
    expect(shown.get_by_role("main")).to_contain_text("0 of 4 ended")
    shown.get_by_role("button", name="2 at once").click()
    shown.get_by_role("spinbutton").fill("0")
    expect(shown.get_by_role("button", name="Set")).to_be_disabled()
    shown.get_by_role("spinbutton").fill("3")
    shown.get_by_role("button", name="Set").click()
    expect(shown.get_by_role("button", name="3 at once")).to_be_visible(timeout=20_000)
    shown.get_by_role("button", name="Pause").click()
    shown.get_by_role("button", name="Go on").click(timeout=20_000)
    expect(shown.get_by_role("button", name="Pause")).to_be_visible(timeout=20_000)
    go_on.touch()
    expect(shown.get_by_role("main")).to_contain_text("4 of 4 ended", timeout=60_000)
    expect(shown.locator(".pill.ended")).to_be_visible(timeout=20_000)
    process.communicate(timeout=60)
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.clock.install()
    shown.clock.fast_forward(60_000)
    shown.get_by_role("tab", name="Curves").click()
    expect(shown.get_by_role("heading", name="y by step")).to_be_visible()
    assert [] == asked


def test_a_run_is_deleted_when_its_id_is_typed(
    window: Window, server: Server, cli: Cli, two_runs: list[str]
) -> None:
    watched = window(800)
    shown = open_page(watched, server)
    gone, kept = two_runs
    shown.get_by_role("button", name=gone).click()
    shown.get_by_role("button", name="Delete").click()
    dialog = shown.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(kept)
    expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    dialog.get_by_role("textbox").fill(gone)
    dialog.get_by_role("button", name="Delete").click()
    expect(shown.get_by_role("heading", name="Runs")).to_be_visible()
    expect(shown.get_by_role("listitem")).to_have_count(1, timeout=20_000)
    assert [kept] == [path.parent.name for path in cli.store.glob("*/*/manifest.json")]
