"""The tab in Airflow's own page, below a path: the app in Airflow's React, in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.airflow_page import BELOW, DAG, RUN

from podmap.server.listen import bind

pytestmark = [pytest.mark.browser, pytest.mark.airflow]

PROGRAM = Path(__file__).with_name("airflow_page.py")
ROOT = Path(__file__).resolve().parents[2]
WAIT_MS = 90_000
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[str]:
    """The URL at which Airflow is served."""
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("airflow")
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(PROGRAM), str(port)],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(line == "READY\n" for line in process.stdout), "it has ended: see above"
    yield f"http://127.0.0.1:{port}{BELOW}"
    process.terminate()
    process.communicate()


@pytest.fixture
def page(airflow: str, browser: Browser) -> Iterator[Page]:
    """A page of somebody who has logged in; it must not complain."""
    transport = httpx.HTTPTransport(retries=5)
    with httpx.Client(transport=transport, timeout=WAIT_MS / 1000) as client:
        token = client.get(f"{airflow}/auth/token").json()["access_token"]
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.add_cookies([{"name": "_token", "value": token, "url": f"{airflow}/"}])
    complaints: list[str] = []
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [] == complaints


def test_the_tab_of_a_run_shows_and_steers_its_sweep(airflow: str, page: Page) -> None:
    page.goto(f"{airflow}/dags/{DAG}/runs/{quote(RUN)}/plugin/podmap-sweep")
    pill = page.locator(".pill")
    expect(page.get_by_role("heading", name="x", exact=True)).to_be_visible()
    expect(pill).to_have_text("running")
    page.get_by_role("button", name="Pause").click()
    expect(pill).to_have_text("paused")
    page.get_by_role("button", name="Go on").click()
    expect(pill).to_have_text("running")


def test_the_menu_leads_to_all_sweeps(airflow: str, page: Page) -> None:
    page.goto(f"{airflow}/plugin/podmap-sweeps")
    expect(page.get_by_role("heading", name="Sweeps")).to_be_visible()
    expect(page.locator(".pill")).to_have_text("running")
