"""What `collect` does first for `runtime="executor"`: it finds out how the workers have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podmap.airflow.executor.lost import close_open
from podmap.airflow.executor.operator import READY
from podmap.airflow.executor.shapes import TASK

if TYPE_CHECKING:
    from airflow.sdk import Context

    from podmap.airflow.operators import CollectOperator
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest

_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_NOT_READY = (
    "{}: no trial was started. Its log says why; without a log its pod could not start: the image "
    "must have Airflow and podmap, of the scheduler's versions, and the DAG file must be in it or "
    "reach it; see `kubectl get pods` and the scheduler's log"
)


def end_what_is_left(
    task: CollectOperator, context: Context, ledger: Ledger, manifest: Manifest
) -> list[str]:
    """Closes records whose workers are gone, once Airflow will not try their tasks again.

    Returns:
        Why there are trials that were never started; empty if Airflow does not know it.
    """
    ti, group = context["ti"], task.task_id.rpartition(".")[0]
    prefix = f"{group}." if group else ""
    mapped = [f"{prefix}{name}" for name in manifest.tasks or ()]
    ready = [f"{prefix}{READY}{name.removeprefix(TASK)}" for name in manifest.tasks or ()]
    answer = ti.get_task_states(dag_id=ti.dag_id, task_ids=mapped + ready, run_ids=[ti.run_id])
    states = answer.get(ti.run_id, {})
    if all(state in _ENDED for name, state in states.items() if name not in ready):
        left = close_open(ledger, manifest)
        if left:
            task.log.warning("%d trials ended with their workers, without a word of how", left)
    return [_NOT_READY.format(name) for name in ready if states.get(name) == "failed"]
