"""What `collect` does first for `runtime="operator"`: it ends what its tasks have left behind.

A deferred task that is marked failed before a triggerer has its trigger is told to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from podmap.airflow.connections import run_target
from podmap.airflow.operator.run import open_run
from podmap.airflow.operator.trial import PodTrial
from podmap.backends.base import Backend, Observation
from podmap.backends.connect import Target, connect
from podmap.engine.attempt import TAIL_BYTES, Ended
from podmap.engine.messages import Messages
from podmap.engine.planned import PlannedRun
from podmap.records import Category, Diagnosis, Record

if TYPE_CHECKING:
    from airflow.sdk import Context

    from podmap.airflow.operators import CollectOperator

KILLED = "its task was ended in Airflow"
GRACE_S = 5.0
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


def end_what_is_left(task: CollectOperator, context: Context, run: Mapping[str, str]) -> None:
    """Ends pods and records whose tasks have ended without them."""
    ti, group = context["ti"], task.task_id.rpartition(".")[0]
    mapped = f"{group}.trials" if group else "trials"
    answer = ti.get_task_states(dag_id=ti.dag_id, task_ids=[mapped], run_ids=[ti.run_id])
    if any(state not in _ENDED for state in answer.get(ti.run_id, {}).values()):
        return  # one was cleared meanwhile
    planned = open_run(run)
    left = [record for record in planned.ledger.records() if not record.state.terminal]
    if left:
        task.log.warning("%d trials were left by their tasks and are cancelled", len(left))
        asyncio.run(cancel_left(planned, left, run_target(run)))


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
    trial.settle(Ended(ended, Messages(), tail), last_try=True)
    await backend.delete(seen.name)
