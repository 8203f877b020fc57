"""The verbs that steer a run, beside a `podmap run` that obeys."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from podmap.ledger.ledger import Ledger

SPEC = """\
apiVersion: podmap/v1
name: steered
search: {kind: grid, params: {x: {low: 0, high: 7}}}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}"]}
parallelism: 1
"""
WHEN_TOLD = """\
until [ -e "go$1" ]; do sleep 0.05; done
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
"""
PATIENCE_S = 60.0


def until(true: Callable[[], Any]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


def states(cli: Any) -> list[str]:
    return [record["state"] for _, record in sorted(cli.records().items())]


def in_state(cli: Any, state: str) -> set[int]:
    return {number for number, record in cli.records().items() if record["state"] == state}


def until_said(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it never said {text}")


def release(cli: Any, *numbers: int) -> None:
    for number in numbers:
        Path(cli.folder, f"go{number}").touch()


@pytest.fixture
def ended(cli: Any) -> str:
    release(cli, *range(8))
    assert 0 == cli("run", cli.spec(SPEC, trial=WHEN_TOLD), "-q", "--set", "parallelism=8").code
    return str(cli.run_id())


@pytest.fixture
def interrupted(cli: Any, ended: str) -> str:
    """A run that can go on: nobody runs it, and a trial is open."""
    assert 0 == cli("reset", ended, "7", "--yes").code
    return ended


def test_a_run_obeys_while_it_goes_on(cli: Any) -> None:
    process = cli.start("run", cli.spec(SPEC, trial=WHEN_TOLD), "--json")
    until(lambda: in_state(cli, "RUNNING") == {0})
    run = cli.run_id()

    said = cli("set", run, "parallelism=3", "--json").json
    assert ({"parallelism": 3}, process.pid) == (said["changed"], said["pid"])
    until(lambda: in_state(cli, "RUNNING") == {0, 1, 2})

    assert 0 == cli("pause", run).code
    until_said(process, "paused; go on with: podmap unpause")
    release(cli, 0, 1)
    until(lambda: in_state(cli, "COMPLETE") == {0, 1})
    assert {2} == in_state(cli, "RUNNING")
    assert 0 == cli("unpause", run).code
    until(lambda: in_state(cli, "RUNNING") == {2, 3, 4})

    assert 0 == cli("stop", run, "--reason", "good\nenough").code
    until_said(process, "good enough (podmap stop): no new trials start")
    release(cli, 2)
    until(lambda: in_state(cli, "CANCELLED") == {5, 6, 7})
    assert {3, 4} == in_state(cli, "RUNNING")
    assert "good enough (podmap stop)" == cli.records()[7]["reason"]
    again = cli("stop", run, "--cancel", "--json").json
    assert {"cancel": True} == again["changed"]
    assert "good enough (podmap stop)" == again["state"]["stopped"]

    out, _ = process.communicate(timeout=PATIENCE_S)
    assert ["COMPLETE"] * 3 + ["CANCELLED"] * 5 == states(cli)
    assert (0, 2) == (process.returncode, json.loads(out)["best"]["number"])
    assert "has ended" in cli("pause", run).err


def test_what_was_said_twice_changes_nothing(cli: Any, interrupted: str) -> None:
    for args in (["pause"], ["stop"], ["stop", "--cancel"], ["unpause"]):
        assert cli(args[0], interrupted, *args[1:], "--json").json["changed"]
        assert {} == cli(args[0], interrupted, *args[1:], "--json").json["changed"]
        assert "already" in cli(args[0], interrupted, *args[1:]).out
    assert {"parallelism": 3} == cli("set", interrupted, "parallelism=3", "--json").json["changed"]
    assert {} == cli("set", interrupted, "parallelism=3", "--json").json["changed"]
    assert {"parallelism": None} == (
        cli("set", interrupted, "parallelism=spec", "--json").json["changed"]
    )


def test_who_obeys_is_said(cli: Any, interrupted: str) -> None:
    assert f"podmap resume {interrupted}" in cli("pause", interrupted).err
    assert "state   open, paused\n" in cli("status", interrupted).out
    assert 0 == cli("set", interrupted, "parallelism=9").code
    assert 0 == cli("stop", interrupted, "--reason", "enough").code
    status = cli("status", interrupted, "--json").json
    assert (9, True) == (status["parallelism"], status["paused"])
    assert "enough (podmap stop)" == status["stopped"]


def test_resume_lifts_a_stop(cli: Any, interrupted: str) -> None:
    assert 0 == cli("stop", interrupted, "--cancel").code
    assert 0 == cli("resume", interrupted).code
    assert ["COMPLETE"] * 8 == states(cli)


@pytest.mark.parametrize("verb", ["pause", "stop", "set"])
def test_a_run_that_has_ended_is_not_steered(cli: Any, ended: str, verb: str) -> None:
    ran = cli(verb, ended, *(["parallelism=3"] if verb == "set" else []))
    assert 2 == ran.code
    assert "has ended" in ran.err
    assert f"there is nothing to {verb}" in ran.err


def test_all_that_is_wrong_is_said_at_once(cli: Any, interrupted: str) -> None:
    settings = [
        "parallelisms=3",
        "parallelism=0",
        "parallelism=-1",
        "parallelism",
        "parallelism=1e3",
    ]
    ran = cli("set", interrupted, *settings)
    assert 2 == ran.code
    assert "did you mean parallelism?" in ran.err
    assert all(f"podmap: {setting}: " in ran.err for setting in settings)
    assert cli("set", interrupted, "parallelism=3", "parallelism=4").code == 2
    assert {} == cli("unpause", interrupted, "--json").json["changed"]


def test_two_who_steer_at_once_lose_nothing_of_each_other(cli: Any, interrupted: str) -> None:
    uri = str(cli.store / "steered" / interrupted)

    def steer(which: int) -> None:
        for _ in range(10):
            ledger = Ledger.open(uri)
            if which:
                ledger.change_state(lambda state: {"parallelism": (state.parallelism or 0) + 1})
            else:
                ledger.change_state(lambda state: {"paused": not state.paused})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(steer, [0, 1, 1, 1]))
    state = Ledger.open(uri).read_state()
    assert (30, False) == (state.parallelism, state.paused)
