"""A triggerer's event loop: for how long trials block it, and what streamed logs cost it.

Real triggers in one loop, pods of a fake cluster, Airflow's own log processors into a socket that
another process reads as Airflow's supervisor does: 4 KiB a turn, with a pause between turns. Pods
print a share of their output when they start and the rest before they end. Prints the longest turns of the loop
(wall time, and CPU time of the loop's thread, which neighbours on the machine do not lengthen), what
was on the stack in long turns, and CPU time a MB of log.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LONG_S = 0.05
ROUND_S = 0.01
OWNER = {"deployment": "airflow", "dag_id": "d", "run_id": "r1", "group_id": "sweep"}


def serve_cluster(pipe: Connection, run_s: float, output: str) -> None:
    """A fake cluster, in a process of its own."""
    from podmap.testing.fake_cluster import FakeCluster, Script

    def script(pod: dict[str, Any]) -> Script:
        number = int(pod["metadata"]["labels"]["podmap.io/trial"])
        return Script(
            run_s=run_s * (1 + number % 7 / 7), result='{"x": 1}', output=output, last_output=output
        )

    with FakeCluster(script=script, speed=1.0) as cluster:
        folder = Path(pipe.recv())
        cluster.kubeconfig(folder / "kubeconfig")
        pipe.send("ready")
        pipe.recv()


def read_log(end: socket.socket, pipe: Connection) -> None:
    """What Airflow's supervisor does with its end of the log."""
    count = 0
    while data := end.recv(4096):
        count += len(data)
        time.sleep(ROUND_S)
    pipe.send(count)


class LoopWatch:
    """Watches how long the turns of a loop are, and what they do."""

    def __init__(self) -> None:
        self.gaps: list[tuple[float, float]] = []
        self.stacks: Counter[str] = Counter()
        self._beat = time.monotonic()
        self._over = False
        self._main = threading.get_ident()
        threading.Thread(target=self._sample, daemon=True).start()

    async def run(self) -> None:
        while True:
            began, cpu = time.monotonic(), time.thread_time()
            self._beat = began
            await asyncio.sleep(0.002)
            self.gaps.append((time.monotonic() - began, time.thread_time() - cpu))

    def _sample(self) -> None:
        while not self._over:
            time.sleep(0.01)
            if time.monotonic() - self._beat > LONG_S:
                frames = traceback.extract_stack(sys._current_frames()[self._main])
                own = [f for f in frames if "podmap" in f.filename] or frames[-1:]
                self.stacks[
                    " < ".join(f"{Path(f.filename).name}:{f.name}" for f in own[-3:][::-1])
                ] += 1

    def report(self) -> None:
        self._over = True
        for name, values in (
            ("wall", [g for g, _ in self.gaps]),
            ("cpu", [c for _, c in self.gaps]),
        ):
            ordered = sorted(values, reverse=True)
            over = [sum(v > limit for v in values) for limit in (0.05, 0.1, 0.2)]
            print(
                f"| {name:5} | longest {ordered[0] * 1000:6.0f} ms | 10th {ordered[9] * 1000:6.0f} ms "
                f"| turns over 50, 100, 200 ms: {over} |"
            )
        for stack, count in self.stacks.most_common(12):
            print(f"  {count:4d} x {stack}")


def plan(folder: Path, trials: int, parallelism: int) -> dict[str, str]:
    """A planned run, as the XCom of `plan` says it."""
    from podmap.backends.connect import Target
    from podmap.engine.planned import prepare_run
    from podmap.ledger.encode import dump_manifest
    from podmap.names import content_digest, run_id_for
    from podmap.spec.load import load

    spec = {
        "apiVersion": "podmap/v1",
        "name": "loop",
        "search": {
            "kind": "grid",
            "params": {"n": {"low": 1, "high": trials}, **{f"param_{i}": i / 7 for i in range(21)}},
        },
        "objective": {"metric": "x", "direction": "maximize"},
        "trial": {"image": "fake", "command": ["train"], "args": [{"params": "flags"}]},
        "parallelism": parallelism,
        "logs": "stream",
    }
    planned = prepare_run(
        load(spec),
        store=str(folder / "store"),
        run_id=run_id_for(*OWNER.values()),
        owner={"kind": "airflow", **OWNER},
        folder=str(folder),
        target=Target("kubernetes"),
    )
    return {
        "uri": planned.ledger.run_uri,
        "digest": content_digest(dump_manifest(planned.manifest)),
        "backend": "kubernetes",
        "namespace": "",
        "connection": "",
    }


async def run_triggers(run: dict[str, str], options: argparse.Namespace, watch: LoopWatch) -> None:

    from podmap.airflow.pods.trigger import TrialTrigger

    async def trigger(index: int) -> None:
        import structlog

        structlog.contextvars.bind_contextvars(
            trigger_id=index,
            ti_id="0" * 36,
            dag_id="d",
            task_id="sweep.trials",
            run_id="r1",
            try_number=1,
            map_index=index,
        )
        one = TrialTrigger(run=run)
        one.task_instance = SimpleNamespace(
            dag_id="d",
            run_id="r1",
            task_id="sweep.trials",
            map_index=index,
            id=f"{index:036d}",
            max_tries=0,
        )
        async for event in one.run():
            ends[type(event).__name__] += 1

    ends: Counter[str] = Counter()
    beats = asyncio.ensure_future(watch.run())
    tasks = []
    for index in range(options.trials):
        tasks.append(asyncio.ensure_future(trigger(index)))
        if index % 50 == 49:  # as Airflow starts them
            await asyncio.sleep(1.0)
    await asyncio.gather(*tasks)
    beats.cancel()
    print(dict(ends))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1200)
    parser.add_argument("--parallelism", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument(
        "--lines", type=int, default=20, help="that a pod prints, of 100 characters"
    )
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    output = "".join(f"epoch {n:5d} {'loss=0.123 ' * 8}\n" for n in range(options.lines // 2))
    ours, theirs = spawn.Pipe()
    cluster = spawn.Process(
        target=serve_cluster, args=(theirs, options.seconds, output), daemon=True
    )
    cluster.start()
    log, end = socket.socketpair()
    counted, counts = spawn.Pipe()
    reader = spawn.Process(target=read_log, args=(end, counts), daemon=True)
    reader.start()
    end.close()
    with tempfile.TemporaryDirectory(prefix="podmap-bench-") as place:
        folder = Path(place)
        ours.send(place)
        ours.recv()
        os.environ.update(
            KUBECONFIG=str(folder / "kubeconfig"),
            AIRFLOW_HOME=place,
            AIRFLOW__PODMAP__STORE=str(folder / "store"),
        )
        from airflow.sdk.log import configure_logging

        configure_logging(
            json_output=True,
            output=os.fdopen(log.fileno(), "wb", buffering=0, closefd=False),
            sending_to_supervisor=True,
        )
        run = plan(folder, options.trials, options.parallelism)
        watch, cpu, began = LoopWatch(), time.process_time(), time.monotonic()
        asyncio.run(run_triggers(run, options, watch))
        used, took = time.process_time() - cpu, time.monotonic() - began
        fd = os.open("/dev/null", os.O_WRONLY)
        try:
            from podmap.airflow.log_socket import process_log_socket

            process_log_socket().close()
        except ImportError:
            pass
        os.dup2(fd, log.fileno())
        got = counted.recv()
        print(
            f"{options.trials} trials, {options.parallelism} at once: {took:.1f} s, {used:.1f} CPU-s, "
            f"{got / 1e6:.2f} MB of log, {used / options.trials * 1000:.1f} CPU-ms a trial, "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
        )
        watch.report()
        ours.send("end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
