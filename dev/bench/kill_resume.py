"""Kills `podmap run` with -9 at random moments of a 60-trial sweep, and resumes it until done.

Each trial writes a line to a journal at its start and at its end. At the end each trial has one
record, COMPLETE, and exactly one end line: nothing that ended ran again, and nothing was lost.
A run is killed again and again, at a random moment of each resume too, up to a few times.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TRIALS = 60
SPEC = f"""\
apiVersion: podmap/v1
name: killed
search: {{kind: grid, params: {{x: {{low: 0, high: {TRIALS - 1}}}}}}}
objective: {{metric: y, direction: maximize}}
trial: {{command: [sh, trial.sh], args: ["{{params.x}}"]}}
parallelism: 8
"""
TRIAL = """\
echo "START $1 $PODMAP_ATTEMPT" >>journal
sleep 0.0$(($1 % 7))
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
echo "END $1 $PODMAP_ATTEMPT" >>journal
"""
MOST_KILLS = 4
LONGEST_S = 120.0


def podmap(folder: Path, *args: str) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        "PODMAP_STATE_DIR": str(folder / "state"),
        "PODMAP_STORE": str(folder / "store"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "podmap.cli.main", *args],
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill_and_resume(folder: Path, moments_s: list[float]) -> tuple[int, list[str]]:
    """Runs one sweep to its end; how often it was killed, and what is wrong with it.

    Args:
        folder: Where all of it is kept.
        moments_s: Seconds after which the run, and each resume of it, is killed.
    """
    (folder / "sweep.yaml").write_text(SPEC)
    (folder / "trial.sh").write_text(TRIAL)
    kills = 0
    while True:
        runs = list((folder / "store").glob("killed/*/manifest.json"))
        process = podmap(
            folder, *(("resume", runs[0].parent.name) if runs else ("run", "sweep.yaml"))
        )
        limit_s = moments_s[kills] if kills < len(moments_s) else LONGEST_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, err = process.communicate(timeout=limit_s)
            if process.returncode == 0:
                return kills, check(folder)
            return kills, [f"exit code {process.returncode}: {err.decode()[-2000:]}"]
        process.kill()
        process.communicate()
        if limit_s == LONGEST_S:
            return kills, [f"not done after {LONGEST_S:.0f} s"]
        kills += 1


def check(folder: Path) -> list[str]:
    """What is wrong with a run that is done; empty if nothing is."""
    wrong = []
    files = list((folder / "store").glob("killed/*/trials/*.json"))
    records = [json.loads(file.read_text()) for file in files]
    numbers = sorted(record["number"] for record in records)
    if numbers != list(range(TRIALS)):
        wrong.append(f"records of {len(numbers)} trials: {numbers}")
    for record in records:
        if record["state"] != "COMPLETE" or record["objective"] != record["params"]["x"]:
            wrong.append(f"trial {record['number']}: {record['state']} {record['reason']}")
    lines = Counter((folder / "journal").read_text().splitlines())
    ends = Counter(line.split()[1] for line in lines.elements() if line.startswith("END"))
    if ends != {str(x): 1 for x in range(TRIALS)}:
        odd = {x: ends[str(x)] for x in range(TRIALS) if ends[str(x)] != 1}
        wrong.append(f"trials that did not end exactly once: {odd}")
    wrong += [f"{line!r} {times} times" for line, times in lines.items() if times > 1]
    if list((folder / "state").glob("*/*-a*")):
        wrong.append("attempts are left in the state folder")
    if len(list((folder / "store").glob("killed/*/manifest.json"))) != 1:
        wrong.append("there is more than one run")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50, help="how many kills at least")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(2**31) if options.seed is None else options.seed
    draw = random.Random(seed)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        _, wrong = kill_and_resume(Path(name), [])
        whole_s = time.monotonic() - began
    kills = sweeps = 0
    while kills < options.moments and not wrong:
        moments_s = [draw.uniform(0.1, whole_s) for _ in range(MOST_KILLS)]
        with tempfile.TemporaryDirectory() as name:
            times, wrong = kill_and_resume(Path(name), moments_s)
        kills, sweeps = kills + times, sweeps + 1
        print(f"{kills} kills in {sweeps} sweeps: {'; '.join(wrong) or 'nothing lost'}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
