"""A triggerer in a crowd: a big sweep that prints, other DAGs' sensors, kill -9 of the triggerer.

`PODMAP_STRESS=full` runs it at full size. With `-s` it prints how long each step took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from deployment import Deployment

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.parametrize("deployment", ["postgresql"], indirect=True, scope="session"),
]

FULL = os.environ.get("PODMAP_STRESS") == "full"
TRIALS, PARALLELISM, OTHERS = (500, 50, 20) if FULL else (120, 8, 4)
KILLS = 3
TRIALS_TASK = "sweep.trials"


def count_states(deployment: Deployment, dag_id: str, run_id: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for instance in deployment.airflow.instances(dag_id, run_id, TRIALS_TASK):
        counts[instance["state"]] = counts.get(instance["state"], 0) + 1
    return counts


def kill_triggerer(deployment: Deployment) -> None:
    """kill -9, and a new one; returns when the new one has said that it is alive."""
    airflow = deployment.airflow
    airflow.kill_group(airflow.processes.pop("triggerer"))
    killed_at = time.time()
    airflow.spawn("triggerer", "--skip-serve-logs")

    def beats() -> bool:
        triggerer = airflow.get("/api/v2/monitor/health")["triggerer"]
        beat = triggerer["latest_triggerer_heartbeat"]
        return bool(beat) and datetime.fromisoformat(beat).timestamp() > killed_at

    airflow.wait_for(beats, "the heartbeat of the new triggerer", 120)


class Steps:
    """Prints how long each step of the test has taken."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def done(self, what: str) -> None:
        """A step is done."""
        now = time.monotonic()
        print(f"{now - self._last:6.1f} s  {what}", flush=True)
        self._last = now


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keeps every core busy: there the end of an instance is most likely to overtake its log."""
    burning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def test_a_crowd_survives_kill_9_of_the_triggerer_three_times_in_a_row(
    deployment: Deployment,
) -> None:
    airflow, steps = deployment.airflow, Steps()
    folder = deployment.scratch / "crowd"
    folder.mkdir()
    for dag_id in ("crowd", "others"):
        airflow.wait_for_dag(dag_id)
    waiting = [airflow.trigger("others", tag="crowd", go=f"go-{n}") for n in range(OTHERS)]
    run_id = airflow.trigger("crowd", tag="crowd", trials=TRIALS, parallelism=PARALLELISM)
    airflow.wait_for(
        lambda: count_states(deployment, "crowd", run_id) == {"deferred": TRIALS}, "trials", 300
    )
    steps.done(f"{TRIALS} instances are deferred, beside {OTHERS} other runs")
    for kill in range(KILLS):
        kill_triggerer(deployment)
        steps.done(f"kill -9 number {kill + 1}: from it to the new triggerer's heartbeat")
        # What a sensor of another DAG waits for is there now, while the sweep goes on.
        (folder / f"go-{kill}").touch()
        assert airflow.wait_for_run("others", waiting[kill], 240) == "success"
        steps.done("from its file to the end of another DAG's run of sensors")
        assert airflow.get(airflow.run_path("crowd", run_id))["state"] == "running"
    for n in range(KILLS, OTHERS):
        (folder / f"go-{n}").touch()
    (folder / "end").touch()
    with busy_cores():
        for other in waiting:
            assert airflow.wait_for_run("others", other, 240) == "success"
        steps.done("all other DAGs' runs, on busy cores")
        assert airflow.wait_for_run("crowd", run_id, 900) == "success"
        steps.done("the sweep's end")
    failed = TRIALS // 7
    assert count_states(deployment, "crowd", run_id) == {
        "failed": failed,
        "success": TRIALS - failed,
    }
    lost = [
        f"{instance['map_index']}: {text[-1] if text else ''}"
        for instance in airflow.instances("crowd", run_id, TRIALS_TASK)
        if not ends_with_verdict(
            text := own_lines(airflow.log("crowd", run_id, TRIALS_TASK, instance["map_index"], 1)),
            instance["map_index"],
        )
    ]
    steps.done("all logs read")
    assert not lost


def own_lines(log: str) -> list[str]:
    """A log without the lines that Airflow writes around a trigger's own."""
    airflows = ("Trigger fired event", "trigger completed", "::endgroup::")
    return [line for line in log.splitlines() if line and not line.startswith(airflows)]


def ends_with_verdict(lines: list[str], number: int) -> bool:
    state = "failed" if (number + 1) % 7 == 0 else "complete"
    return bool(lines) and lines[-1].startswith(f"trial {number}: {state}")
