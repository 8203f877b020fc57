"""What `podmap plan` foresees against what runs then take: local trials that sleep.

A first run teaches what trials take, how long slots stay empty and how many attempts fail; then the
sweep is planned and run with the same params, more of them, or others, and with more slots. Trials
sleep 1 to 4 s, so that they need no CPU. Measured is from the planning to the last end, as the
ledger has it. Prints a row a sweep, and ends with 1 if one is more than 15 % off.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podmap import load
from podmap.clock import parse_iso

GOAL = 0.15
SPEC = """\
apiVersion: podmap/v1
name: {name}
search: {search}
objective: {{metric: s, direction: maximize}}
trial:
  command: [sh, -c]
  args: ['sleep "$1"; {fails} echo "{{\\"s\\": $1}}" >"$PODMAP_RESULT"', trial, "{{params.s}}"]
parallelism: {at_once}
retries: {{user: 2}}
"""
RANDOM = "{{kind: random, trials: {trials}, params: {{s: {{low: {low}, high: {high}}}}}}}"
GRID = "{{kind: grid, params: {{s: {{low: {low}, high: {high}, steps: {trials}}}}}}}"
FAILS = "[ $(( (PODMAP_TRIAL * 7 + PODMAP_ATTEMPT * 3) % 8 )) -eq 0 ] && exit 1;"
"""One attempt in eight: which ones is the same in every run."""


@dataclass(frozen=True)
class Case:
    """A sweep to learn from and to run: trials and slots of both."""

    name: str
    first: tuple[int, int]
    then: tuple[int, int]
    grid: bool = False
    fails: bool = False
    takes_s: tuple[float, float] = (1.0, 4.0)
    stated: bool = False


CASES = (
    Case("the same again", (48, 8), (48, 8)),
    Case("more slots, more trials", (32, 4), (96, 16)),
    # Of a grid, as random params of two seeds differ in their mean by chance: by up to 15 % here.
    Case("other params", (96, 8), (64, 8), grid=True),
    Case("attempts fail", (48, 8), (96, 8), fails=True),
    Case("stated: 2.5 s a trial", (0, 1), (48, 8), takes_s=(2.49, 2.51), stated=True),
)


def podmap(folder: Path, *words: str) -> Any:
    """The JSON that a command prints; it must succeed."""
    env = {**os.environ, "PODMAP_STORE": str(folder / "store")}
    env["PODMAP_STATE_DIR"] = str(folder / "state")
    command = [sys.executable, "-m", "podmap.cli.main", *words, "--json"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"podmap {' '.join(words)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def spec(folder: Path, case: Case, trials: int, at_once: int) -> str:
    name = "".join(char if char.isalnum() else "-" for char in case.name)
    fails = FAILS if case.fails else ""
    low, high = case.takes_s
    search = (GRID if case.grid else RANDOM).format(trials=trials, low=low, high=high)
    text = SPEC.format(name=name, fails=fails, at_once=at_once, search=search)
    (folder / "sweep.yaml").write_text(text)
    return "sweep.yaml"


def makespan_s(uri: str) -> float:
    """From the planning of a run to its last end."""
    run = load(uri)
    ends = [parse_iso(one.finished) for one in run.records if one.finished]
    return (max(ends) - parse_iso(run.manifest.planned)).total_seconds()


def measure(folder: Path, case: Case) -> tuple[dict[str, Any], float]:
    """What was foreseen of a case, and what it then took."""
    if case.first[0]:
        podmap(folder, "run", spec(folder, case, *case.first), "--quiet")
    path = spec(folder, case, *case.then)
    stated = ["--trial-time", "2.5", "--start-time", "50ms"] if case.stated else []
    foreseen = podmap(folder, "plan", path, *stated)
    ran = podmap(folder, "run", path, "--quiet")
    return foreseen, makespan_s(ran["run_uri"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="the first words of one case's name")
    only = parser.parse_args().only or ""
    print(f"{'sweep':26} {'trials':>6} {'slots':>5} {'foreseen':>9} {'measured':>9} {'off':>7}")
    worst = 0.0
    for case in CASES:
        if not case.name.startswith(only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            foreseen, took_s = measure(Path(folder), case)
        off = foreseen["makespan_s"] / took_s - 1
        worst = max(worst, abs(off))
        print(
            f"{case.name:26} {case.then[0]:6} {case.then[1]:5} "
            f"{foreseen['makespan_s']:8.2f}s {took_s:8.2f}s {off:+7.1%}",
            flush=True,
        )
    print(f"worst {worst:.1%}, goal {GOAL:.0%}")
    sys.exit(worst > GOAL)


if __name__ == "__main__":
    main()
