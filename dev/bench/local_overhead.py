"""What podmap adds to processes: 1,000 trials of `true`, 32 at once, against `xargs -P 32`.

Whole processes are timed, start-up, records and report included, one after the other in turns.
Then peak memory, with few trials and with many. Prints two tables.

ext4 makes new files several times slower for some minutes after many files were deleted, so nothing
is deleted before the end, and figures taken right after another benchmark or the tests are worse.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AT_ONCE = 32
GOAL_RATIO = 5.0
GOAL_MEMORY = 1.5
SPEC = f"""\
apiVersion: podmap/v1
name: overhead
search: {{kind: shards, uris: "shards/*"}}
trial: {{command: ["true"]}}
parallelism: {AT_ONCE}
"""
"""Shards, since what makes nothing has no objective."""


def prepare(folder: Path, trials: int) -> Path:
    """A folder with a sweep of so many trials."""
    shards = folder / f"of-{trials}" / "shards"
    if not shards.exists():
        shards.mkdir(parents=True)
        for number in range(trials):
            (shards / f"{number:06d}").touch()
        (shards.parent / "sweep.yaml").write_text(SPEC)
    return shards.parent


def environment(folder: Path) -> dict[str, str]:
    env = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    if path := os.environ.get("PYTHONPATH"):
        env["PYTHONPATH"] = path
    return {**env, "PODMAP_STATE_DIR": str(folder / "state"), "PODMAP_STORE": str(folder / "store")}


def run_podmap(folder: Path) -> tuple[float, float, int]:
    """Seconds, CPU-seconds of all its processes, and peak memory in bytes of one run."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "podmap.cli.main", "run", "sweep.yaml", "--quiet"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    took_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"podmap run ended with {process.returncode}")
    return took_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def run_xargs(trials: int) -> float:
    numbers = "\n".join(map(str, range(trials)))
    began = time.perf_counter()
    command = ["xargs", "-P", str(AT_ONCE), "-n", "1", "true"]
    subprocess.run(command, input=numbers, text=True, check=True)
    return time.perf_counter() - began


def compare_time(folder: Path, trials: int, runs: int) -> bool:
    folder = prepare(folder, trials)
    run_podmap(folder)  # so that the modules' byte code is there, as it is once installed
    pairs, cpu_s = [], []
    for _ in range(runs):
        took_s, used_s, _ = run_podmap(folder)
        pairs.append((took_s, run_xargs(trials)))
        cpu_s.append(used_s)
    rows = {
        "podmap run, s": [ours for ours, _ in pairs],
        f"xargs -P {AT_ONCE}, s": [theirs for _, theirs in pairs],
        "ratio": [ours / theirs for ours, theirs in pairs],
        "podmap, CPU-s": cpu_s,
    }
    print(f"| {trials} x true, {AT_ONCE} at once | {'min':>6} | {'median':>6} | {'max':>6} |")
    print(f"|{'-' * 27}|{'-' * 8}|{'-' * 8}|{'-' * 8}|")
    for name, values in rows.items():
        cells = min(values), statistics.median(values), max(values)
        print(f"| {name:25} | " + " | ".join(f"{cell:6.2f}" for cell in cells) + " |")
    return statistics.median(rows["ratio"]) <= GOAL_RATIO


def compare_memory(folder: Path, few: int, many: int) -> bool:
    peaks = []
    for trials in (few, many):
        peaks.append(run_podmap(prepare(folder, trials))[2])
    print("\n| trials | peak memory of podmap run |")
    print(f"|-------:|{'-' * 27}|")
    for trials, peak in zip((few, many), peaks, strict=True):
        print(f"| {trials:6d} | {peak / 2**20:21.1f} MiB |")
    print(f"| ratio  | {peaks[1] / peaks[0]:25.2f} |")
    return peaks[1] <= GOAL_MEMORY * peaks[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--many", type=int, default=20_000, help="for memory; 0 leaves it out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reached = [compare_time(folder, options.trials, options.runs)]
        if options.many:
            reached.append(compare_memory(folder, options.trials, options.many))
    print(f"\ngoals: ratio (median) <= {GOAL_RATIO:g}, memory <= {GOAL_MEMORY:g}x", end=": ")
    print("reached" if all(reached) else "NOT reached")
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
