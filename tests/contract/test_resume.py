"""A run that was interrupted or killed at any moment goes on, and nothing that ended runs again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SIXTY = """\
apiVersion: podmap/v1
name: sixty
search: {kind: grid, params: {x: {low: 0, high: 59}}}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}"]}
parallelism: 8
"""
# Lines are short, so each is written whole; a trial that is killed has no END.
LOGGED = """\
echo "START $1 $PODMAP_ATTEMPT" >>journal
sleep 0.05
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
echo "END $1 $PODMAP_ATTEMPT" >>journal
"""
# As long as the file `gate` is there, trials wait.
GATED = f"""\
while [ -e gate ]; do sleep 0.02; done
{LOGGED}"""
PATIENCE_S = 60


def journal(cli: Any) -> Counter[str]:
    """How often each line was written."""
    path = cli.folder / "journal"
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


@pytest.fixture(autouse=True)
def _open_gate(cli: Any) -> Iterator[None]:
    yield
    (cli.folder / "gate").unlink(missing_ok=True)  # lets go of what a failed test has left


def wait_until(true: Any, what: str, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert process.poll() is None, f"podmap ended before {what}"
        assert time.monotonic() < ends, f"waited too long until {what}"
        time.sleep(0.01)


def start_gated(cli: Any, *args: str) -> subprocess.Popen[str]:
    """A run of sixty trials, of which eight have started and wait at the gate."""
    spec = cli.spec(SIXTY, trial='echo "$1" >>started\n' + GATED)
    (cli.folder / "gate").touch()
    process = cli.start("run", spec, *args)
    started = cli.folder / "started"
    wait_until(
        lambda: started.exists() and len(started.read_text().splitlines()) == 8,
        "eight trials have started",
        process,
    )
    return process


def check_each_ended_once(cli: Any) -> None:
    records = cli.records()
    assert set(range(60)) == set(records)
    assert {"COMPLETE"} == {record["state"] for record in records.values()}
    ends = Counter(line.split()[1] for line in journal(cli).elements() if line.startswith("END"))
    assert {str(x): 1 for x in range(60)} == ends


@pytest.mark.parametrize("moment", [0.35, 0.5, 0.65, 0.8], ids=str)
def test_a_run_killed_with_9_is_resumed_and_no_trial_that_ended_runs_again(
    cli: Any, moment: float
) -> None:
    spec = cli.spec(SIXTY, trial=LOGGED)
    process = cli.start("run", spec)
    time.sleep(moment)  # which moment it hits does not matter, as long as they differ
    process.kill()
    process.communicate()
    if list(cli.store.glob("*/*/manifest.json")):
        ran = cli.process("resume", cli.run_id(), "--json")
    else:
        ran = cli.process("run", spec, "--json")
    assert (0, {"COMPLETE": 60}) == (ran.code, ran.json["counts"])
    check_each_ended_once(cli)


def test_trials_that_outlive_podmap_are_adopted_and_their_results_count(cli: Any) -> None:
    process = start_gated(cli)
    process.kill()
    process.communicate()
    run = cli.run_id()
    assert 8 == len(cli("status", run, "--json").json["running"])
    (cli.folder / "gate").unlink()
    assert 0 == cli.process("resume", run).code
    check_each_ended_once(cli)
    # Nobody was started twice: all that ran when podmap was killed went on.
    assert {1} == set(journal(cli).values())
    assert {(1,)} == {
        tuple(attempt["number"] for attempt in record["attempts"])
        for record in cli.records().values()
    }


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["INT", "TERM", "HUP"],
)
def test_a_signal_ends_the_trials_and_leaves_all_to_be_resumed(
    cli: Any, number: signal.Signals, code: int
) -> None:
    process = start_gated(cli)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    run = cli.run_id()
    assert (code, "") == (process.returncode, out)
    assert f"interrupted: 0 of 60 trials have ended; go on with: podmap resume {run}" in err
    assert "Traceback" not in err
    data = cli("status", run, "--json").json
    assert ("open", {"WAITING": 60}, []) == (data["state"], data["counts"], data["running"])
    (cli.folder / "gate").unlink()
    assert 0 == cli.process("resume", run).code
    check_each_ended_once(cli)


def test_an_interrupted_run_with_json_still_prints_json(cli: Any) -> None:
    process = start_gated(cli, "--json")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert '"interrupted": true' in out
    assert 130 == process.returncode


def test_a_second_signal_leaves_at_once_and_leaves_the_trials_running(cli: Any) -> None:
    stubborn = "trap '' TERM\n"
    spec = cli.spec(SIXTY, trial=stubborn + 'echo "$1" >>started\n' + GATED)
    (cli.folder / "gate").touch()
    process = cli.start("run", spec)
    started = cli.folder / "started"
    wait_until(started.exists, "a trial has started", process)
    process.send_signal(signal.SIGINT)
    line = ""
    while "again to leave them running" not in line:
        line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (130, True) == (process.returncode, "left at once" in err)
    (cli.folder / "gate").unlink()
    assert 0 == cli("clean", cli.run_id(), "--yes").code


def test_a_run_that_a_living_process_runs_is_not_resumed_but_can_be_looked_at(cli: Any) -> None:
    process = start_gated(cli)
    run = cli.run_id()
    ran = cli.process("resume", run)
    assert 1 == ran.code
    assert f"run {run} is being run by process {process.pid} of this host" in ran.err
    data = cli("status", run, "--json").json
    assert ("running", process.pid, 8) == (data["state"], data["pid"], len(data["running"]))
    assert all(one["started"] for one in data["running"])
    assert "live" == cli("logs", run, "0", "--json").json["source"]
    assert 1 == cli("clean", run, "--yes").code
    (cli.folder / "gate").unlink()
    process.communicate(timeout=PATIENCE_S)
    assert 0 == process.returncode


def test_clean_ends_what_a_killed_run_left_running(cli: Any) -> None:
    process = start_gated(cli)
    process.kill()
    process.communicate()
    assert 8 == cli("clean", cli.run_id(), "--yes", "--json").json["ended"]
    assert [] == list((cli.folder / "state").glob("*/*-a*"))
    assert [] == list(cli.store.glob("*/*/*"))
    (cli.folder / "gate").unlink()
    assert Counter() == journal(cli)


def test_two_runs_of_one_sweep_at_the_same_time_do_not_meet(cli: Any) -> None:
    spec = cli.spec(SIXTY, trial=LOGGED)
    processes = [cli.start("run", spec, "--json", stderr=subprocess.DEVNULL) for _ in "ab"]
    for process in processes:
        process.communicate(timeout=PATIENCE_S)
    assert [0, 0] == [process.returncode for process in processes]
    assert [60, 60] == [len(list(run.glob("trials/*.json"))) for run in cli.store.glob("sixty/*")]
    assert {2} == set(journal(cli).values())


def test_a_resumed_run_of_a_host_that_is_gone_says_so(cli: Any) -> None:
    assert 0 == cli("run", cli.spec(), "-q").code
    manifest = Path(cli.store / "grid" / cli.run_id() / "manifest.json")
    here = os.uname().nodename
    manifest.write_text(manifest.read_text().replace(f'"host":"{here}"', '"host":"elsewhere"'))
    # What the other host has kept of the run is not here.
    (Path(cli.env["PODMAP_STATE_DIR"]) / ".runs" / f"{cli.run_id()}.manifest").unlink()
    ran = cli("resume", cli.run_id())
    assert (0, True) == (ran.code, "the run was started on elsewhere" in ran.err)
