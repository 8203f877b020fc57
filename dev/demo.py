"""`make demo`: examples/digits through a real Airflow on this machine, to its leaderboard."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from local_airflow import AirflowError, LocalAirflow

ROOT = Path(__file__).resolve().parent.parent
DAG_ID = "digits"
TRIALS = "sweep.trials"
TOP = 10


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave Airflow up until Ctrl-C")
    parser.add_argument(
        "--home", type=Path, help="keep everything in this folder (default: a new one in TMPDIR)"
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="run the trials as pods: on the cluster of KUBECONFIG, else on one of its own",
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = options.home or Path(tempfile.mkdtemp(prefix="podmap-demo-"))
    airflow = LocalAirflow(
        home / "airflow",
        dags=ROOT / "examples" / "digits",
        env={
            "AIRFLOW__PODMAP__STORE": str(home / "store"),
            "AIRFLOW__PODMAP__BACKEND": "process",
            "PODMAP_STATE_DIR": str(home / "processes"),
            **(on_cluster() if options.cluster else {}),
        },
    )
    began = time.monotonic()
    try:
        airflow.start(say=say)
        say(f"Airflow is up after {time.monotonic() - began:.0f} s: {airflow.url}")
        airflow.wait_for_dag(DAG_ID)
        run_id = airflow.trigger(DAG_ID)
        say(f"follow it at {airflow.url}/dags/{DAG_ID}/runs/{run_id}")
        state = follow(airflow, run_id)
        code = show(airflow, run_id, state)
        say(f"took {time.monotonic() - began:.0f} s in all")
        if options.keep:
            stay(airflow)
        return code
    except AirflowError as error:
        say(f"failed: {error}")
        say(f"Airflow's logs are in {airflow.home}")
        return 3
    except KeyboardInterrupt:
        return 130
    finally:
        say("stopping Airflow")
        airflow.stop()
        shutil.rmtree(airflow.home / "logs" / "dag_processor", ignore_errors=True)


def on_cluster() -> dict[str, str]:
    """The environment of an Airflow whose trials are pods."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        say("starting a Kubernetes on this machine; the first time it is built, for minutes")
        script = ROOT / "dev" / "cluster" / "cluster"
        up = subprocess.run([script, "up"], check=True, stdout=subprocess.PIPE, text=True)
        kubeconfig = up.stdout.strip()
        say(f"Kubernetes is up (dev/cluster/cluster down ends it); KUBECONFIG={kubeconfig}")
    return {"AIRFLOW__PODMAP__BACKEND": "kubernetes", "KUBECONFIG": kubeconfig}


def follow(airflow: LocalAirflow, run_id: str) -> str:
    """Shows how the run gets on until it ends; returns its state."""
    shown = ""
    while True:
        run = airflow.get(airflow.run_path(DAG_ID, run_id))
        states = Counter(
            instance["state"] or "waiting"
            for instance in airflow.instances(DAG_ID, run_id, TRIALS)
            if instance["map_index"] >= 0
        )
        total = sum(states.values())
        ended = states["success"] + states["failed"] + states["skipped"]
        line = f"{ended}/{total} trials ended" if total else f"the run is {run['state']}"
        line += f", {states['failed']} failed" if states["failed"] else ""
        if line != shown:
            bar = "#" * (30 * ended // total) if total else ""
            say(f"[{bar:<30}] {line}")
            shown = line
        if run["state"] in ("success", "failed"):
            return str(run["state"])
        time.sleep(1)


def show(airflow: LocalAirflow, run_id: str, state: str) -> int:
    """Prints the leaderboard and where things are; returns the exit code."""
    if state != "success":
        say(f"the DAG run ended as {state}; its logs are in {airflow.home / 'logs'}")
        return 1
    summary: dict[str, Any] = airflow.xcom(DAG_ID, run_id, "sweep.collect")
    results = ["results", summary["run_uri"], "--top", str(TOP)]
    print(flush=True)
    code = subprocess.run([sys.executable, "-m", "podmap.cli.main", *results]).returncode
    print(flush=True)
    say(f"ledger: {summary['run_uri']}")
    say(f"report: {summary['report_uri']}")
    say(f"look again later: .venv/bin/podmap {' '.join(results)}")
    say(f"Airflow's UI is at {airflow.url} while it is up (make demo KEEP=1 leaves it up)")
    return code


def stay(airflow: LocalAirflow) -> None:
    say(f"Airflow stays up at {airflow.url} until Ctrl-C (or kill {os.getpid()})")
    try:
        while airflow.healthy():
            time.sleep(2)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    sys.exit(main())
