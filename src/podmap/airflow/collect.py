"""What the `collect` and `cleanup` tasks do: results of a run that is over, and what it left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from podmap import uris
from podmap.airflow import settings
from podmap.airflow.callbacks import TrialCallbacks, call_for_trials
from podmap.airflow.claims import REFUSED, claim_of, own_run_id, owner_of
from podmap.airflow.connections import planned_target
from podmap.airflow.group_states import GroupStates
from podmap.airflow.runtimes import find_runtime
from podmap.backends.connect import Target, connected
from podmap.engine.planned import PlannedRun
from podmap.engine.tally import verdict
from podmap.engine.teardown import Teardown, remove_attempts
from podmap.errors import OwnerError, PodmapError, UnreachableError
from podmap.ledger.ledger import Ledger
from podmap.records import TrialState
from podmap.report.digest import digest, failure_lines
from podmap.report.leaderboard import Leaderboard
from podmap.report.publish import publish_leaderboard, read_leaderboard

WAIT_S = 10
"""Between two looks of `collect` at trials that were cleared without what follows them."""


def collect_run(
    context: Any,
    plan_task_id: str,
    *,
    callbacks: TrialCallbacks,
    outlets: Sequence[Any],
    log: Any,
) -> dict[str, Any]:
    """Publishes the run's results, and each part of the summary as an XCom of its own.

    Args:
        context: Airflow's, of the task `collect`.
        plan_task_id: The task `plan` of its group.
        callbacks: What is called for instances of trials.
        outlets: Assets that are updated.
        log: Of the task.

    Raises:
        AirflowFailException: More trials failed than were allowed, none has a result, or the run
            is not the one that was planned.
        AirflowSkipException: The sweep was skipped.
        AirflowRescheduleException: Trials still run.
    """
    from airflow.sdk.exceptions import AirflowFailException

    ti = context["ti"]
    run = _run_to_collect(context, plan_task_id)
    try:
        planned = PlannedRun.open(claim_of(run, owner_of(ti)))
    except REFUSED as error:
        raise AirflowFailException(str(error)) from None
    _wait_for_trials(GroupStates.read(ti, plan_task_id), log=log)

    def states(names: Sequence[str]) -> dict[str, str | None]:
        return _task_states(ti, plan_task_id, names)

    runtime = find_runtime(planned.manifest.runtime)
    not_started = runtime.before_collect(run, planned, states=states, log=log)
    board, summary = _publish(planned, log)
    _hand_on(summary, context, outlets)
    size = planned.manifest.trials_per_task
    call_for_trials(callbacks, context, planned.ledger, size=size, log=log)
    wrong = verdict(
        summary["counts"],
        planned.sweep,
        planned=planned.plan.count,
        forgive_by_default=True,
        reached=summary["reached"],
    )
    if wrong:
        raise AirflowFailException("\n".join([wrong, *not_started, *failure_lines(board)]))
    return summary


def _hand_on(summary: Mapping[str, Any], context: Any, outlets: Sequence[Any]) -> None:
    """Leaves the summary's parts as XComs, and the best trial with the assets' events."""
    for name, value in summary.items():
        context["ti"].xcom_push(key=name, value=value)
    for outlet in outlets:
        context["outlet_events"][outlet].extra = {
            "run_uri": summary["run_uri"],
            "best": summary["best"],
        }


def _publish(planned: PlannedRun, log: Any) -> tuple[Leaderboard, dict[str, Any]]:
    board = read_leaderboard(planned.ledger, planned.manifest)
    summary = publish_leaderboard(planned.ledger, planned.manifest, board)
    for line in summary["left_out"]:
        log.warning("left out: %s", line)
    log.info("%s", "\n".join(digest(board, summary)))
    return board, summary


def _run_to_collect(context: Any, plan_task_id: str) -> Mapping[str, str]:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    run = _planned_run(context, plan_task_id)
    if run is not None:
        return run
    if GroupStates.read(context["ti"], plan_task_id).plan == "skipped":
        raise AirflowSkipException("nothing was planned: plan was skipped")
    raise AirflowFailException(
        f"nothing was run: {plan_task_id} has left no run, and its log says why"
    )


def _wait_for_trials(group: GroupStates, *, log: Any) -> None:
    """Comes again later where trials were cleared without what follows them."""
    from airflow.sdk.exceptions import AirflowRescheduleException

    if group.unfinished_trials:
        log.info("%d trials still run, after a clear: waiting", group.unfinished_trials)
        raise AirflowRescheduleException(  # type: ignore[no-untyped-call]  # Airflow's own
            datetime.now(timezone.utc) + timedelta(seconds=WAIT_S)
        )


def clean_run(context: Any, plan_task_id: str, *, log: Any) -> None:
    """Ends and removes the attempts that are left of a run.

    Whose they are is known by the names of the task, not by what the store holds.

    Raises:
        AirflowFailException: The run is another's, or the DAG run was marked failed: Airflow ends a
            DAG run by its leaves, and this is the only one that still runs then.
        AirflowSkipException: Nothing was planned, since the sweep was skipped.
        UnreachableError: What trials have left could not be settled; the attempts are removed.
        BackendError: Some could not be removed, which it names, or not be listed.
    """
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    ti = context["ti"]
    run = _planned_run(context, plan_task_id)
    if run is not None:
        try:
            run_id = own_run_id(run, owner_of(ti))
        except OwnerError as error:
            raise AirflowFailException(str(error)) from None
        not_reached = _settle_left(run, ti, plan_task_id, log=log)
        done = asyncio.run(_clean(run_id, planned_target(run)))
        log.info("%d attempts were left and are removed", done.removed)
        done.check()
        if not_reached is not None:
            raise not_reached  # the next try may reach it
    states = GroupStates.read(ti, plan_task_id)
    before = context["task"].dag.get_task(plan_task_id).get_flat_relative_ids(upstream=True)
    if states.marked_failed(before=before, failed_instances=lambda: _failed_instances(run)):
        raise AirflowFailException(
            "the DAG run was marked failed; nothing of the sweep is left, and this task fails so "
            "that the DAG run does"
        )
    if states.plan == "skipped":
        raise AirflowSkipException("nothing was planned: plan was skipped")


def _settle_left(
    run: Mapping[str, str], ti: Any, plan_task_id: str, *, log: Any
) -> UnreachableError | None:
    """Settles what trials have left, where `collect` has not; what could not be asked."""
    if GroupStates.read(ti, plan_task_id).collected:
        return None
    try:
        planned = PlannedRun.open(claim_of(run, owner_of(ti)))
        find_runtime(planned.manifest.runtime).before_collect(
            run, planned, states=lambda names: _task_states(ti, plan_task_id, names), log=log
        )
    except UnreachableError as error:
        return error
    except PodmapError as error:  # a run that is not understood is cleaned up all the same
        log.warning("the trials that are left are not settled: %s", error)
    return None


def _failed_instances(run: Mapping[str, str] | None) -> int:
    """How many mapped instances have failed by their trials' own failure."""
    if run is None:
        return 0
    ledger = Ledger.open(run["uri"])
    size = ledger.read_manifest().trials_per_task
    records = ledger.board().records()
    failed = (record for record in records if record.state is TrialState.FAILED)
    return len({record.number // size for record in failed})


def _planned_run(context: Any, plan_task_id: str) -> Mapping[str, str] | None:
    uris.use_policy(settings.uri_policy)
    run: Mapping[str, str] | None = context["ti"].xcom_pull(
        task_ids=plan_task_id, key="run", map_indexes=-1
    )
    return run


def _task_states(ti: Any, plan_task_id: str, names: Sequence[str]) -> dict[str, str | None]:
    """The states of tasks of a group, by their names in it."""
    group_id = plan_task_id.rpartition(".")[0]
    prefix = f"{group_id}." if group_id else ""
    asked = [f"{prefix}{name}" for name in names]
    answer = ti.get_task_states(dag_id=ti.dag_id, task_ids=asked, run_ids=[ti.run_id])
    states = answer.get(ti.run_id, {})
    return {name.removeprefix(prefix): state for name, state in states.items()}


async def _clean(run_id: str, target: Target) -> Teardown:
    async with connected(target) as backend:
        return await remove_attempts(backend, run_id, reason="the run is over")
