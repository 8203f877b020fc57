"""What the tasks of `runtime="executor"` do in their worker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podmap.airflow.executor.backend import WorkerBackend, function_env
from podmap.airflow.executor.functions import function_place
from podmap.airflow.executor.lost import note_lost
from podmap.airflow.executor.operator import plan_of
from podmap.airflow.executor.pods import IN_POD
from podmap.backends.process.spawn import inherited_env
from podmap.engine.planned import PlannedRun
from podmap.engine.session import RunSession, open_session
from podmap.engine.trial import settle
from podmap.errors import PodmapError, UsageError
from podmap.ledger.ledger import Ledger
from podmap.names import digest
from podmap.records import Record, TrialState

if TYPE_CHECKING:
    from airflow.sdk import Context

    from podmap.airflow.executor.operator import TrialTask

IO_THREADS = 2
PATIENCE_S = 600.0
"""For so long a worker asks a store that does not answer; then Airflow retries the task."""
STOPPED = "ended with its task: killed in Airflow, or its worker was told to stop"
_TAIL_CHARS = 2000


class TrialRun:
    """One trial in the worker of its task.

    Args:
        task: The task, rendered.
        context: Airflow's.
        function: The Python function that the trial is; None for the spec's command.
    """

    def __init__(
        self, task: TrialTask, context: Context, *, function: Callable[..., Any] | None
    ) -> None:
        self._task = task
        self._number = int(task.number)
        self._epoch = epoch_of(context["ti"])
        self._function = function
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: RunSession | None = None
        self._stopped = False

    def settle(self) -> Record:
        """The trial's record; not terminal if the trial was stopped meanwhile.

        Raises:
            UnreachableError: The store could not be asked for a long time.
        """
        return asyncio.run(self._settle())

    def stop(self) -> None:
        """Ends what runs and leaves the trial open. Safe to call in a signal handler."""
        self._stopped = True
        if self._loop is not None and self._session is not None:
            self._loop.call_soon_threadsafe(self._session.coordinator.interrupt, STOPPED)

    async def _settle(self) -> Record:
        self._loop = asyncio.get_running_loop()
        planned = PlannedRun.open(self._task.run["uri"])
        folder = work_folder(planned, self._task)
        planned = _without_ladder(
            replace(planned, manifest=replace(planned.manifest, folder=folder))
        )
        backend = WorkerBackend(function=self._function)
        with ThreadPoolExecutor(IO_THREADS, thread_name_prefix="podmap-io") as io:
            session = self._session = await open_session(planned, backend, io)
            try:
                if self._stopped:
                    session.coordinator.interrupt(STOPPED)
                await self._begin(session)
                return await settle(
                    session,
                    self._number,
                    self._epoch,
                    on_line=lambda line: self._task.log.info("%s", line),
                    patience_s=PATIENCE_S,
                )
            finally:
                await session.close()
                await backend.close()

    async def _begin(self, session: RunSession) -> None:
        trial = session.planned.plan.trial(self._number)
        text = " ".join(f"{name}={value}" for name, value in trial.params.items())
        self._task.log.info(
            "trial %d: %s", self._number, f"{trial.shard.uri} {text}" if trial.shard else text
        )
        lost = await note_lost(session, self._number, self._epoch)
        if lost is not None:
            self._task.log.warning("%s", lost)


def epoch_of(ti: Any) -> str:
    """The epoch of a task instance: the same in all tries that Airflow makes by itself.

    `max_tries` grows when a task that has ended is cleared and stays as it is when it is retried,
    while the instance's id changes in both.
    """
    return digest(["executor", ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.max_tries])


def end_task(record: Record, log: Any) -> None:
    """Ends the task as its trial ended.

    Raises:
        AirflowFailException: The trial failed.
        AirflowSkipException: The run was stopped before the trial ran.
        AirflowException: The trial was ended with its task.
    """
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

    if record.state in (TrialState.COMPLETE, TrialState.PRUNED):
        log.info(
            "trial %d: %s %s %s",
            record.number,
            record.state.value,
            dict(record.metrics),
            record.reason,
        )
    elif record.state is TrialState.FAILED:
        diagnosis = record.attempts[-1].diagnosis if record.attempts else None
        more = (diagnosis.detail, diagnosis.resolution) if diagnosis else ()
        raise AirflowFailException(
            "\n".join([f"trial {record.number}: FAILED: {record.reason}", *filter(None, more)])
        )
    elif record.state is TrialState.CANCELLED:
        raise AirflowSkipException(f"trial {record.number}: {record.reason}")
    else:
        raise AirflowException(f"trial {record.number}: {record.reason or STOPPED}")


def work_folder(planned: PlannedRun, task: TrialTask) -> str:
    """Where the trial runs: as in a pod of its own, or as a local process.

    In a pod whose image the spec chose, the image's working directory, where its code is; else the
    folder of the spec, found from this worker's DAG file.
    """
    if os.environ.get(IN_POD) and _has_image(planned, int(task.number)):
        return os.getcwd()
    plan = plan_of(task)
    folder = Path(task.dag.fileloc).resolve().parent
    if isinstance(plan.spec, str):
        folder = (folder / plan.spec).parent
    return str(folder)


def _has_image(planned: PlannedRun, number: int) -> bool:
    template = planned.template(planned.plan.trial(number))
    return bool(template.image) or template.pod is not None


def _without_ladder(planned: PlannedRun) -> PlannedRun:
    """The run, without retries with more memory: a worker's pod stays as it was made."""
    retries = planned.sweep.retries
    oom = retries.oom.model_copy(update={"times": 0})
    sweep = planned.sweep.model_copy(update={"retries": retries.model_copy(update={"oom": oom})})
    return replace(planned, sweep=sweep)


def check_worker(
    run: dict[str, str], trials_task_id: str, function: Callable[..., Any] | None
) -> list[int]:
    """Sees to it that trials can run in such a worker; returns those of one task.

    Raises:
        UsageError: The function cannot be imported here.
        StoreError: The ledger cannot be read here.
        PodmapError: The task is not of the run.
    """
    if function is not None:
        check_function(function)
    manifest = Ledger.open(run["uri"]).read_manifest()
    numbers = (manifest.tasks or {}).get(trials_task_id)
    if numbers is None:
        raise PodmapError(
            f"the run was planned without the task {trials_task_id}: the spec has changed since; "
            "clear plan, with all that follows it"
        )
    return list(numbers)


def check_function(function: Callable[..., Any]) -> None:
    """Has another process find the function, as a trial will.

    Raises:
        UsageError: It does not.
    """
    reference = function_place(function).reference
    done = subprocess.run(
        [sys.executable, "-m", "podmap.airflow.executor.program", reference, "--check"],
        env={**inherited_env(os.environ), **function_env()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UsageError(
            f"python_callable: {reference} cannot be imported by a process of its own on this "
            f"worker: {done.stderr.strip()[-_TAIL_CHARS:]}"
        )
