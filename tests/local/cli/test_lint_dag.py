"""podmap lint-dag: output, JSON, exit codes, standard input."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

WARNED = "from airflow.decorators import dag\n"
BROKEN = "from airflow.utils.dates import days_ago  # for a DAG\n"
FINE = "from airflow.sdk import dag\n"


def write(folder: Path, **texts: str) -> str:
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return str(folder)


def test_findings_are_printed_with_place_rule_and_right_form(cli: Any, tmp_path: Path) -> None:
    folder = write(tmp_path, broken=BROKEN, fine=FINE)
    ran = cli("lint-dag", folder)
    assert ran.out == (
        f"{folder}/broken.py:1:33: PM101 error: airflow.utils.dates.days_ago is gone: the import "
        "fails, and with it the whole file\n"
        "    use a fixed date: pendulum.datetime(2024, 1, 1, tz='UTC')\n"
    )
    assert "2 files checked: 1 error, 0 warnings\n" == ran.err
    assert 1 == ran.code


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (FINE, [], 0),
        (WARNED, [], 0),
        (WARNED, ["--strict"], 1),
        (BROKEN, [], 1),
        (BROKEN, ["--ignore", "PM1"], 0),
        (BROKEN, ["--select", "PM2,PM3"], 0),
        (BROKEN, ["--select", "PM2", "--select", "PM101"], 1),
        (BROKEN, ["--select", "XX"], 2),
        ("dag = (\n", [], 2),
    ],
)
def test_exit_codes(cli: Any, tmp_path: Path, text: str, options: list[str], code: int) -> None:
    write(tmp_path, dag=text)
    assert code == cli("lint-dag", str(tmp_path / "dag.py"), *options).code


def test_json_says_the_same(cli: Any, tmp_path: Path) -> None:
    write(tmp_path, dag=BROKEN + WARNED)
    path = str(tmp_path / "dag.py")
    data = json.loads(cli("lint-dag", "--json", path).out)
    assert {"files": 1, "counts": {"PM101": 1, "PM102": 1}} == {
        key: data[key] for key in ("files", "counts")
    }
    assert data["findings"][1] == {
        "file": path,
        "line": 2,
        "column": 32,
        "rule": "PM102",
        "name": "import-moved",
        "severity": "warning",
        "outcome": "deprecated",
        "message": "airflow.decorators.dag is deprecated: it works through a forward that will be "
        "taken away",
        "fix": "use airflow.sdk.dag",
    }


def test_a_file_that_cannot_be_read_does_not_keep_others_from_being_checked(
    cli: Any, tmp_path: Path
) -> None:
    write(tmp_path, b=BROKEN)
    missing = str(tmp_path / "a.py")
    ran = cli("lint-dag", missing, str(tmp_path / "b.py"))
    first, _, second, _ = ran.out.splitlines()
    assert f"{missing}:1:1: PM001 error: cannot be checked: No such file or directory" == first
    assert "PM101" in second
    assert 2 == ran.code


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_a_finding(cli: Any, tmp_path: Path) -> None:
    write(tmp_path, a=FINE)
    (tmp_path / "a.py").chmod(0)
    assert "PM001" in cli("lint-dag", str(tmp_path / "a.py")).out


def test_a_minus_is_standard_input(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BROKEN.encode())))
    ran = cli("lint-dag", "-")
    assert ran.out.startswith("<stdin>:1:33: PM101 error: ")
    assert 1 == ran.code


def test_no_file_is_wrong_usage(cli: Any) -> None:
    assert 2 == cli("lint-dag").code


def test_a_file_named_twice_is_checked_once(cli: Any, tmp_path: Path) -> None:
    folder = write(tmp_path, dag=BROKEN)
    data = json.loads(cli("lint-dag", "--json", folder, f"{folder}/dag.py").out)
    assert 1 == data["files"]
