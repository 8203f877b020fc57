"""Through Airflow on PostgreSQL: mapped trials that sleep, with local processes.

Prints trials per second from the first task instance's start to the last one's end, and the
CPU-seconds of all Airflow processes per trial (user and system, live and reaped, between the
trigger and the end of the DAG run; the trials' own processes are in it).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from local_airflow import LocalAirflow
from local_postgres import local_postgres

DAG_FILE = """
from podmap.airflow import sweep_dag

FEWER = {{"search.params.n.high": {warm}}}
warm = sweep_dag("sweep.yaml", dag_id="warm", backend="process", overrides=FEWER)
measured = sweep_dag("sweep.yaml", dag_id="measured", backend="process")
"""
SWEEP_FILE = """
apiVersion: podmap/v1
name: sleeping
search: {{kind: grid, params: {{n: {{low: 1, high: {trials}}}}}}}
objective: {{metric: n, direction: maximize}}
trial:
  command: [/bin/sh, -c, 'sleep {sleep}; echo "$1" > "$PODMAP_RESULT"', trial]
  args: ['{{"n": {{params.n}}}}']
parallelism: {parallelism}
"""
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_by_process(roots: dict[str, int]) -> dict[str, float]:
    """CPU-seconds of each root's session: of the living, and of the dead they have reaped."""
    used = dict.fromkeys(roots, 0.0)
    names = {pid: name for name, pid in roots.items()}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        group = int(fields[2])  # Airflow's processes stay in the group of what was started
        if group in names:
            used[names[group]] += sum(int(field) for field in fields[11:15]) / TICKS
    return used


def setting(text: str) -> tuple[str, str]:
    """A setting of Airflow as an environment variable: its name and value."""
    name, _, value = text.partition("=")
    section, _, key = name.partition(".")
    return f"AIRFLOW__{section}__{key}".upper(), value


@dataclass(frozen=True)
class Measured:
    """What a run of the sweep took.

    Attributes:
        state: The DAG run's.
        states: Of the trials' instances.
        workers: For how many trials a worker ran.
        count: Trials.
        span_s: From the first instance's start to the last one's end.
        cpu_s: CPU-seconds by process.
        parses: How often the DAG processor has parsed the DAG file.
    """

    state: str
    states: list[str]
    workers: int
    count: int
    span_s: float
    cpu_s: dict[str, float]
    parses: int


def parser() -> argparse.ArgumentParser:
    """The options of a measurement."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--trials", type=int, default=500)
    made.add_argument("--parallelism", type=int, default=100)
    made.add_argument("--sleep", type=float, default=1.0)
    made.add_argument("--warm", type=int, default=5, help="trials of a first run, not counted")
    return made


def main() -> int:
    made = parser()
    made.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="a setting of Airflow, such as dag_processor.max_callbacks_per_loop=500",
    )
    options = made.parse_args()
    report(measure(options, dict(options.set)), options)
    return 0


def measure(options: argparse.Namespace, settings: dict[str, str]) -> Measured:
    """Starts an Airflow with these settings (variables of its environment) and runs the sweep."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podmap-bench-")))
        (root / "dags").mkdir()
        (root / "dags" / "bench.py").write_text(DAG_FILE.format(**vars(options)))
        (root / "dags" / "sweep.yaml").write_text(SWEEP_FILE.format(**vars(options)))
        airflow = LocalAirflow(
            root / "home",
            dags=root / "dags",
            database=stack.enter_context(local_postgres()),
            env={
                "AIRFLOW__PODMAP__STORE": str(root / "store"),
                "PODMAP_STATE_DIR": str(root / "p"),
                **settings,
            },
        )
        stack.callback(airflow.stop)
        airflow.start(say=lambda text: print(text, file=sys.stderr))
        for dag_id in ("warm", "measured"):
            airflow.wait_for_dag(dag_id)
        airflow.wait_for_run("warm", airflow.trigger("warm"))
        return measured(airflow)


def measured(airflow: LocalAirflow) -> Measured:
    """Runs the DAG `measured`."""
    roots = {name: process.pid for name, process in airflow.processes.items()}
    before, parsed = cpu_by_process(roots), parses(airflow)
    run_id = airflow.trigger("measured")
    state = airflow.wait_for_run("measured", run_id, 1200)
    after = cpu_by_process(roots)
    instances = airflow.instances("measured", run_id, "sweep.trials")
    return Measured(
        state,
        sorted({instance["state"] for instance in instances}),
        sum(bool(instance["hostname"]) for instance in instances),
        len(instances),
        max(map(ended, instances)) - min(map(started, instances)),
        {name: after[name] - before[name] for name in roots},
        parses(airflow) - parsed,
    )


def parses(airflow: LocalAirflow) -> int:
    """How often the DAG file has been parsed."""
    logs = (airflow.home / "logs" / "dag_processor").rglob("bench.py.log")
    return sum(log.read_text(errors="replace").count("Filling up the DagBag") for log in logs)


def report(found: Measured, options: argparse.Namespace) -> None:
    """Prints what was measured."""
    count = found.count
    print(
        f"{count} trials of {options.sleep:g} s, {options.parallelism} at once: run {found.state}"
    )
    print(f"| {'trials/s':>8} | {'first start to last end':>23} | {'workers for trials':>18} |")
    rate, span_s = count / found.span_s, found.span_s
    print(f"| {rate:8.1f} | {span_s:21.1f} s | {found.workers:18d} | states: {found.states}")
    print(f"| {'process':14} | CPU-s per trial |")
    for name, cpu_s in found.cpu_s.items():
        print(f"| {name:14} | {cpu_s / count:15.4f} |")
    print(f"| {'all':14} | {sum(found.cpu_s.values()) / count:15.4f} |")
    print(f"the DAG file was parsed {found.parses} times meanwhile")


def ended(instance: dict[str, Any]) -> float:
    return datetime.fromisoformat(instance["end_date"]).timestamp()


def started(instance: dict[str, Any]) -> float:
    return datetime.fromisoformat(instance["start_date"]).timestamp()


if __name__ == "__main__":
    sys.exit(main())
