"""The faults, by name. Each is a generator that is run while a sweep runs.

What comes before its first `yield` is done before the sweep starts, what comes next in its middle,
and what comes after a second `yield` once it is over.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.on_cluster.place import BenchError
from chaos.proxy import MISHAPS, FaultProxy, Trouble
from chaos.runs import LONGEST_S, ByCommand, Run
from chaos.scene import script
from chaos.watcher import wait_until

Steps = Callable[[Run], Generator[None]]
By = Literal["local", "s3", "command"]
OUTAGE_S = 30.0


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: What it is called by.
        what: A line for the table.
        steps: What is done.
        by: What runs the sweep: the DAG `local`, the DAG `s3`, or `podmap run`.
        airflow: Whether it is done to a part of Airflow.
        cluster: Whether it is done to a part of a real cluster.
    """

    name: str
    what: str
    steps: Steps
    by: By = "local"
    airflow: bool = False
    cluster: bool = False


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    what: str,
    by: By = "local",
    *,
    airflow: bool = False,
    cluster: bool = False,
) -> Callable[[Steps], Steps]:
    """Has a function be a fault."""

    def add(steps: Steps) -> Steps:
        FAULTS[name] = Fault(name, what, steps, by, airflow, cluster)
        return steps

    return add


@fault("none", "nothing")
def _none(run: Run) -> Generator[None]:
    yield


# Airflow


@fault("triggerer", "kill -9 of the only triggerer, a new one 3 s later", airflow=True)
def _triggerer(run: Run) -> Generator[None]:
    yield
    run.scene.airflow.kill("triggerer")
    run.for_a_time(3)
    run.scene.airflow.spawn_again("triggerer")


def _with_second_triggerer(run: Run) -> None:
    airflow = run.scene.airflow
    airflow.spawn("triggerer", "--skip-serve-logs", name="second")
    # Its first heartbeat cannot be told from the other's: it is given time to begin.
    wait_until(lambda: "Started" in _said(run, "second"), 60)


def _said(run: Run, name: str) -> str:
    return (run.scene.airflow.home / f"{name}.out").read_text(errors="replace")


@fault(
    "one-of-two-triggerers", "kill -9 of one of two triggerers; the other takes over", airflow=True
)
def _one_of_two(run: Run) -> Generator[None]:
    _with_second_triggerer(run)
    yield
    run.scene.airflow.kill("triggerer")
    yield
    run.scene.airflow.spawn_again("triggerer")
    run.scene.airflow.kill("second")


@fault(
    "sigstop",
    "one of two triggerers stopped for 25 s, longer than the lease, then woken",
    airflow=True,
)
def _sigstop(run: Run) -> Generator[None]:
    _with_second_triggerer(run)
    yield
    process = run.scene.airflow.processes["triggerer"]
    os.killpg(process.pid, signal.SIGSTOP)
    run.for_a_time(25)
    os.killpg(process.pid, signal.SIGCONT)
    yield
    run.scene.airflow.kill("second")


@fault("scheduler", "kill -9 of the scheduler, a new one 5 s later", airflow=True)
def _scheduler(run: Run) -> Generator[None]:
    yield
    run.scene.airflow.kill("scheduler")
    run.for_a_time(5)
    run.scene.airflow.spawn_again("scheduler")


@fault("airflow-api", "kill -9 of Airflow's API server, a new one 10 s later", airflow=True)
def _airflow_api(run: Run) -> Generator[None]:
    yield
    run.scene.airflow.kill("api-server")
    run.for_a_time(10)
    run.scene.airflow.spawn_again("api-server")


@fault("postgres", "Airflow's PostgreSQL crashes and is back 5 s later", airflow=True)
def _postgres(run: Run) -> Generator[None]:
    yield
    run.scene.postgres.stop()
    run.for_a_time(5)
    run.scene.postgres.start()
    # What ends without its database is started again, as a deployment does: each when it ends.
    wait_until(lambda: run.scene.airflow.start_ended() == [] and run.over(), LONGEST_S, 1.0)


@fault("descriptors", "the triggerer gets no more file descriptors for 30 s", airflow=True)
def _descriptors(run: Run) -> Generator[None]:
    yield
    group = run.scene.airflow.processes["triggerer"].pid
    before: dict[int, tuple[int, int]] = {}
    for pid in _group(group):
        with suppress(OSError):
            used = max(int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir())
            before[pid] = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 1, before[pid][1]))
    run.for_a_time(OUTAGE_S)
    for pid, limits in before.items():
        with suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def _group(group: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                found.append(int(process.name))
    return found


# The command


@fault("command", "kill -9 of `podmap run`, `podmap resume` 5 s later", by="command")
def _command(run: Run) -> Generator[None]:
    yield
    runner = run.runner
    if not isinstance(runner, ByCommand):
        raise TypeError("this fault needs a run by command")
    run_id = run.run_id
    runner.kill()
    run.for_a_time(5)
    runner.resume(run_id)


# The cluster


@fault("kube-apiserver", "the API server is dead for 30 s", cluster=True)
def _kube_apiserver(run: Run) -> Generator[None]:
    yield
    script("part", "kill", "apiserver")
    run.for_a_time(OUTAGE_S)
    _start_api_server(run)


def _start_api_server(run: Run) -> None:
    script("part", "start", "apiserver")
    up = wait_until(lambda: _answers(run), 90, 0.5)
    if not up:
        raise OSError("the API server did not come back")


def _answers(run: Run) -> bool:
    with suppress(BenchError):
        return run.scene.cluster.kubectl("get", "--raw=/readyz").strip() == "ok"
    return False


@fault("kubelet", "the node's kubelet is killed and started again 5 s later", cluster=True)
def _kubelet(run: Run) -> Generator[None]:
    yield
    script("node", "lose", "1")
    run.for_a_time(5)
    script("node", "start", "1")


@fault(
    "etcd-compacted",
    "etcd is compacted and all watches are cut, so that none can go on",
    cluster=True,
)
def _etcd_compacted(run: Run) -> Generator[None]:
    yield
    for _ in range(3):
        with run.scene.api.trouble(Trouble(cuts_streams=True)):
            _etcd(run, "kv/compaction", {"revision": _revision(run), "physical": True})
        run.for_a_time(3)


def _etcd(run: Run, path: str, body: object) -> dict[str, object]:
    # etcd answers JSON beside gRPC.
    command = json.loads((run.scene.cluster_folder / "etcd.command.json").read_text())[0]
    flag = next(word for word in command if word.startswith("--listen-client-urls="))
    url = f"{flag.partition('=')[2]}/v3/{path}"
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        said: dict[str, object] = json.load(answer)
    return said


def _revision(run: Run) -> int:
    key = base64.b64encode(b"/").decode()
    header = _etcd(run, "kv/range", {"key": key})["header"]
    return int(header["revision"])  # type: ignore[index]


@fault(
    "etcd-restored",
    "etcd goes back by some 8 s to a snapshot, and its versions with it",
    cluster=True,
)
def _etcd_restored(run: Run) -> Generator[None]:
    yield
    folder = run.scene.cluster_folder
    data, snapshot = folder / "etcd", run.scene.folder / f"etcd-{time.monotonic_ns()}"
    pids = _etcd_processes(folder)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    shutil.copytree(data, snapshot)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    run.for_a_time(8)
    # As etcd's page on disasters says: all that keeps what the API server told is started anew.
    parts = ("apiserver", "etcd", "controllers", "scheduler", "kubelet-1")
    script("part", "kill", *parts)
    shutil.rmtree(data)
    shutil.move(snapshot, data)
    script("part", "start", "etcd")
    _start_api_server(run)
    script("part", "start", "controllers", "scheduler")
    script("node", "start", "1")


def _etcd_processes(folder: Path) -> list[int]:
    mark = f"PODMAP_PART_OF_CLUSTER={folder}:etcd".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


@fault("pods-deleted", "six running pods are deleted by hand")
def _pods_deleted(run: Run) -> Generator[None]:
    yield
    run.scene.ground.delete_pods(6)


@fault("drain", "the node is drained, and takes pods again 5 s later", cluster=True)
def _drain(run: Run) -> Generator[None]:
    yield
    cluster = run.scene.cluster
    _, _, node = cluster.kubectl("get", "nodes", "--output=name").split()[0].partition("/")
    cluster.kubectl("cordon", node)
    run.scene.ground.expect_deletions()
    # Pods that wait at their gates are on no node and stay.
    drain = ("drain", node, "--force", "--ignore-daemonsets", "--timeout=60s")
    cluster.kubectl(*drain, "--delete-emptydir-data")
    run.for_a_time(5)
    cluster.kubectl("uncordon", node)


@fault("node-clock", "the node's clock is ten minutes fast, in all that it says of containers")
def _node_clock(run: Run) -> Generator[None]:
    with run.scene.api.trouble(Trouble(node_clock_s=600, cuts_streams=True)):
        yield
        yield


@fault("node-clock-slow", "the same, ten minutes slow")
def _node_clock_slow(run: Run) -> Generator[None]:
    with run.scene.api.trouble(Trouble(node_clock_s=-600, cuts_streams=True)):
        yield
        yield


# Wires


def _wire(
    name: str,
    what: str,
    mishaps: tuple[str, ...],
    *,
    share: float = 0.3,
    by: By = "local",
    cuts: bool = False,
    holds: bool = False,
) -> None:
    """A fault of what lies between podmap and the API server or the store, for 30 s."""
    trouble = Trouble(mishaps, share, cuts_streams=cuts, holds_streams=holds)

    def steps(run: Run) -> Generator[None]:
        yield
        proxy: FaultProxy = run.scene.store if by == "s3" else run.scene.api
        with proxy.trouble(trouble):
            run.for_a_time(OUTAGE_S)

    fault(name, what, by)(steps)


_wire("api-slow", "API server: half of the requests take up to 3 s more", ("delay",), share=0.5)
_wire("api-stalls", "API server: requests are never answered, nor closed", ("stall",))
_wire("api-silent-watch", "API server: watches say nothing more for 30 s", (), holds=True)
_wire("api-drops", "API server: connections are cut before or after", ("drop", "lose"), cuts=True)
_wire("api-truncates", "API server: answers end in the middle", ("truncate",), cuts=True)
_wire("api-403", "API server: 403", ("403",))
_wire("api-429", "API server: 429 with Retry-After", ("429",), share=0.5)
_wire("api-5xx", "API server: 500, 503 and 504", ("500", "503", "504"), share=0.5)
_wire(
    "api-bad",
    "API server: one request in five meets any of these",
    (*MISHAPS, "403", "429", "500", "503"),
    share=0.2,
    cuts=True,
)
_wire("s3-slow", "S3: half of the requests take up to 3 s more", ("delay",), share=0.5, by="s3")
_wire("s3-stalls", "S3: requests are never answered, nor closed", ("stall",), share=0.2, by="s3")
_wire("s3-drops", "S3: connections are cut before or after", ("drop", "lose"), by="s3")
_wire("s3-truncates", "S3: answers end in the middle", ("truncate",), by="s3")
_wire("s3-403", "S3: 403", ("403",), by="s3")
_wire("s3-5xx", "S3: 500 and 503 with Retry-After", ("500", "503"), share=0.5, by="s3")


@fault(
    "execution-api",
    "Airflow's execution API: delays, 503 and cuts, for the whole run",
    airflow=True,
)
def _execution_api(run: Run) -> Generator[None]:
    with run.scene.execution.trouble(Trouble(("delay", "503", "drop"), 0.2)):
        yield
        yield


# The store on a disk


@fault("disk-full", "the store's disk is full for 30 s")
def _disk_full(run: Run) -> Generator[None]:
    yield
    filler = run.scene.disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    run.for_a_time(OUTAGE_S)
    filler.unlink()


@fault("disk-fails", "the store can be read and not written for 30 s")
def _disk_fails(run: Run) -> Generator[None]:
    yield
    remount = ["mount", "-o", "remount,ro", str(run.scene.disk)]
    # Refused while a file is open for writing, which is never for long.
    wait_until(lambda: subprocess.run(remount, stderr=subprocess.DEVNULL).returncode == 0, 10)
    run.for_a_time(OUTAGE_S)
    subprocess.run(["mount", "-o", "remount,rw", str(run.scene.disk)], check=True)
