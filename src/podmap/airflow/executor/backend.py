"""Local processes, as the worker of an executor runs them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from podmap.airflow.executor.functions import function_place
from podmap.backends.base import Confirm, Observation
from podmap.backends.launch import Launch
from podmap.backends.process import ProcessBackend
from podmap.records import Category, Diagnosis

IN_POD = "AIRFLOW_IS_K8S_EXECUTOR_POD"
"""Airflow sets this variable in the pods of the KubernetesExecutor."""
POD_GRACE_S = 20.0
"""What a trial has to save its state when its pod is told to stop, which has 30 s."""
WORKER_GRACE_S = 3.0
"""The same outside a pod: Airflow kills a task 5 s after it has asked it to end."""
_SIGKILL_CODE = 137
_COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)


class WorkerBackend(ProcessBackend):
    """Runs attempts as children of a worker, in its pod or on its machine.

    On a machine all workers share the folder of `ProcessBackend`, so that the run's limit holds
    over all of them and an attempt outlives its worker. A pod has one trial, and ends with it.

    Args:
        function: The Python function that trials are; None for the spec's command.
    """

    def __init__(self, *, function: Callable[..., Any] | None = None) -> None:
        self._in_pod = bool(os.environ.get(IN_POD))
        folder = tempfile.mkdtemp(prefix="podmap-") if self._in_pod else None
        super().__init__(folder, divides_gpus=not self._in_pod)
        self._place = function_place(function) if function is not None else None
        self._killed_before = killed_for_memory()

    async def create(
        self,
        launch: Launch,
        *,
        limit: int | None = None,
        confirm: Confirm | None = None,
        gated: bool = False,
    ) -> Observation:
        """As `ProcessBackend.create`, with the worker's own Python for functions."""
        return await super().create(self._of_worker(launch), limit=limit, confirm=confirm)

    async def wait(self, name: str) -> Observation:
        """As `ProcessBackend.wait`; says so if the kernel killed the trial for memory."""
        seen = await super().wait(name)
        if self._in_pod and seen.exit_code == _SIGKILL_CODE and seen.diagnosis is None:
            killed = killed_for_memory()
            if killed is not None and killed > (self._killed_before or 0):
                return replace(seen, diagnosis=_OUT_OF_MEMORY)
        return seen

    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        """As `ProcessBackend.kill`, within the time that the worker has itself."""
        grace_s = POD_GRACE_S if self._in_pod else min(grace_s, WORKER_GRACE_S)
        await super().kill(name, reason=reason, grace_s=grace_s)

    def _of_worker(self, launch: Launch) -> Launch:
        given = [*launch.config_env, *launch.field_env] if self._in_pod else []
        if given:
            # The worker's own pod has them: see `worker_override`.
            own = {name: os.environ[name] for name in given if name in os.environ}
            launch = replace(launch, env={**launch.env, **own}, config_env={}, field_env={})
        if self._place is None:
            return launch
        # The effective spec names the function; how it is called is each worker's own.
        module, shard = launch.argv[1:3], launch.argv[4:]
        argv = (sys.executable, *module, self._place.reference, *shard)
        at_slot = launch.at_slot
        return replace(
            launch,
            argv=argv,
            env={**launch.env, **function_env()},
            at_slot=None if at_slot is None else lambda slot: self._of_worker(at_slot(slot)),
        )


def function_env() -> dict[str, str]:
    """What a process needs beyond a trial's environment to import what this one can.

    Whatever imports Airflow, as a DAG file does, makes an engine for its database, of which a
    trial has nothing to know: so it is told of one in memory.
    """
    env = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",
    }
    if "AIRFLOW_HOME" in os.environ:  # or Airflow would make another
        env["AIRFLOW_HOME"] = os.environ["AIRFLOW_HOME"]
    return env


_OUT_OF_MEMORY = Diagnosis(
    Category.OOM,
    "the kernel killed the trial: its pod was out of memory",
    resolution="Raise trial.resources.memory; Airflow's own processes in the pod need about "
    "400 MiB of it. With runtime='executor' a pod cannot be given more for its next attempt.",
)


def killed_for_memory() -> int | None:
    """How often the kernel has killed a process of this container for memory; None if unknown."""
    for path in _COUNTERS:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.strip().isdigit():
                return int(count)
    return None
