"""Commands whose output nobody takes, or cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from podmap.cli._streams import UnfailingWriter
from podmap.cli.main import VERBS

PODMAP = f"{sys.executable} -m podmap.cli.main"


def shell(cli: Any, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line.replace("podmap ", f"{PODMAP} ")],
        cwd=cli.folder,
        env=cli.env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"], ids=["closed", "full"])
def test_talk_that_cannot_be_said_is_dropped(cli: Any, where: str) -> None:
    ran = shell(cli, f"podmap run {cli.spec()} --json {where}")
    assert (0, "", 4) == (ran.returncode, ran.stderr, json.loads(ran.stdout)["counts"]["COMPLETE"])


@pytest.mark.parametrize("where", [">&-", ">/dev/full"], ids=["closed", "full"])
def test_a_run_whose_data_cannot_be_written_goes_on_to_its_end_and_says_so(
    cli: Any, where: str
) -> None:
    ran = shell(cli, f"podmap run {cli.spec()} {where}")
    lines = ran.stderr.splitlines()
    assert (3, False) == (ran.returncode, "Traceback" in ran.stderr)
    assert lines[-1].startswith("podmap: cannot write to standard output: ")
    assert any("4 complete" in line for line in lines)
    assert ["COMPLETE"] * 4 == [record["state"] for record in cli.records().values()]


def test_a_run_whose_reader_goes_away_goes_on_to_its_end(cli: Any) -> None:
    ran = shell(cli, f"podmap run {cli.spec()} --logs 2>&1 | head -n 1; exit ${{PIPESTATUS[0]}}")
    assert (3, "") == (ran.returncode, ran.stderr)
    assert ["COMPLETE"] * 4 == [record["state"] for record in cli.records().values()]
    assert (cli.store / "grid" / cli.run_id() / "summary.json").exists()


def test_a_closed_descriptor_is_not_taken_by_a_file_of_the_run(cli: Any) -> None:
    ran = shell(cli, f"podmap run {cli.spec()} --json <&- >&- 2>&-")
    assert (3, "", "") == (ran.returncode, ran.stdout, ran.stderr)
    assert ["COMPLETE"] * 4 == [record["state"] for record in cli.records().values()]


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"demo", "schema", "ls", "lint-dag"}))
def test_an_error_is_json_too_if_json_was_asked_for(cli: Any, verb: str) -> None:
    ran = cli(verb, "nothing", "--json")
    assert (2, ran.code) == (ran.json["exit_code"], ran.code)
    assert ran.json["error"]


def test_a_working_folder_that_was_deleted_is_an_error_with_a_way_out(cli: Any) -> None:
    gone = cli.folder / "gone"
    gone.mkdir()
    ran = shell(cli, f"cd {gone}; rmdir {gone}; podmap ls --store runs --json")
    assert (2, True) == (ran.returncode, "the working folder does not exist" in ran.stderr)
    assert 2 == json.loads(ran.stdout)["exit_code"]


def test_a_descriptor_that_does_not_block_gets_all_of_the_data() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    data = b"x" * 300_000
    with subprocess.Popen(["wc", "-c"], stdin=read, stdout=subprocess.PIPE) as reader:
        os.close(read)
        writer = UnfailingWriter(write)
        assert len(data) == writer.write(data)
        os.close(write)
        assert len(data) == int(reader.communicate()[0])
    assert writer.error is None


def test_text_that_the_terminal_cannot_show_is_no_error(cli: Any) -> None:
    spec = cli.spec()
    cli.env["PYTHONIOENCODING"] = "ascii"
    sets = "--set 'search.params.x=[é, b]'"
    ran = shell(cli, f"podmap plan {spec} {sets} --json")
    assert (0, "é") == (ran.returncode, json.loads(ran.stdout)["trials"][0]["params"]["x"])
    assert 0 == shell(cli, f"podmap plan {spec} {sets}").returncode
