"""Every route, asked by users of Airflow's own auth manager and of FAB's, through Airflow's app."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("who_may.py")
STATIC, RUNS = "GET /static/{name}", "GET /api/runs"
BOTH = pytest.mark.parametrize("manager", ["simple", "fab"])
STRANGERS = pytest.mark.parametrize(
    ("manager", "user"), [("simple", "eve"), ("fab", "eve"), ("fab", "dan")]
)


@cache
def said(manager: str) -> dict[str, dict[str, Any]]:
    """User to what each route answered; Dan may read another DAG."""
    with TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(PROGRAM), manager],
            env={**os.environ, "AIRFLOW_HOME": home},
            capture_output=True,
            text=True,
        )
    assert 0 == done.returncode, done.stderr[-3000:]
    answers: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def statuses(manager: str, user: str) -> dict[str, int]:
    """Of the routes that are about a DAG."""
    found = said(manager)[user].items()
    return {route: status for route, status in found if "/dags/" in route}


@BOTH
def test_nobody_is_answered_without_a_login(manager: str) -> None:
    found = statuses(manager, "None")
    assert len(found) >= 6
    assert {401} == {*found.values(), said(manager)["None"][RUNS]}
    assert 200 == said(manager)["None"][STATIC]


@STRANGERS
def test_who_may_not_read_the_dag_is_answered_by_no_route(manager: str, user: str) -> None:
    assert {403} == set(statuses(manager, user).values())
    assert "mine" not in said(manager)[user]["readable"]


def test_the_overview_has_what_may_be_read_dag_by_dag() -> None:
    assert ["other"] == said("fab")["dan"]["readable"]
    assert ["mine", "other"] == said("fab")["vic"]["readable"]


@BOTH
def test_a_viewer_reads_and_steers_nothing(manager: str) -> None:
    found = statuses(manager, "vic")
    assert {403} == {status for route, status in found.items() if route.startswith("POST")}
    # There is no such DAG run, which only those are told who may see it.
    assert {200, 404} == {status for route, status in found.items() if route.startswith("GET")}
    rights = said(manager)["vic"]["me"]
    assert (False, False) == (rights["can_edit"], rights["can_retry"])


@BOTH
def test_who_may_edit_runs_steers(manager: str) -> None:
    assert {200, 404} == set(statuses(manager, "uma").values())
    rights = said(manager)["uma"]["me"]
    assert (True, True, False) == (rights["can_edit"], rights["can_retry"], rights["can_delete"])
