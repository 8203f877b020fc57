"""One trial in a worker of Airflow's executor, and what is written of a worker that was lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from podmap import uris
from podmap.airflow import settings
from podmap.airflow.executor.backend import IN_POD, WorkerBackend, function_env
from podmap.airflow.executor.functions import PROGRAM, function_place
from podmap.airflow.runtimes import LEFT
from podmap.airflow.trial_log import TrialLog, end_task
from podmap.backends.process.spawn import inherited_env
from podmap.clock import iso, utc_now
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun
from podmap.engine.result import Outcome
from podmap.engine.session import RunSession, open_session
from podmap.engine.settlement import end_record, reason_of, settle_attempt
from podmap.engine.trial import run_trial
from podmap.engine.trial_ledger import TrialLedger
from podmap.errors import AttemptExistsError, PodmapError, UsageError
from podmap.ledger.claim import RunClaim
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.run_state import Decisions, RunState
from podmap.names import attempt_name, digest, epoch_time
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

IO_THREADS = 2
PATIENCE_S = 600.0
"""For so long a worker asks a store that does not answer; then Airflow retries the task."""
STOPPED = "ended with its task: killed in Airflow, or its worker was told to stop"
LOST = Diagnosis(
    Category.NODE_LOST,
    "the worker ended before its trial did, and left no word of why",
    resolution="If it was a pod: `kubectl describe` it if it is still there, or read the "
    "scheduler's log. It may have been evicted, preempted, out of memory (Airflow's own processes "
    "count too), or its node was lost.",
)
_ASKED_ANEW = Diagnosis(Category.CANCELLED, "its trial was asked for anew")
_TAIL_CHARS = 2000


class WorkerTrial:
    """One trial in the worker of its task, which ends as the trial does."""

    def __init__(
        self,
        claim: RunClaim,
        number: int,
        epoch: str,
        *,
        asked: str = "",
        spec_folder: Path,
        function: Callable[..., Any] | None,
        log: Any,
    ) -> None:
        """Nothing is read yet.

        Args:
            claim: The run, as the task knows it.
            number: The trial.
            epoch: Which asking the task is.
            asked: UTC ISO 8601 of this asking; empty where it is not known.
            spec_folder: The folder of the spec, as this worker has found it.
            function: The Python function that the trial is; None for the spec's command.
            log: Of the task.
        """
        self._claim = claim
        self._number = number
        self._epoch = epoch
        self._asked = asked
        self._spec_folder = spec_folder
        self._function = function
        self._task_log = log
        self._log = TrialLog(log, number)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: RunSession | None = None
        self._stopped = False

    def run_task(self) -> None:
        """Runs the trial, and ends the task.

        Raises:
            UnreachableError: The store could not be asked for a long time.
            AirflowException: The trial was not COMPLETE: one of the classes of `end_task`.
        """
        end_task(self._log, self.run_to_end(), epoch=self._epoch)

    def run_to_end(self) -> Record:
        """The trial's record after its end; not terminal if the trial was stopped meanwhile.

        Raises:
            UnreachableError: The store could not be asked for a long time.
        """
        return asyncio.run(self._run_to_end())

    def stop(self) -> None:
        """Ends what runs and leaves the trial open. Safe to call in a signal handler."""
        self._stopped = True
        if self._loop is not None and self._session is not None:
            self._loop.call_soon_threadsafe(self._session.slots.interrupt, STOPPED)

    async def _run_to_end(self) -> Record:
        self._loop = asyncio.get_running_loop()
        uris.use_policy(settings.pod_uri_policy)
        planned = PlannedRun.open(self._claim)
        manifest = replace(planned.manifest, folder=self._work_folder(planned))
        planned = _without_ladder(replace(planned, manifest=manifest))
        if self._asked:
            forgive_failures(planned, self._number, self._epoch, asked=self._asked)
        backend = WorkerBackend(function=self._function)
        with ThreadPoolExecutor(IO_THREADS, thread_name_prefix="podmap-io") as threads:
            session = self._session = await open_session(planned, backend, StoreCalls(threads))
            try:
                if self._stopped:
                    session.slots.interrupt(STOPPED)
                self._log.show_params(await session.trial(self._number))
                lost = await write_lost_attempt(session, self._number, self._epoch)
                if lost is not None:
                    self._task_log.warning("attempt %d is lost: %s", lost.number, LOST.summary)
                return await run_trial(
                    session,
                    self._number,
                    self._epoch,
                    on_line=self._log.show_line,
                    patience_s=PATIENCE_S,
                )
            finally:
                await session.close()
                await backend.close()

    def _work_folder(self, planned: PlannedRun) -> str:
        """Where the trial runs: as in a pod of its own, or as a local process.

        In a pod whose image the spec chose, the image's working directory, where its code is; else
        the folder of the spec.
        """
        template = planned.template(planned.trial(self._number))
        has_image = bool(template.image) or template.pod is not None
        return os.getcwd() if os.environ.get(IN_POD) and has_image else str(self._spec_folder)


def asked_at(ti: Any) -> str:
    """When a task instance was asked for, UTC ISO 8601, as far as its id tells; else empty."""
    made = epoch_time(str(ti.id))
    return iso(made) if made else ""


def epoch_of(ti: Any) -> str:
    """The epoch of a task instance: the same in all tries that Airflow makes by itself.

    `max_tries` grows when a task that has ended is cleared and stays as it is when it is retried,
    while the instance's id changes in both.
    """
    return digest(["executor", ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.max_tries])


def forgive_failures(planned: PlannedRun, number: int, epoch: str, *, asked: str) -> None:
    """Has failures from before a trial was cleared count no more: whoever clears it knows of them.

    Args:
        planned: The run.
        number: The trial.
        epoch: Which asking the task is.
        asked: UTC ISO 8601 of it.
    """
    at, record = planned.manifest.planned, planned.ledger.read_record(number)
    if record is None or record.epoch == epoch:
        return
    if record.state not in (TrialState.FAILED, TrialState.CANCELLED):
        return

    def change(state: RunState) -> Mapping[str, Any]:
        there = state.decided if state.decided.planned == at else Decisions(at)
        return {"decided": replace(there, since=asked)} if there.since < asked else {}

    planned.ledger.change_state(change)


def _without_ladder(planned: PlannedRun) -> PlannedRun:
    """The run, without retries with more memory: a worker's pod stays as it was made."""
    retries = planned.sweep.retries
    oom = retries.oom.model_copy(update={"times": 0})
    sweep = planned.sweep.model_copy(update={"retries": retries.model_copy(update={"oom": oom})})
    return replace(planned, sweep=sweep)


async def write_lost_attempt(session: RunSession, number: int, epoch: str) -> Attempt | None:
    """Writes down the attempt that an earlier try has begun, if it is gone without an end.

    Attempts that still run are left to be adopted, and those that ended to be settled.

    Returns:
        The attempt that counts as lost; None if there is none.
    """
    ledger, manifest = session.planned.ledger, session.planned.manifest
    found = await session.backend.list(manifest.run_id, number=number)
    record = await session.call(ledger.read_record, number)
    if record is None or record.state is not TrialState.RUNNING:
        return None
    if any(seen.epoch == record.epoch for seen in found):
        return None
    if record.epoch != epoch:
        attempt = _lost_attempt(ledger, manifest, record, _ASKED_ANEW)
        with contextlib.suppress(AttemptExistsError):
            await session.call(ledger.write_attempt, number, attempt)
        return None
    result_path = session.backend.result_path
    rules = TrialLedger(session.planned, number, epoch, result_path=result_path).rules
    attempt = _lost_attempt(ledger, manifest, record, LOST)
    settlement = settle_attempt(
        record,
        attempt,
        Outcome(TrialState.FAILED, diagnosis=LOST),
        tail=b"",
        rules=rules,
        interrupted=False,
    )
    await session.call(ledger.write_end, attempt, settlement.record)
    return attempt


def close_open_records(ledger: Ledger, manifest: Manifest) -> int:
    """Ends the records of trials whose tasks have ended without them; returns how many.

    Call it when no task of the run will be tried again: then a record that is still open was left
    by a worker that is gone.
    """
    left = [record for record in ledger.board().records() if not record.state.terminal]
    for record in left:
        last = record.attempts[-1].diagnosis if record.attempts else None
        if record.state is TrialState.RUNNING:
            attempt = _lost_attempt(ledger, manifest, record, LOST)
            record = replace(record, attempts=(*record.attempts, attempt))
            ended = end_record(record, TrialState.FAILED, reason_of(LOST))
            ledger.write_end(attempt, ended)
        elif last is not None and last.category is not Category.CANCELLED:
            ledger.write_record(end_record(record, TrialState.FAILED, reason_of(last)))
        else:
            ledger.write_record(end_record(record, TrialState.CANCELLED, LEFT))
    return len(left)


def _lost_attempt(
    ledger: Ledger, manifest: Manifest, record: Record, diagnosis: Diagnosis
) -> Attempt:
    number = ledger.next_attempt_number(record.number, kept=record.attempts)
    return Attempt(
        number=number,
        pod=attempt_name(manifest.sweep, manifest.run_id, record.number, number),
        started=None if record.attempts else record.started,
        finished=iso(utc_now()),
        diagnosis=diagnosis,
    )


def check_worker(
    claim: RunClaim, trials_task_id: str, function: Callable[..., Any] | None
) -> list[int]:
    """Sees to it that trials can run in such a worker; returns those of one task.

    Raises:
        UsageError: The function cannot be imported here.
        StoreError: The ledger cannot be read here.
        PodmapError: The task is not of the run.
    """
    if function is not None:
        check_function(function)
    uris.use_policy(settings.pod_uri_policy)
    manifest = Ledger.open(claim.uri).read_manifest(claim)
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
        [sys.executable, "-m", PROGRAM, reference, "--check"],
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
