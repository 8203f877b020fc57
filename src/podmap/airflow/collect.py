"""What the `collect` and `cleanup` tasks do."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from podmap.airflow.connections import run_target
from podmap.backends.connect import Target, connect
from podmap.engine.planned import PlannedRun
from podmap.engine.teardown import remove_attempts
from podmap.engine.verdict import verdict
from podmap.ledger.ledger import Ledger
from podmap.records import TrialState
from podmap.report.publish import publish

if TYPE_CHECKING:
    from airflow.sdk import Context

    from podmap.airflow.operators import CleanupOperator, CollectOperator

REASONS = 3


def collect_run(task: CollectOperator, context: Context) -> dict[str, Any]:
    """Publishes the run's results, and each part of the summary as an XCom of its own.

    Raises:
        AirflowFailException: More trials failed than were allowed, or none has a result.
    """
    from airflow.sdk.exceptions import AirflowFailException

    run = _planned_run(task, context)
    if run is None:
        raise AirflowFailException(
            f"nothing was run: {task.plan_task_id} has left no run, and its log says why"
        )
    planned = PlannedRun.open(run["uri"])
    ledger, manifest = planned.ledger, planned.manifest
    told: list[str] = []
    if manifest.tasks is not None:
        from podmap.airflow.executor.collect import end_what_is_left

        told = end_what_is_left(task, context, ledger, manifest)
    elif run.get("runtime") == "operator":
        from podmap.airflow.operator import collect

        collect.end_what_is_left(task, context, run)
    summary = publish(ledger, manifest)
    task.log.info("%s", summary["counts"])
    task.log.info("best: %s", summary["best"])
    task.log.info("leaderboard: %s", summary["leaderboard_uri"])
    for name, value in summary.items():
        context["ti"].xcom_push(key=name, value=value)
    for outlet in task.outlets:
        context["outlet_events"][outlet].extra = {
            "run_uri": summary["run_uri"],
            "best": summary["best"],
        }
    wrong = verdict(
        summary["counts"], planned.sweep, planned=manifest.count, forgive_by_default=True
    )
    if wrong:
        raise AirflowFailException("\n".join([wrong, *told, *_reasons(ledger)]))
    return summary


def _reasons(ledger: Ledger) -> list[str]:
    """The commonest reasons of failed and cancelled trials, with their counts."""
    reasons = Counter(
        record.reason
        for record in ledger.records()
        if record.state in (TrialState.FAILED, TrialState.CANCELLED)
    )
    return [f"{count} x {reason}" for reason, count in reasons.most_common(REASONS)]


def clean_run(task: CleanupOperator, context: Context) -> None:
    """Ends and removes the attempts that are left of a run."""
    run = _planned_run(task, context)
    if run is not None:
        left = asyncio.run(_clean(Ledger.open(run["uri"]), run_target(run)))
        task.log.info("%d attempts were left and are removed", left)


def _planned_run(
    task: CollectOperator | CleanupOperator, context: Context
) -> dict[str, str] | None:
    run: dict[str, str] | None = context["ti"].xcom_pull(
        task_ids=task.plan_task_id, key="run", map_indexes=-1
    )
    return run


async def _clean(ledger: Ledger, target: Target) -> int:
    run_id = ledger.read_manifest().run_id
    backend = connect(target)
    try:
        return len(await remove_attempts(backend, run_id, reason="the run is over"))
    finally:
        await backend.close()
