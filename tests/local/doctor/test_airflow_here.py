"""The settings of the Airflow that is installed here, as a process of its own prints them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from podmap.doctor.airflow_here import check_airflow_here
from podmap.doctor.verdict import Level, Verdict


def told(text: str) -> dict[str, Verdict]:
    program = [sys.executable, "-c", f"print({text!r})"]
    return {each.name: each for each in check_airflow_here(program=program)}


def test_what_is_printed_is_judged() -> None:
    settings = {
        "version": "3.3.2",
        "home": "/opt/airflow",
        "provider": "",
        "core.max_map_length": "64",
        "database.sql_alchemy_conn": "sqlite://",
    }
    found = told(f"a warning before\n{json.dumps(settings)}")
    assert "Airflow 3.3.2 in /opt/airflow" == found["airflow here"].found
    assert Level.HURTS is found["provider"].level
    assert Level.HURTS is found["airflow database"].level
    assert "[core] max_map_length is 64" == found["map length"].found


@pytest.mark.parametrize("text", ["", "not JSON", "[]", "{}"])
def test_what_is_no_answer_is_not_known(text: str) -> None:
    (one,) = told(text).values()
    assert ("airflow here", Level.UNREACHABLE) == (one.name, one.level)


def test_a_program_that_is_not_there_is_told() -> None:
    (one,) = check_airflow_here(program=["/no/such/python"])
    assert Level.UNREACHABLE is one.level


@pytest.mark.airflow
def test_the_installed_airflow_says_how_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "77")
    url = "postgresql+psycopg2://airflow:secret@db/airflow"
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
    found = {each.name: each for each in check_airflow_here()}
    assert f"in {tmp_path}" in found["airflow here"].found
    assert Level.OK is found["provider"].level
    assert "Airflow keeps its state in postgresql" == found["airflow database"].found
    assert "[core] max_map_length is 77" == found["map length"].found
    assert "secret" not in "".join(each.found for each in found.values())
