"""What `collect` does first for `runtime="operator"`: it ends what its tasks have left behind."""

from __future__ import annotations

from podmap.airflow.operator.trial import PodTrial
from podmap.backends.base import Backend, Observation
from podmap.backends.connect import Target, connect
from podmap.engine.attempt import TAIL_BYTES, EndedAttempt, Messages
from podmap.engine.planned import PlannedRun
from podmap.records import Category, Diagnosis, Record

KILLED = "its task was ended in Airflow"
GRACE_S = 5.0


async def cancel_left(run: PlannedRun, left: list[Record], target: Target) -> None:
    """Ends the pods of these trials, and records the trials as cancelled.

    Args:
        run: The run.
        left: The records, none of them terminal.
        target: Where the pods are.

    Raises:
        UnreachableError: The store or the cluster could not be asked.
    """
    backend = connect(target)
    try:
        pods = {seen.name: seen for seen in await backend.list(run.manifest.run_id)}
        for record in left:
            trial = PodTrial(run, record.number, ti_id="", epoch=record.epoch)
            for seen in pods.values():
                if seen.number == record.number and seen.epoch == record.epoch:
                    await _end(backend, trial, seen)
            trial.cancel(KILLED)
    finally:
        await backend.close()


async def _end(backend: Backend, trial: PodTrial, seen: Observation) -> None:
    reason = Diagnosis(Category.CANCELLED, KILLED)
    await backend.kill(seen.name, reason=reason, grace_s=GRACE_S)
    ended = await backend.wait(seen.name)
    tail = await backend.tail(seen.name, max_bytes=TAIL_BYTES)
    trial.settle(EndedAttempt(ended, Messages(), tail), last_try=True)
    await backend.delete(seen.name)
