"""What a store that takes its time costs a run: trials on a fake cluster, 30 ms a request.

The store is a folder that compares before it replaces, as S3 does, or one of another URI, and waits
at each request. No pod is real. Prints one line: how long the run takes beyond its trials, when the
first of them has ended where all are asked for at the start, as in Airflow, requests to the store a
trial, and the CPU seconds and memory of this process, in which the fake cluster is, too.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import resource
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.engine.hub import Hub
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.engine.run import SweepRun
from podmap.engine.trial import run_trial
from podmap.ledger import ledger
from podmap.ledger.claim import RunClaim
from podmap.ledger.store import open_store
from podmap.spec.load import load
from podmap.testing.fake_cluster import FakeCluster, Script

REQUESTS = ("read", "write", "create", "replace", "remove", "exists", "list", "versions", "delete")
WRITES = ("write", "create", "replace")


class SlowStore:
    """A local store behind a slow line."""

    def __init__(self, uri: str, wait_s: float, asked: Counter[str]) -> None:
        self._store: Any = open_store(uri)
        self._wait_s = wait_s
        self._asked = asked
        self.uri = self._store.uri if "://" in self._store.uri else f"file://{self._store.uri}"

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._slowly(name, found) if name in REQUESTS else found

    def _slowly(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*args: Any) -> Any:
            self._asked[name] += 1
            time.sleep(self._wait_s)
            return call(*args)

        return slow


def plan(folder: Path, args: argparse.Namespace) -> PlannedRun:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "slow",
        "search": {"kind": "grid", "params": {"x": {"low": 1, "high": args.trials}}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"image": "i", "command": ["x"]},
        "parallelism": args.parallelism,
        "logs": "tail",
    }
    return prepare_run(
        load(spec),
        store=args.store or str(folder),
        run_id=secrets.token_hex(4),
        owner={"kind": "cli", "epoch": "e1"},
        folder=str(folder),
        target=Target("kubernetes"),
    )


async def measure(planned: PlannedRun, cluster: FakeCluster, args: argparse.Namespace) -> float:
    """Runs all trials; seconds from the start to the first trial's end."""
    began, ends = time.monotonic(), []
    backend = KubernetesBackend.connect(cluster.connection())

    async def run_one(session: Any, number: int) -> None:
        await run_trial(session, number, "e1")
        ends.append(time.monotonic() - began)

    if not args.all_at_once:
        await SweepRun(planned, backend, epoch="e1").run(on_line=None)
        await backend.close()
        return math.nan
    hub = Hub.current("bench", lambda: backend)
    claim = RunClaim(planned.ledger.run_uri)
    session = await hub.enter(claim)
    await asyncio.gather(*(run_one(session, number) for number in range(args.trials)))
    hub.leave(claim)
    return min(ends)


def _peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0, help="what a trial takes")
    parser.add_argument("--parallelism", type=int, default=100)
    parser.add_argument("--wait-ms", type=float, default=30.0, help="what a request takes")
    parser.add_argument("--store", help="a URI, in place of a folder")
    parser.add_argument("--all-at-once", action="store_true", help="all asked for at the start")
    args = parser.parse_args()
    asked: Counter[str] = Counter()
    script = Script(run_s=args.seconds, result='{"y": 1}', output="a line\n")
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(Path(folder), args)
        ledger.open_store = lambda uri: SlowStore(uri, args.wait_ms / 1000, asked)
        planned = PlannedRun.open(RunClaim(planned.ledger.run_uri))
        asked.clear()
        with FakeCluster(script=script, speed=1.0) as cluster:
            began = time.monotonic()
            first_s = asyncio.run(measure(planned, cluster, args))
            took_s = time.monotonic() - began
    least_s = math.ceil(args.trials / args.parallelism) * args.seconds
    each = {name: round(count / args.trials, 2) for name, count in sorted(asked.items())}
    writes = sum(asked[name] for name in WRITES) / args.trials
    print(
        f"{args.trials} x {args.seconds:g} s, {args.parallelism} at once, "
        f"{args.wait_ms:g} ms a request: {took_s:.1f} s (trials alone {least_s:g} s), "
        f"first end after {first_s:.1f} s; {writes:.1f} writes a trial; a trial asks {each}; "
        f"{time.process_time():.0f} CPU-s, {_peak_mb():.0f} MB, "
        f"{len(os.listdir('/proc/self/fd'))} open files"
    )


if __name__ == "__main__":
    main()
