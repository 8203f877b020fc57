"""The checks of an Airflow by its API fire on answers as Airflow gives them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from podmap.doctor.airflow_api import check_airflow_api
from podmap.doctor.verdict import Level, Verdict
from podmap.errors import UsageError

HEALTHY = {"status": "healthy"}
PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
JOB = {"hostname": "triggerer-0"}
ANSWERS: dict[str, Any] = {
    "/api/v2/version": {"version": "3.3.2"},
    "/api/v2/monitor/health": dict.fromkeys(PARTS, HEALTHY),
    "/api/v2/jobs": {"jobs": [JOB]},
    "/api/v2/dags/~/dagRuns/~/taskInstances": {"total_entries": 12},
    "/api/v2/providers": {"providers": [{"package_name": "podmap", "version": "0.1.0"}]},
    "/api/v2/dags": {"dags": [{"last_parse_duration": 0.4, "relative_fileloc": "sweeps.py"}]},
    "/api/v2/importErrors": {"total_entries": 0, "import_errors": []},
}
ALWAYS = {"airflow database": Level.UNSEEN}
"""Airflow shows it to nobody."""


@contextmanager
def serve(answers: dict[str, Any], token: str = "") -> Iterator[str]:
    """An API that answers so; an int is a status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = answers.get(self.path.partition("?")[0], 404)
            if token and self.headers.get("Authorization") != f"Bearer {token}":
                given = 401
            status, body = (given, {}) if isinstance(given, int) else (200, given)
            raw = json.dumps(body).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/api/v2/version")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("PODMAP_AIRFLOW_TOKEN", raising=False)


def ask(answers: dict[str, Any]) -> dict[str, Verdict]:
    with serve({**ANSWERS, **answers}) as url:
        return {each.name: each for each in check_airflow_api(url)}


def odd(found: dict[str, Verdict]) -> dict[str, Level]:
    return {name: each.level for name, each in found.items() if each.level is not Level.OK}


def config(value: str) -> dict[str, Any]:
    return {"sections": [{"name": "x", "options": [{"key": "y", "value": value}]}]}


def test_an_airflow_that_lacks_nothing() -> None:
    found = ask({})
    assert ALWAYS == odd(found)
    assert "1 alive (triggerer-0) with 1000 places each; 12 tasks wait" in found["triggerers"].found


@pytest.mark.parametrize(
    ("answers", "name", "told"),
    [
        ({"/api/v2/version": {"version": "3.2.1"}}, "airflow", "3.2.1"),
        (
            {"/api/v2/monitor/health": {**ANSWERS["/api/v2/monitor/health"], "scheduler": None}},
            "health: scheduler",
            "not there",
        ),
        (
            {
                "/api/v2/monitor/health": {
                    **ANSWERS["/api/v2/monitor/health"],
                    "triggerer": {"status": "unhealthy"},
                }
            },
            "health: triggerer",
            "unhealthy",
        ),
        ({"/api/v2/jobs": {"jobs": []}}, "triggerers", "0 alive (none)"),
        (
            {"/api/v2/dags/~/dagRuns/~/taskInstances": {"total_entries": 950}},
            "triggerers",
            "950 tasks wait",
        ),
        ({"/api/v2/providers": {"providers": []}}, "provider", "does not have podmap"),
        (
            {"/api/v2/dags": {"dags": [{"last_parse_duration": 12.5, "relative_fileloc": "a.py"}]}},
            "parse time",
            "12.5 s (a.py)",
        ),
        (
            {"/api/v2/importErrors": {"total_entries": 1, "import_errors": [{"filename": "b.py"}]}},
            "import errors",
            "1 DAG files cannot be read: b.py",
        ),
    ],
    ids=["old", "no-scheduler", "triggerer", "none", "full", "provider", "parse", "imports"],
)
def test_each_check_fires(answers: dict[str, Any], name: str, told: str) -> None:
    found = ask(answers)
    assert {**ALWAYS, name: Level.HURTS} == odd(found)
    assert told in found[name].found
    assert found[name].why
    assert found[name].setting


def test_settings_are_read_where_airflow_shows_them() -> None:
    path = "/api/v2/config/section/{}/option/{}"
    found = ask(
        {
            path.format("triggerer", "capacity"): config("10"),
            path.format("core", "max_map_length"): config("64"),
            path.format("database", "sql_alchemy_conn"): config("< hidden >"),
        }
    )
    assert "[core] max_map_length is 64" == found["map length"].found
    assert Level.HURTS is found["triggerers"].level
    assert "with 10 places each" in found["triggerers"].found


def test_all_dags_are_looked_at_page_by_page() -> None:
    page = [{"last_parse_duration": 0.1, "relative_fileloc": "x.py"}] * 100
    found = ask({"/api/v2/dags": {"dags": page}})
    assert Level.OK is found["parse time"].level


def test_what_a_user_may_not_see_counts_for_nothing() -> None:
    found = ask({"/api/v2/jobs": 403, "/api/v2/providers": 403})
    assert {**ALWAYS, "triggerers": Level.UNSEEN, "provider": Level.UNSEEN} == odd(found)


def test_what_fails_is_not_known() -> None:
    assert {**ALWAYS, "parse time": Level.UNREACHABLE} == odd(ask({"/api/v2/dags": 500}))


def test_the_token_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(ANSWERS, token="right") as url:
        (one,) = check_airflow_api(url)
        assert (Level.UNREACHABLE, True) == (one.level, "401" in one.found)
        monkeypatch.setenv("PODMAP_AIRFLOW_TOKEN", "right")
        assert ALWAYS == odd({each.name: each for each in check_airflow_api(url)})


def test_a_token_goes_nowhere_but_to_the_server_that_was_named() -> None:
    (one,) = ask({"/api/v2/monitor/health": 302}).values()
    assert (Level.UNREACHABLE, True) == (one.level, "answers 302" in one.found)


def test_an_airflow_that_is_away_cannot_be_reached() -> None:
    with serve(ANSWERS) as url:
        pass
    (one,) = check_airflow_api(url)
    assert ("airflow", Level.UNREACHABLE) == (one.name, one.level)


@pytest.mark.parametrize("path", ["/api/v2/version", "/api/v2/monitor/health"])
@pytest.mark.parametrize("answer", [[], "text", None])
def test_what_is_not_airflow_is_one_line(path: str, answer: Any) -> None:
    (one,) = ask({path: answer}).values()
    assert ("airflow", Level.UNREACHABLE) == (one.name, one.level)
    assert "its answer is not one of Airflow's" in one.found


@pytest.mark.parametrize("answer", [{}, [], {"jobs": [5], "dags": [5], "total_entries": "many"}])
def test_an_answer_of_another_form_is_not_known(answer: Any) -> None:
    paths = ("jobs", "dags", "importErrors", "providers", "config/section/core/option/x")
    found = odd(ask({f"/api/v2/{path}": answer for path in paths}))
    names = ("triggerers", "provider", "parse time", "import errors")
    assert {**ALWAYS, **dict.fromkeys(names, Level.UNREACHABLE)} == found


def test_a_password_in_the_url_is_not_shown() -> None:
    (one,) = check_airflow_api("http://me:secret@127.0.0.1:1")
    assert (Level.UNREACHABLE, False) == (one.level, "secret" in one.found)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "airflow.example.com", ""])
def test_only_http_is_asked(url: str) -> None:
    with pytest.raises(UsageError, match="http or https URL, or here"):
        check_airflow_api(url)
