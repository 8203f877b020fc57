"""The rows of the table: each runs its trials in a place of its own and is measured."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.airflow_throughput import cpu_by_process
from bench.on_cluster import sources
from bench.on_cluster.audit import AuditLog
from bench.on_cluster.handover import Spread, handovers, most_at_once
from bench.on_cluster.place import (
    BenchError,
    Cluster,
    Place,
    place,
    start_fake_nodes,
    worker_image,
)
from bench.on_cluster.sources import Size
from bench.on_cluster.usage import MemorySampler
from bench.on_cluster.watching import Sight, Witness
from local_airflow import LocalAirflow
from local_postgres import local_postgres
from worker_pods import executor_settings, write_pod_template

IDLE_S = 10.0
POLL_S = 2.0
LIMIT_S = 1800.0
OPERATOR_SETTINGS = {
    # With more workers on 2 cores, most trials fail on the import timeout.
    "AIRFLOW__CORE__PARALLELISM": "6",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
}
AIRFLOW_DEFAULTS = {
    # LocalAirflow looks at DAG files more often than Airflow does unless told.
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "300",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
}


@dataclass
class Measured:
    """One row. Times are in seconds, sizes in bytes.

    Attributes:
        kind: What ran the trials.
        size: How many, how long, how many at once.
        trials: How many there were.
        makespan_s: Airflow: from the first task instance's start to the last one's end; else from
            the request, or the process's start, to its end.
        pods_s: From the first pod that was seen to the last container's end that was.
        cpu_s: CPU time between the trigger and the DAG run's end, by Airflow process; of the CLI
            its own process.
        idle_cpu_s: What of it Airflow would have used with nothing to do.
        memory_bytes: Peak of the same processes, and what there was of it before: resident
            ("rss"), and with shared pages counted once ("pss").
        requests: Of the row's account, by verb and resource.
        handover_s: From a trial's end to the start of the next one in its slot, by their clock.
        refill_s: From when the witness sees a container's end to when it sees the next pod let go.
        most_at_once: How many trials overlapped, by their own clock.
        problem: What makes the row worthless; empty if nothing does.
    """

    kind: str
    size: str
    trials: int
    makespan_s: float = 0.0
    pods_s: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)
    idle_cpu_s: float = 0.0
    memory_bytes: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    handover_s: Spread | None = None
    refill_s: Spread | None = None
    most_at_once: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Bench:
    """What the rows share.

    Attributes:
        cluster: Where pods run.
        say: Tells a person how it gets on.
    """

    cluster: Cluster
    say: Callable[[str], None]


Runner = Callable[[Bench, Measured, Place, Path, Size], None]


def measure(bench: Bench, kind: str, size: Size) -> Measured:
    """Runs one row.

    Args:
        bench: What the rows share.
        kind: A key of `KINDS`.
        size: How many trials, and so on.

    Raises:
        BenchError: It could not be run.
    """
    row = Measured(kind, str(size), size.trials)
    with tempfile.TemporaryDirectory(prefix="podmap-bench-") as name:
        folder = Path(name)
        with place(bench.cluster, folder) as where:
            KINDS[kind](bench, row, where, folder, size)
    return row


@contextmanager
def _witnessed(row: Measured, where: Place, size: Size) -> Iterator[None]:
    """Counts requests and watches the pods of what is done within."""
    audit = AuditLog(where.cluster.audit_log)
    witness = Witness(where)
    try:
        yield
    finally:
        sights = witness.close()
    time.sleep(1)  # the audit log is written a moment after the answer
    row.requests = dict(audit.requests(where.user).most_common())
    _note_pods(row, sights, size)
    if witness.broken:
        row.problem = "the watch of the pods broke"


def _note_pods(row: Measured, sights: list[Sight], size: Size) -> None:
    if row.kind == "executor":  # Airflow's own pods: other tasks' too, and gone at once
        return
    ended = [sight.ended for sight in sights if sight.ended < float("inf")]
    let_go = [sight.let_go for sight in sights if sight.let_go < float("inf")]
    spans = [sight.span for sight in sights if sight.span]
    if len(ended) != size.trials:
        row.problem = row.problem or f"{len(ended)} pods ended, not {size.trials}"
    if not ended:
        return
    row.pods_s = max(ended) - min(sight.made for sight in sights)
    row.refill_s = Spread.of(handovers(let_go, ended, slots=size.at_once))
    if spans:
        began, over = [span[0] for span in spans], [span[1] for span in spans]
        row.handover_s = Spread.of(handovers(began, over, slots=size.at_once))
        row.most_at_once = most_at_once(spans)


def _stock(
    bench: Bench, row: Measured, where: Place, folder: Path, size: Size, *, deferrable: bool
) -> None:
    source = sources.operator_dag(
        size,
        deferrable=deferrable,
        kubeconfig=str(where.kubeconfig),
        namespace=where.namespace,
    )
    files = {"bench.py": source}
    _through_airflow(bench, row, where, folder, size, "trials", files, OPERATOR_SETTINGS)


def _sync(bench: Bench, row: Measured, where: Place, folder: Path, size: Size) -> None:
    _stock(bench, row, where, folder, size, deferrable=False)


def _deferrable(bench: Bench, row: Measured, where: Place, folder: Path, size: Size) -> None:
    _stock(bench, row, where, folder, size, deferrable=True)


def _podmap(
    bench: Bench, row: Measured, where: Place, folder: Path, size: Size, *, fake: bool = False
) -> None:
    files = {"bench.py": sources.sweep_dag(), "sweep.yaml": sources.sweep(size, fake=fake)}
    settings = _pod_settings(where, folder)
    _through_airflow(bench, row, where, folder, size, "sweep.trials", files, settings)


def _pod_settings(where: Place, folder: Path) -> dict[str, str]:
    """What has Airflow's sweeps be pods of the row's account."""
    return {
        "AIRFLOW__PODMAP__STORE": str(folder / "store"),
        "AIRFLOW__PODMAP__BACKEND": "kubernetes",
        "KUBECONFIG": str(where.kubeconfig),
    }


def _fake(bench: Bench, row: Measured, where: Place, folder: Path, size: Size) -> None:
    start_fake_nodes()
    _podmap(bench, row, where, folder, size, fake=True)


def _operator(
    bench: Bench, row: Measured, where: Place, folder: Path, size: Size, *, deferrable: bool = False
) -> None:
    dag = sources.sweep_dag(runtime="operator", task_args={"deferrable": deferrable})
    files = {"bench.py": dag, "sweep.yaml": sources.sweep(size)}
    settings = {**OPERATOR_SETTINGS, **_pod_settings(where, folder)}
    _through_airflow(bench, row, where, folder, size, "sweep.trials", files, settings)


def _operator_deferrable(
    bench: Bench, row: Measured, where: Place, folder: Path, size: Size
) -> None:
    _operator(bench, row, where, folder, size, deferrable=True)


def _executor(bench: Bench, row: Measured, where: Place, folder: Path, size: Size) -> None:
    image = worker_image()
    dag = sources.sweep_dag(runtime="executor", task_args={"executor": "KubernetesExecutor"})
    files = {"bench.py": dag, "sweep.yaml": sources.sweep(size, image=image)}
    settings = {
        **executor_settings(
            folder, kubeconfig=where.kubeconfig, namespace=where.namespace, image=image
        ),
        "AIRFLOW__PODMAP__STORE": str(folder / "store"),
    }
    _through_airflow(bench, row, where, folder, size, "sweep.trials", files, settings)


def _through_airflow(
    bench: Bench,
    row: Measured,
    where: Place,
    folder: Path,
    size: Size,
    task_id: str,
    files: Mapping[str, str],
    settings: Mapping[str, str],
) -> None:
    """Runs the DAG `warm` of some DAG files once, and measures the DAG `measured`."""
    dags = folder / "dags"
    dags.mkdir()
    for name, text in files.items():
        (dags / name).write_text(text)
    with ExitStack() as stack:
        airflow = LocalAirflow(
            folder / "airflow",
            dags=dags,
            database=stack.enter_context(local_postgres()),
            env={**AIRFLOW_DEFAULTS, **settings},
        )
        stack.callback(airflow.stop)
        write_pod_template(airflow, folder)
        airflow.start(say=bench.say)
        for dag_id in ("warm", "measured"):
            airflow.wait_for_dag(dag_id, 300)
        airflow.wait_for_run("warm", airflow.trigger("warm"), 600)
        groups = {name: process.pid for name, process in airflow.processes.items()}
        idle = _idle(row, groups)
        bench.say(f"running {row.kind} {row.size}")
        _measured_run(row, airflow, groups, where, size, task_id)
        row.idle_cpu_s *= idle


def _idle(row: Measured, groups: Mapping[str, int]) -> float:
    """CPU-seconds that Airflow uses in a second with nothing to do; notes its memory."""
    sampler = MemorySampler(groups.values())
    before = cpu_by_process(dict(groups))
    time.sleep(IDLE_S)
    after = cpu_by_process(dict(groups))
    sampler.close()
    row.memory_bytes = {"idle rss": sampler.rss_bytes, "idle pss": sampler.pss_bytes}
    return (sum(after.values()) - sum(before.values())) / IDLE_S


def _measured_run(
    row: Measured,
    airflow: LocalAirflow,
    groups: Mapping[str, int],
    where: Place,
    size: Size,
    task_id: str,
) -> None:
    sampler = MemorySampler(groups.values())
    with _witnessed(row, where, size):
        before, began = cpu_by_process(dict(groups)), time.monotonic()
        run_id = airflow.trigger("measured")
        state = _wait(airflow, run_id)
        after, row.idle_cpu_s = cpu_by_process(dict(groups)), time.monotonic() - began
        sampler.close()
    row.cpu_s = {name: after[name] - before[name] for name in groups}
    row.memory_bytes.update({"rss": sampler.rss_bytes, "pss": sampler.pss_bytes})
    instances = airflow.instances("measured", run_id, task_id)
    ends = [_moment(instance["end_date"]) for instance in instances]
    row.makespan_s = max(ends) - min(_moment(instance["start_date"]) for instance in instances)
    states = Counter(instance["state"] for instance in instances)
    if state != "success" or set(states) != {"success"}:
        row.problem = f"the DAG run ended as {state}, its trials as {dict(states)}"


def _wait(airflow: LocalAirflow, run_id: str) -> str:
    """Waits for a run's end, and asks seldom: each answer costs Airflow CPU time."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        state = str(airflow.get(airflow.run_path("measured", run_id))["state"])
        if state in ("success", "failed"):
            return state
        time.sleep(POLL_S)
    raise BenchError(f"the DAG run is not over after {LIMIT_S:g} s")


def _cli(
    bench: Bench, row: Measured, where: Place, folder: Path, size: Size, *, fake: bool = False
) -> None:
    (folder / "sweep.yaml").write_text(sources.sweep(size, fake=fake))
    words = ["run", "sweep.yaml", "--backend", "kubernetes", "--quiet"]
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("PYTHON")},
        "PODMAP_STORE": str(folder / "store"),
        "KUBECONFIG": str(where.kubeconfig),
    }
    bench.say(f"running {row.kind} {row.size}")
    with _witnessed(row, where, size):
        began = time.monotonic()
        with (folder / "out").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "podmap.cli.main", *words],
                cwd=folder,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        row.makespan_s = time.monotonic() - began
    _note_process(row, used)
    if process.returncode:
        text = (folder / "out").read_text(errors="replace")[-500:]
        row.problem = f"podmap run ended with {process.returncode}: {text}"


def _note_process(row: Measured, used: resource.struct_rusage) -> None:
    row.cpu_s = {"podmap run": used.ru_utime + used.ru_stime}
    row.memory_bytes = {"rss": used.ru_maxrss * 1024}


def _fake_cli(bench: Bench, row: Measured, where: Place, folder: Path, size: Size) -> None:
    start_fake_nodes()
    _cli(bench, row, where, folder, size, fake=True)


def _job(bench: Bench, row: Measured, where: Place, folder: Path, size: Size) -> None:
    cluster, path = where.cluster, where.path("jobs")
    bench.say(f"running {row.kind} {row.size}")
    with _witnessed(row, where, size):
        began = time.monotonic()
        cluster.ask("POST", path, sources.job(size))
        words = ("--for=condition=Complete", f"--timeout={LIMIT_S:.0f}s")
        cluster.kubectl("wait", "job/bare", *words, f"--namespace={where.namespace}")
        row.makespan_s = time.monotonic() - began
    status = cluster.ask("GET", f"{path}/bare")["status"]
    if status.get("succeeded") != size.trials:
        row.problem = f"the Job ended as {status}"


def _moment(text: Any) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


KINDS: Mapping[str, Runner] = {
    "stock": _sync,
    "stock-deferrable": _deferrable,
    "podmap": _podmap,
    "cli": _cli,
    "operator": _operator,
    "operator-deferrable": _operator_deferrable,
    "executor": _executor,
    "job": _job,
    "fake": _fake,
    "fake-cli": _fake_cli,
}
