"""A triggerer's event loop: for how long trials block it, and what their logs cost.

Real triggers in one loop, one for each trial, 50 more a second as Airflow starts them, or one
in each turn as a triggerer that takes over does; pods of a fake cluster, which print half of their
lines when they start and half before they end; Airflow's own log processors, into a socket that
another process reads as Airflow's supervisor does: 4 KiB, then a pause.

Prints the longest turns of the loop, by the clock and by the CPU time of the loop's thread (which
others who are busy on the machine do not lengthen), what was going on in the long ones, and the
CPU time and log bytes of all.
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
        seconds = run_s * (1 + int(pod["metadata"]["labels"]["podmap.io/trial"]) % 7 / 7)
        return Script(run_s=seconds, result='{"x": 1}', output=output, last_output=output)

    with FakeCluster(script=script, speed=1.0) as cluster:
        cluster.kubeconfig(Path(pipe.recv()))
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
    """Watches how long the turns of a loop are, and what goes on in those that are long."""

    def __init__(self) -> None:
        self.turns: list[tuple[float, float]] = []
        self.stacks: Counter[str] = Counter()
        self._seen: list[str] = []
        self._main = threading.get_ident()
        threading.Thread(target=self._look, daemon=True).start()

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            self._seen.clear()
            began, cpu = time.monotonic(), time.thread_time()
            await asyncio.sleep(0.002)
            self.turns.append((time.monotonic() - began, time.thread_time() - cpu))
            if self.turns[-1][1] > LONG_S:
                self.stacks.update(self._seen)

    def _look(self) -> None:
        while True:
            time.sleep(0.005)
            frames = traceback.extract_stack(sys._current_frames()[self._main])
            own = [frame for frame in frames if "podmap" in frame.filename] or frames[-1:]
            names = [f"{Path(frame.filename).name}:{frame.name}" for frame in own[-3:]]
            self._seen.append(" < ".join(reversed(names)))

    def report(self) -> None:
        """Prints what was seen."""
        for name, turns in zip(("clock", "CPU"), zip(*self.turns, strict=True), strict=True):
            ordered = sorted(turns, reverse=True)
            over = [sum(turn > limit for turn in turns) for limit in (0.05, 0.1, 0.2)]
            print(
                f"| {name:5} | longest {ordered[0] * 1000:5.0f} ms | 10th {ordered[9] * 1000:5.0f} "
                f"ms | turns over 50, 100, 200 ms: {over} |"
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

    params = {"n": {"low": 1, "high": trials}, **{f"param_{n}": n / 7 for n in range(21)}}
    spec = {
        "apiVersion": "podmap/v1",
        "name": "loop",
        "search": {"kind": "grid", "params": params},
        "objective": {"metric": "x", "direction": "maximize"},
        "trial": {"image": "fake", "command": ["train"], "args": [{"params": "flags"}]},
        "parallelism": parallelism,
        "trials_per_task": 1,
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
    digest = content_digest(dump_manifest(planned.manifest))
    target = {"backend": "kubernetes", "namespace": "", "connection": ""}
    return {"uri": planned.ledger.run_uri, "digest": digest, **target}


async def run_triggers(
    run: dict[str, str], trials: int, per_second: int, watch: LoopWatch
) -> Counter[str]:
    """The events that ended the trials."""
    import structlog

    from podmap.airflow.pods.trigger import TrialTrigger

    ends: Counter[str] = Counter()

    async def run_trigger(index: int) -> None:
        instance = {**{k: OWNER[k] for k in ("dag_id", "run_id")}, "task_id": "sweep.trials"}
        instance.update(map_index=index, id=f"{index:036d}", try_number=1)
        structlog.contextvars.bind_contextvars(trigger_id=index, **instance)
        trigger = TrialTrigger(run=run)
        trigger.task_instance = SimpleNamespace(**instance, max_tries=0)
        async for event in trigger.run():
            ends[type(event).__name__] += 1

    beats = asyncio.ensure_future(watch.run())
    tasks = []
    for index in range(trials):
        await asyncio.sleep(0)  # Airflow makes one trigger a turn
        tasks.append(asyncio.ensure_future(run_trigger(index)))
        if per_second and index % per_second == per_second - 1:
            await asyncio.sleep(1.0)
    await asyncio.gather(*tasks)
    beats.cancel()
    return ends


def measure(run: dict[str, str], options: argparse.Namespace) -> str:
    """Runs the trials, and returns what it took."""
    watch, cpu, began = LoopWatch(), time.process_time(), time.monotonic()
    ends = asyncio.run(run_triggers(run, options.trials, options.per_second, watch))
    used, took = time.process_time() - cpu, time.monotonic() - began
    watch.report()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{dict(ends)}, {options.parallelism} at once: {took:.1f} s, {used:.1f} CPU-s, "
        f"{used / options.trials * 1000:.1f} CPU-ms a trial, {memory_mb:.0f} MiB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1200)
    parser.add_argument("--parallelism", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3.0, help="that a pod runs, to twice that")
    parser.add_argument(
        "--lines", type=int, default=20, help="of 100 characters, that a pod prints"
    )
    parser.add_argument(
        "--per-second", type=int, default=50, help="triggers that start; 0: one in each turn"
    )
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    output = "".join(f"epoch {n:5d} {'loss=0.123 ' * 8}\n" for n in range(options.lines // 2))
    cluster, served = spawn.Pipe()
    arguments = (served, options.seconds, output)
    spawn.Process(target=serve_cluster, args=arguments, daemon=True).start()
    log, end = socket.socketpair()
    counted, counts = spawn.Pipe()
    spawn.Process(target=read_log, args=(end, counts), daemon=True).start()
    end.close()
    with tempfile.TemporaryDirectory(prefix="podmap-bench-") as place:
        folder = Path(place)
        cluster.send(folder / "kubeconfig")
        cluster.recv()
        os.environ.update(KUBECONFIG=str(folder / "kubeconfig"), AIRFLOW_HOME=place)
        os.environ["AIRFLOW__PODMAP__STORE"] = str(folder / "store")
        from airflow.sdk.log import configure_logging

        output_file = os.fdopen(log.fileno(), "wb", buffering=0, closefd=False)
        configure_logging(json_output=True, output=output_file, sending_to_supervisor=True)
        said = measure(plan(folder, options.trials, options.parallelism), options)
        print(f"{said}, {close_log(log, counted) / 1e6:.2f} MB of log")
        cluster.send("end")
    return 0


def close_log(log: socket.socket, counted: Connection) -> int:
    """How many bytes the log was."""
    from podmap.airflow.log_socket import process_log_socket

    taken = process_log_socket()
    if taken is not None:
        taken.close()
    os.dup2(os.open(os.devnull, os.O_WRONLY), log.fileno())
    count: int = counted.recv()
    return count


if __name__ == "__main__":
    sys.exit(main())
