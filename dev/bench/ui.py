"""What the web app's data cost for runs of several sizes: the report, a refresh, memory.

A run is made of records as real ones are: five params, two metrics, an attempt or two, one trial
in ten with 20 reported steps. Of each size the report is made; then a process of its own reads the
run as a server does, which looks again and again while trials end. Times are CPU milliseconds of
that process, the best of several; memory is what it grew by as it read the run and made the view.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from podmap.clock import iso
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState
from podmap.report.html import app_script
from podmap.report.publish import publish
from podmap.report.view import RunReader

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
LOST = Diagnosis(Category.NODE_LOST, "the node is gone", "", "nothing: it is tried again")
FAILED = Diagnosis(Category.USER_EXIT, "exit code 1", "", "look at the log")
TIMES = 5
COLUMNS = (
    ("trials", "trials"),
    ("report kB", "report_kb"),
    ("of it app kB", "app_kb"),
    ("data bytes a trial", "trial_bytes"),
    ("view kB", "view_kb"),
    ("first read ms", "first_ms"),
    ("look, nothing new ms", "look_ms"),
    ("refresh, 5 ended ms", "refresh_ms"),
    ("memory MB", "memory_mb"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 5000, 20000])
    parser.add_argument("--read", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        print(json.dumps(measure_reader(Ledger.open(args.read))))
        return
    print("| " + " | ".join(head for head, _ in COLUMNS) + " |")
    print("|" + "---:|" * len(COLUMNS))
    for count in args.trials:
        found = measure(count)
        print("| " + " | ".join(f"{found[key]:,.0f}" for _, key in COLUMNS) + " |", flush=True)


def measure(count: int) -> dict[str, Any]:
    """The figures of one size."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(f"{folder}/digits/0123abcd")
        made = make_run(ledger, count)
        publish(ledger, made)
        report = len(ledger.read_file("report.html") or b"")
        app = len(app_script().encode())
        # Of its own, so that its memory is all that it needs.
        command = [sys.executable, __file__, "--read", ledger.run_uri]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return {
            "trials": count,
            "report_kb": report / 1000,
            "app_kb": app / 1000,
            "trial_bytes": (report - app) / count,
            **json.loads(done.stdout),
        }


def measure_reader(ledger: Ledger) -> dict[str, float]:
    """A server's part: it reads once, then again and again."""
    before = peak_mb()
    reader = RunReader(ledger)
    first_ms = cpu_ms(lambda: read(reader))
    memory_mb = peak_mb() - before
    look_ms = min(cpu_ms(reader.refresh) for _ in range(TIMES))
    refresh = []
    for turn in range(TIMES):
        for number in range(5):
            ledger.write_record(replace(trial(number), epoch=f"e{turn + 2}"))
        refresh.append(cpu_ms(lambda: read(reader)))
    return {
        "view_kb": len(read(reader)) / 1000,
        "first_ms": first_ms,
        "look_ms": look_ms,
        "refresh_ms": min(refresh),
        "memory_mb": memory_mb,
    }


def read(reader: RunReader) -> bytes:
    """What a server sends for a refresh."""
    reader.refresh()
    return json.dumps(reader.view(), separators=(",", ":")).encode()


def cpu_ms(call: Callable[[], object]) -> float:
    """CPU milliseconds of a call."""
    began = time.process_time()
    call()
    return (time.process_time() - began) * 1000


def peak_mb() -> float:
    """The most memory that this process has had."""
    # Not getrusage: what it gives of a child begins with the most that its parent had.
    status = Path("/proc/self/status").read_text()
    found = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(found.split()[1]) * 1024 / 1e6


def make_run(ledger: Ledger, count: int) -> Manifest:
    """A run of so many trials that have ended."""
    spec = {
        "apiVersion": "podmap/v1",
        "name": "digits",
        "search": {
            "kind": "random",
            "trials": count,
            "params": {
                "lr": {"low": 1e-4, "high": 1e-1, "log": True},
                "dropout": {"low": 0.0, "high": 0.9},
                "depth": {"low": 2, "high": 10},
                "batch": [16, 32, 64, 128, 256],
                "kernel": ["rbf", "linear"],
            },
        },
        "objective": {"metric": "accuracy", "direction": "maximize"},
        "trial": {"command": ["train"]},
    }
    owner = {"kind": "cli"}
    manifest = Manifest("digits", "0123abcd", owner, iso(START), spec, count=count)
    ledger.write_manifest(manifest)
    for number in range(count):
        ledger.write_record(trial(number))
    return manifest


def trial(number: int) -> Record:
    """A trial that has ended: one in 40 failed, one in 20 tried again."""
    draw = random.Random(number)
    began = START + timedelta(seconds=number / 2 + draw.uniform(0, 5))
    ended = began + timedelta(seconds=draw.uniform(20, 90))
    failed = number % 40 == 7
    params = {
        "lr": 10 ** draw.uniform(-4, -1),
        "dropout": draw.uniform(0, 0.9),
        "depth": draw.randint(2, 10),
        "batch": draw.choice([16, 32, 64, 128, 256]),
        "kernel": draw.choice(["rbf", "linear"]),
    }
    accuracy = 1 / (1 + params["dropout"] + draw.gauss(0, 0.05) ** 2)
    return Record(
        number,
        f"{draw.getrandbits(64):016x}",
        "e1",
        TrialState.FAILED if failed else TrialState.COMPLETE,
        params=params,
        seed=draw.getrandbits(31),
        metrics={} if failed else {"accuracy": accuracy, "loss": draw.random()},
        objective=None if failed else accuracy,
        attempts=attempts(number, began, ended, failed=failed),
        reason="exit code 1: boom" if failed else "",
        log_tail="a line of the log\n" * 30,
        started=iso(began),
        finished=iso(ended),
        duration_s=round((ended - began).total_seconds(), 3),
        queued_s=round(draw.uniform(0, 3), 3),
        gpu_seconds=round((ended - began).total_seconds(), 3),
        reports=tuple((step, {"accuracy": accuracy * step / 20}) for step in range(20))
        if number % 10 == 0
        else (),
    )


def attempts(number: int, began: datetime, ended: datetime, *, failed: bool) -> tuple[Attempt, ...]:
    """An attempt, or two where the first was lost."""
    name, node = f"digits-0123abcd-{number}-a", f"node-{number % 17}"
    last = Attempt(
        1,
        f"{name}1",
        node,
        started=iso(began),
        finished=iso(ended),
        exit_code=1 if failed else 0,
        diagnosis=FAILED if failed else None,
    )
    if number % 20 != 3:
        return (last,)
    middle = iso(began + (ended - began) / 3)
    first = replace(last, finished=middle, exit_code=None, diagnosis=LOST)
    return (first, replace(last, number=2, pod=f"{name}2", started=middle))


if __name__ == "__main__":
    main()
