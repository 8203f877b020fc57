"""`podmap repair`: what is wrong with a run after a death, and that a resume goes on then."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.connect import Target, connected
from podmap.engine.launch import Launcher
from podmap.engine.planned import PlannedRun
from podmap.engine.run_lock import hold_run
from podmap.ledger.claim import RunClaim
from podmap.names import run_uri

BROKEN = b'{"schema": 1, "number": "one"}'


@pytest.fixture
def run(cli: Any) -> str:
    assert 0 == cli("run", cli.spec(), "-q").code
    return str(cli.run_id())


def record_file(cli: Any, number: int) -> Path:
    [found] = cli.store.glob(f"*/*/trials/{number}.json")
    return Path(found)


def damage(cli: Any) -> None:
    """As after a power cut: a record is cut, and one says RUNNING of what is gone."""
    record_file(cli, 1).write_bytes(BROKEN)
    path = record_file(cli, 2)
    data = json.loads(path.read_text())
    data.update(state="RUNNING", attempts=[], metrics={}, objective=None, finished=None)
    path.write_text(json.dumps(data))


def leave_attempt(cli: Any, run: str, number: int) -> str:
    """Starts a process of a trial whose record is terminal."""
    uri = run_uri(str(cli.store), "grid", run)
    planned = PlannedRun.open(RunClaim(uri))

    async def create() -> str:
        async with connected(Target("process")) as backend:
            trial = planned.trial(number, None)
            template = planned.template(trial)
            launch = Launcher.of(planned, backend.result_path).make_launch(
                trial, epoch="e", attempt=7, template=template, left_s=None
            )
            return (await backend.create(launch)).name

    return asyncio.run(create())


def test_nothing_is_wrong_with_a_run_that_has_ended(cli: Any, run: str) -> None:
    ran = cli("repair", run)
    assert (0, "nothing is wrong\n") == (ran.code, ran.out)
    assert [] == cli("repair", run, "--json").json["faults"]


def test_what_is_wrong_is_said_and_left_as_it_is(cli: Any, run: str) -> None:
    damage(cli)
    ran = cli("repair", run, "--dry-run")
    assert 1 == ran.code
    assert str(record_file(cli, 1)) in ran.out
    assert "trial 2 is running, and nothing of it is there: it is made to wait" in ran.out
    assert BROKEN == record_file(cli, 1).read_bytes()
    assert "RUNNING" == json.loads(record_file(cli, 2).read_text())["state"]


def test_without_a_terminal_it_mends_nothing_unless_it_is_told_to(cli: Any, run: str) -> None:
    damage(cli)
    ran = cli.process("repair", run)
    assert 2 == ran.code
    assert "say --yes, or --dry-run" in ran.err
    assert BROKEN == record_file(cli, 1).read_bytes()


def test_what_was_mended_is_run_again_and_nothing_else(cli: Any, run: str) -> None:
    damage(cli)
    name = leave_attempt(cli, run, 3)
    before = record_file(cli, 3).read_bytes()
    ran = cli("repair", run, "--yes", "--json")
    assert 0 == ran.code
    faults = {fault["kind"]: fault for fault in ran.json["faults"]}
    assert {"unreadable": 1, "lost": 2, "left": 3} == {k: f["trial"] for k, f in faults.items()}
    assert all(fault["mended"] for fault in faults.values())
    assert name == faults["left"]["attempt"]
    [former] = cli.store.glob("*/*/former/1-1.json")
    assert BROKEN == former.read_bytes()
    assert 0 == cli("repair", run).code

    assert 0 == cli("resume", run, "-q").code
    assert {n: "COMPLETE" for n in range(4)} == {n: r["state"] for n, r in cli.records().items()}
    assert before == record_file(cli, 3).read_bytes()


def test_a_state_that_cannot_be_read_is_kept_and_begun_anew(cli: Any, run: str) -> None:
    [state] = cli.store.glob("*/*/run.json")
    state.write_text("{")
    ran = cli("repair", run, "--yes", "--json")
    assert 0 == ran.code
    [fault] = ran.json["faults"]
    assert ("state", True) == (fault["kind"], fault["mended"])
    assert str(state) in fault["what"]
    assert "nothing is wrong\n" == cli("repair", run).out


def test_a_run_that_goes_on_is_not_repaired(cli: Any, run: str) -> None:
    damage(cli)
    with hold_run(run):
        ran = cli("repair", run, "--yes")
    assert 1 == ran.code
    assert BROKEN == record_file(cli, 1).read_bytes()
