"""The server of `podmap ui`, real: uvicorn on loopback, with runs that were really run."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.routing import Route
from tests.conftest import TRIAL, Cli

from podmap.server.access import Gate
from podmap.server.app import PUBLIC, make_app
from podmap.server.store import ServedStore

TOKEN = "a-token-of-the-tests"
FOR_EVER = 'echo "begun $1"\nexec sleep 3600\n'


@dataclass
class Ui:
    """A server that runs, and a client that has its token."""

    url: str
    shown: dict[str, Any]
    client: httpx.Client
    process: subprocess.Popen[str]

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def act(self, run: str, **action: Any) -> httpx.Response:
        return self.client.post(f"api/runs/{run}/actions", json=action)

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """What the path says once it holds."""
        while True:
            data = self.get(path).json()
            if holds(data):
                return data


@contextmanager
def serving(cli: Cli, *args: str) -> Iterator[Ui]:
    cli.env["PODMAP_UI_TOKEN"] = TOKEN
    process = cli.start("ui", "--port", "0", "--no-browser", "--json", *args)
    assert process.stdout is not None
    shown = json.loads(process.stdout.readline())
    base = f"http://127.0.0.1:{shown['port']}/"
    with httpx.Client(
        base_url=base, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60
    ) as client:
        yield Ui(base, shown, client, process)


@pytest.fixture
def ended(cli: Cli) -> str:
    """A run that has ended, as the server names it."""
    assert 0 == cli("run", cli.spec(), "-q").code
    return f"grid/{cli.run_id()}"


def test_a_run_is_listed_and_shown_with_its_trials_and_logs(cli: Cli, ended: str) -> None:
    with serving(cli) as ui:
        assert {
            "url": f"{ui.url}?token={TOKEN}",
            "host": "127.0.0.1",
            "port": httpx.URL(ui.url).port,
            "token": TOKEN,
            "store": str(cli.store),
        } == ui.shown
        assert {"can_edit": True, "can_delete": True, "prefix": ""} == ui.get("api/me").json()
        listed = ui.get("api/runs").json()
        (run,) = listed["runs"]
        assert (ended, "ended", 3, "y") == (run["key"], run["state"], run["best"], run["metric"])
        view = ui.get(f"api/runs/{ended}").json()
        assert [0, 1, 2, 3] == view["trials"]["number"]
        assert {"COMPLETE": 4} == {name: n for name, n in view["counts"].items() if n}
        trial = ui.get(f"api/runs/{ended}/trials/2").json()
        assert ({"x": 2}, "COMPLETE") == (trial["params"], trial["state"])
        log = ui.get(f"api/runs/{ended}/trials/2/log")
        assert ("x is 2\n", "text/plain; charset=utf-8") == (log.text, log.headers["content-type"])


def test_who_has_seen_a_run_gets_it_again_only_when_it_has_changed(cli: Cli, ended: str) -> None:
    with serving(cli) as ui:
        for path in ("api/runs", f"api/runs/{ended}", f"api/runs/{ended}/trials/2"):
            etag = ui.get(path).headers["etag"]
            again = ui.get(path, headers={"if-none-match": etag})
            assert (304, b"") == (again.status_code, again.content)
        etag = ui.get(f"api/runs/{ended}").headers["etag"]
        assert 0 == cli("reset", ended, "2", "--yes").code
        changed = ui.get(f"api/runs/{ended}", headers={"if-none-match": etag})
        assert (200, [0, 1, 3]) == (changed.status_code, changed.json()["trials"]["number"])


def test_the_curves_are_those_of_the_metric_that_is_asked_for(cli: Cli) -> None:
    report = """echo 'podmap: {"step": 1, "y": 1, "loss": 2}'\n"""
    assert 0 == cli("run", cli.spec(trial=report + TRIAL), "-q").code
    with serving(cli) as ui:
        run = f"api/runs/grid/{cli.run_id()}"
        shown = [ui.get(run, params={"curve": curve}) for curve in ("", "loss", "y", "none")]
        curves = [each.json()["curves"] for each in shown]
        assert ["y", "loss", "y", "y"] == [each["metric"] for each in curves]
        assert [[2.0]] * 4 == curves[1]["values"]
        assert shown[0].headers["etag"] != shown[1].headers["etag"]


def test_answers_are_compressed_for_who_takes_it(cli: Cli, ended: str) -> None:
    with serving(cli) as ui:
        url, headers = f"{ui.url}api/runs/{ended}", {"Authorization": f"Bearer {TOKEN}"}
        asked = urllib.request.Request(url, headers={**headers, "Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked) as answer:
            packed = answer.read()
            assert "gzip" == answer.headers["content-encoding"]
        assert "digits" not in json.loads(gzip.decompress(packed))
        assert len(packed) < len(ui.get(f"api/runs/{ended}").content)


def test_every_route_but_the_app_itself_is_closed_to_who_has_no_token(cli: Cli) -> None:
    gate = Gate.of(TOKEN, host="127.0.0.1", port=1)
    routes = [
        route
        for route in make_app(ServedStore(str(cli.store)), gate).routes
        if isinstance(route, Route)
    ]
    assert len(routes) >= 9
    cli.store.mkdir()
    with serving(cli) as ui, httpx.Client(base_url=ui.url) as nobody:
        for route in routes:
            path = re.sub(r"\{number:int\}", "0", route.path)
            path = path.format(sweep="grid", run_id="01234567")
            for method in sorted(route.methods or ()):
                status = nobody.request(method, path).status_code
                expected = {401} if path not in PUBLIC or method == "POST" else {200, 401, 404, 503}
                assert status in expected, (method, path)
        for path in ("api/", "nothing", "api/runs/../../etc/passwd", "%2e%2e/x"):
            assert 401 == nobody.get(path).status_code
        assert 401 == nobody.get("/").status_code
        assert 401 == nobody.get("/?token=wrong").status_code
        assert 401 == nobody.post("/", json={}).status_code


def test_the_printed_url_gives_a_cookie_that_lets_the_page_in(cli: Cli, ended: str) -> None:
    with serving(cli) as ui, httpx.Client(base_url=ui.url) as browser:
        page = browser.get(ui.shown["url"])
        assert TOKEN not in page.text
        assert "HttpOnly; SameSite=Strict" in page.headers["set-cookie"]
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert 200 == browser.get(f"api/runs/{ended}").status_code
        origin = {"origin": ui.url.rstrip("/")}
        path, body = f"api/runs/{ended}/actions", {"action": "unpause"}
        assert 403 == browser.post(path, json=body).status_code
        assert 403 == browser.post(path, json=body, headers={"origin": "http://x"}).status_code
        assert 415 == browser.post(path, data=body, headers=origin).status_code
        assert 200 == browser.post(path, json=body, headers=origin).status_code
        assert 421 == browser.get("/", headers={"host": "evil.example"}).status_code


def test_a_run_is_seen_to_go_on_and_steered(cli: Cli) -> None:
    running = cli.start("run", cli.spec(trial=FOR_EVER), "-q")
    with serving(cli) as ui:
        (listed,) = ui.until("api/runs", lambda data: data["runs"] and data["runs"][0]["total"])[
            "runs"
        ]
        run = listed["key"]
        ui.until(f"api/runs/{run}", lambda view: view["counts"]["RUNNING"] == 2)
        path = f"api/runs/{run}/trials/0/log"
        while ui.get(path).text != "begun 0\n":
            pass
        assert 200 == ui.act(run, action="pause").status_code
        assert "paused" == ui.get(f"api/runs/{run}").json()["run"]["state"]
        told = ui.act(run, action="set", parallelism=1).json()
        assert {"text": "parallelism is 1; obeyed within 3 s"} == told
        refused = ui.act(run, action="delete", confirm=run.partition("/")[2])
        assert 409 == refused.status_code
        assert "is being run by process" in refused.json()["error"]
        ui.act(run, action="unpause")
        ui.act(run, action="stop", reason="seen enough", cancel=True)
        ui.until(f"api/runs/{run}", lambda view: view["run"]["state"] == "ended")
    running.wait()
    records = cli.records()
    assert {"CANCELLED"} == {record["state"] for record in records.values()}
    assert all("seen enough" in record["reason"] for record in records.values())


def test_failed_trials_are_retried_and_a_run_is_deleted_once_its_id_is_typed(cli: Cli) -> None:
    cli("run", cli.spec(trial="exit 64\n"), "-q")
    run_id = cli.run_id()
    run = f"grid/{run_id}"
    with serving(cli) as ui:
        told = ui.act(run, action="retry").json()["text"]
        assert f"4 trials will be run again once the run goes on: podmap resume {cli.store}" in told
        wrong = ui.act(run, action="retry", trials=[9])
        assert (400, True) == (wrong.status_code, "has no trial 9" in wrong.json()["error"])
        for typed in ("", "0" * 8):
            refused = ui.act(run, action="delete", confirm=typed)
            assert (400, True) == (refused.status_code, run_id in refused.json()["error"])
        assert 200 == ui.act(run, action="delete", confirm=run_id).status_code
        assert [] == ui.get("api/runs").json()["runs"]
        assert 404 == ui.get(f"api/runs/{run}").status_code
    assert not (cli.store / run / "manifest.json").exists()


def test_a_server_that_only_reads_changes_nothing(cli: Cli, ended: str) -> None:
    with serving(cli, "--read-only") as ui:
        assert not ui.get("api/me").json()["can_edit"]
        assert 403 == ui.act(ended, action="pause").status_code
        assert 200 == ui.get(f"api/runs/{ended}").status_code


def test_what_is_not_there_is_told_in_a_sentence(cli: Cli, ended: str) -> None:
    with serving(cli) as ui:
        for path in (
            "api/runs/grid/01234567",
            "api/runs/grid/0123456z",
            "api/runs/grid/%2e%2e",
            "api/runs/..%2f..%2fetc/01234567",
            f"api/runs/{ended}/trials/4",
            f"api/runs/{ended}/trials/-1",
            "api/nothing",
            "podmap-ui.map",
        ):
            answer = ui.get(path)
            assert (404, ["error"]) == (answer.status_code, list(answer.json())), path


def test_a_body_without_end_is_not_read(cli: Cli, ended: str) -> None:
    with serving(cli) as ui:
        headers = {"content-type": "application/json"}
        path = f"api/runs/{ended}/actions"
        answer = ui.client.post(path, content=b" " * 1_000_000, headers=headers)
        assert 413 == answer.status_code


def test_a_store_that_is_away_is_told_and_the_page_comes_back(cli: Cli, ended: str) -> None:
    with serving(cli) as ui:
        assert 200 == ui.get(f"api/runs/{ended}").status_code
        cli.store.rename(cli.folder / "away")
        cli.store.write_text("no folder")
        for path in ("api/runs", f"api/runs/{ended}"):
            away = ui.get(path)
            assert 503 == away.status_code, away.text
            assert str(cli.store) in away.json()["error"]
        cli.store.unlink()
        (cli.folder / "away").rename(cli.store)
        assert 200 == ui.get(f"api/runs/{ended}").status_code
        assert ended == ui.get("api/runs").json()["runs"][0]["key"]


def test_ctrl_c_ends_it_cleanly(cli: Cli) -> None:
    with serving(cli) as ui:
        ui.process.send_signal(signal.SIGINT)
        _, err = ui.process.communicate(timeout=60)
        assert (0, "ended") == (ui.process.returncode, err.splitlines()[-1])
