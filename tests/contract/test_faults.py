"""Bad input and faults: each ends with a clear error and exit code, and loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LIST = """\
apiVersion: podmap/v1
name: faults
search: {kind: list, items: items.jsonl}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}"]}
parallelism: 8
"""
PYTHON = """\
import json, os, sys
text = json.loads(os.environ["PODMAP_PARAMS"])["x"]
assert sys.argv[1:] == [text], (sys.argv, text)
with open(os.environ["PODMAP_RESULT"], "w") as file:
    json.dump({"y": len(text)}, file)
"""
ODD = {
    "quotes": """'single' "double" `back`""",
    "newline": "one\ntwo\r\nthree",
    "spaces": "  a  b  ",
    "unicode": "naïve 模型 🚀 \u202e",
    "flag": "--help",
    "braces": "{}{params.x}{{trial.number}}",
    "shell": "$(touch pwned); $HOME && rm -rf *",
    "glob": "*",
    "empty": "",
    "backslash": "\\n\\",
    "percent": "%s %d",
    "yaml": "yes: [1, 2] # no",
}


def items(cli: Any, values: list[Any]) -> None:
    lines = [json.dumps({"x": value}) for value in values]
    (cli.folder / "items.jsonl").write_text("\n".join(lines))


def test_odd_params_reach_the_trial_as_they_are(cli: Any) -> None:
    items(cli, list(ODD.values()))
    spec = cli.spec(LIST)
    (cli.folder / "train.py").write_text(PYTHON)
    ran = cli("run", spec, "--json", "--set", "trial.command=[python3, train.py]")
    assert (0, {"COMPLETE": len(ODD)}) == (ran.code, ran.json["counts"])
    assert not (cli.folder / "pwned").exists()
    kept = [cli.records()[number]["params"]["x"] for number in range(len(ODD))]
    assert list(ODD.values()) == kept
    # All that shows a param still shows it: tables, CSV, the report.
    for verb in (["results"], ["results", "--csv"], ["logs", "0"], ["report"], ["status"]):
        assert 0 == cli(verb[0], cli.run_id(), *verb[1:]).code
    assert 1 + len(ODD) == len(cli("results", cli.run_id()).out.splitlines())


def test_trials_that_wreck_their_state_fail_alone(cli: Any) -> None:
    wrecks = [
        'for f in "$F"/*; do rm "$f"; mkfifo "$f"; done',
        'rm "$F/process"; mkfifo "$F/process"',
        'printf "\\n\\n\\n \\n" >"$F/process"',
        'echo "[1]" | tee "$F/launch.json" >"$F/killed.json"; rm "$F/process"; mkdir "$F/process"',
    ]
    items(cli, [*wrecks, *["true"] * 4])
    trial = 'F=$(dirname "$PODMAP_RESULT"); echo "{\\"y\\": 1}" >"$PODMAP_RESULT"; eval "$1"'
    ran = cli.process("run", cli.spec(LIST, trial=trial.replace("\\\\", "\\")), "--json")
    assert (1, {"COMPLETE": 4, "FAILED": 4}) == (ran.code, ran.json["counts"])
    for number in range(4):
        record = cli.records()[number]
        assert record["reason"].startswith("bad_result: how it ended cannot be told"), record
        assert 1 == len(record["attempts"])
    assert not any((cli.folder / "state").rglob("output"))


def test_processes_that_a_trial_leaves_are_ended_and_the_record_says_so(cli: Any) -> None:
    items(cli, ["x"])
    trial = """\
setsid sh -c 'echo $$ >left; exec sleep 600' &
while [ ! -s left ]; do sleep 0.01; done
echo '{"y": 1}' >"$PODMAP_RESULT"
"""
    ran = cli.process("run", cli.spec(LIST, trial=trial), "--json")
    assert (0, {"COMPLETE": 1}) == (ran.code, ran.json["counts"])
    assert "had to be killed" in cli.records()[0]["reason"]
    pid = (cli.folder / "left").read_text().strip()
    command = Path(f"/proc/{pid}/cmdline")
    assert not command.exists() or b"sleep" not in command.read_bytes()


def test_a_deadline_holds_for_a_trial_that_ignores_sigterm(cli: Any) -> None:
    items(cli, ["x"])
    trial = "trap '' TERM; echo x >>attempts; while :; do sleep 0.1; done"
    spec = cli.spec(LIST, trial=trial)
    settings = ["trial.timeout=1s", "trial.deadline=8s", "retries={user: 5}"]
    given = [word for setting in settings for word in ("--set", setting)]
    ran = cli.process("run", spec, *given)
    assert 1 == ran.code
    # One takes 1 s and the grace of 10 s, which is more than the deadline.
    assert 1 == (cli.folder / "attempts").read_text().count("x")
    record = cli.records()[0]
    assert "the deadline of 8 s for all attempts is over" in record["reason"]
    assert record["duration_s"] > 10


def test_a_result_of_10_mb_does_not_lose_the_objective(cli: Any) -> None:
    items(cli, ["first", "last"])
    (cli.folder / "train.py").write_text(
        "import os, sys\n"
        "pairs = [f'\"metric_{n:07d}\": 0.5' for n in range(500000)]\n"
        "pairs.insert(0 if sys.argv[1] == 'first' else len(pairs), '\"y\": 1')\n"
        "with open(os.environ['PODMAP_RESULT'], 'w') as file:\n"
        "    file.write('{' + ', '.join(pairs) + '}')\n"
    )
    command = "trial.command=[python3, train.py]"
    assert 1 == cli("run", cli.spec(LIST), "--set", command).code
    first, last = cli.records()[0], cli.records()[1]
    assert ("COMPLETE", 1) == (first["state"], first["objective"])
    assert "write large things to $PODMAP_OUTPUT" in first["reason"]
    assert "FAILED" == last["state"]
    assert last["reason"].startswith("bad_result: the result is larger than")
    assert (cli.store / "faults" / cli.run_id() / "trials" / "0.json").stat().st_size < 200_000


def test_a_trial_that_prints_100_mb_keeps_its_tail_alone(cli: Any) -> None:
    items(cli, ["x"])
    trial = """\
head -c 100000000 /dev/zero | tr '\\0' x
echo
echo the end
echo '{"y": 1}' >"$PODMAP_RESULT"
"""
    ran = cli.process("run", cli.spec(LIST, trial=trial), "--json")
    assert (0, {"COMPLETE": 1}) == (ran.code, ran.json["counts"])
    assert cli("logs", cli.run_id(), "0").out.endswith("x\nthe end\n")
    files = [file for file in cli.store.rglob("*") if file.is_file() and file.suffix != ".html"]
    assert sum(file.stat().st_size for file in files) < 1_000_000
    assert [] == list((cli.folder / "state").rglob("output"))


def test_200_trials_that_all_fail_are_all_run_and_told_once(cli: Any) -> None:
    items(cli, list(range(200)))
    trial = 'echo "no luck with $1"; exit 7'
    ran = cli.process("run", cli.spec(LIST, trial=trial), "--set", "failures.same=none")
    assert (1, "") == (ran.code, ran.out)
    assert 200 == len(cli.records())
    assert {"FAILED"} == {record["state"] for record in cli.records().values()}
    assert len(ran.err.splitlines()) < 25
    assert "200 trials (" in ran.err
    assert "no trial has a result: 200 of 200 failed" in ran.err
    assert "no luck with 11\n" == cli("logs", cli.run_id(), "11").out


def test_a_command_that_is_not_there(cli: Any) -> None:
    items(cli, list(range(20)))
    ran = cli.process("run", cli.spec(LIST), "--set", "trial.command=[no-such-program]")
    assert 1 == ran.code
    assert "command not found: 'no-such-program'" in ran.err
    assert len(ran.err.splitlines()) < 25
    assert "Traceback" not in ran.err


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"NOT TESTED, a read-only store: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_store_that_cannot_be_written_ends_with_3_before_anything_runs(
    cli: Any, read_only: Path
) -> None:
    ran = cli.process("run", cli.spec(), "--store", str(read_only))
    assert (3, "") == (ran.code, ran.out)
    assert ran.err.startswith("podmap: cannot ")
    assert str(read_only) in ran.err
    assert "choose another store with --store or PODMAP_STORE" in ran.err
    assert 1 == len(ran.err.splitlines())


def test_a_state_folder_that_cannot_be_written_ends_with_3(cli: Any, read_only: Path) -> None:
    cli.env["PODMAP_STATE_DIR"] = str(read_only / "state")
    ran = cli.process("run", cli.spec())
    assert (3, "") == (ran.code, ran.out)
    assert "set PODMAP_STATE_DIR to a folder of this host" in ran.err


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"NOT TESTED, a full store: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def test_a_store_that_is_full_from_the_start_ends_with_3(cli: Any, small: Path) -> None:
    fill(small)
    ran = cli.process("run", cli.spec(), "--store", str(small / "store"))
    assert (3, "") == (ran.code, ran.out)
    assert "No space left on device; free some space there" in ran.err


def test_a_store_that_fills_up_loses_nothing_and_the_run_is_resumed(cli: Any, small: Path) -> None:
    items(cli, list(range(40)))
    trial = """\
echo "$1" >>journal
echo '{"y": 1}' >"$PODMAP_RESULT"
if [ "$1" = 15 ]; then cat /dev/zero >small/ballast 2>/dev/null; fi
exit 0
"""
    store = str(small / "store")
    ran = cli.process("run", cli.spec(LIST, trial=trial), "--store", store, "--patience", "0.2s")
    assert (3, "") == (ran.code, ran.out)
    assert "No space left on device; free some space there" in ran.err
    assert "podmap resume" in ran.err
    assert len(ran.err.splitlines()) < 25
    (small / "ballast").unlink()
    (run,) = (small / "store" / "faults").iterdir()
    ran = cli.process("resume", str(run), "--json")
    assert (0, {"COMPLETE": 40}) == (ran.code, ran.json["counts"])
    assert sorted(map(str, range(40))) == sorted(
        (cli.folder / "journal").read_text().splitlines()
    ), "a trial ran twice"
