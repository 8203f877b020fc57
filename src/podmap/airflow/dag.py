"""`sweep()`: a sweep as a task group of a DAG. All work is done when its tasks run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, XComArg

from podmap.airflow.output import SweepOutput
from podmap.airflow.runtimes import (
    Runtime,
    RuntimeName,
    SweepGroup,
    check_group,
    dag_folder,
    find_runtime,
    make_group,
    spec_of,
)
from podmap.airflow.tasks import CleanupOperator, CollectOperator, PlanOperator, WaypointOperator

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from airflow.sdk.definitions._internal.mixins import DependencyMixin

CLEANUP_RETRIES = 3
CLEANUP_RETRY_DELAY = timedelta(seconds=20)
"""What could not be asked a moment ago is no reason for a DAG run to fail."""


def sweep(
    spec: str | PathLike[str] | Mapping[str, Any],
    *,
    experiments: XComArg | Iterable[Mapping[str, Any]] | None = None,
    after: DependencyMixin | Sequence[DependencyMixin] = (),
    trigger_rule: str = "all_success",
    group_id: str = "sweep",
    overrides: Mapping[str, Any] | None = None,
    backend: str | None = None,
    conn_id: str | None = None,
    outlets: Sequence[Asset] = (),
    runtime: RuntimeName = "pods",
    task_args: Mapping[str, Any] | None = None,
    python_callable: Callable[..., Any] | None = None,
) -> SweepOutput:
    """A task group that runs a sweep: `plan`, then the mapped `trials`, then `collect`.

    Every trial is a mapped instance of `trials`. With the default runtime it starts and ends in
    the triggerer: no worker runs for it. The file is read when `plan` runs, not when the DAG is
    parsed, and is never a Jinja template.

    Args:
        spec: The sweep: a YAML file, relative to the DAG file, or the same as a dict.
        experiments: The trials' params, usually the output of an upstream task that returns a
            list of dicts, or a table of pandas; the spec then has no `search:`.
        after: Tasks that the sweep waits for, as in `task >> sweep(...)`.
        trigger_rule: What must have become of the tasks before the sweep; after branches that join
            again, "none_failed_min_one_success".
        group_id: The task group's id; a DAG may hold several sweeps.
        overrides: Key path to value, put over the spec; values may be Jinja templates, for
            example `{"trial.image": "{{ params.image }}"}`. One that is an expression alone keeps
            the type of its value; other text is read as `--set` reads it.
        backend: What runs the trials: "process", processes on the triggerer's machine, or
            "kubernetes", pods; None for `[podmap] backend`, which must be set then: `plan` fails
            where neither is.
        conn_id: An Airflow connection of type `kubernetes`; None for what the triggerer finds:
            KUBECONFIG, ~/.kube/config, or the account of its own pod.
        outlets: Assets that `collect` updates; the best trial is in the events' extra.
        runtime: What makes a trial a pod: "pods", podmap's trigger; "operator", podmap's subclass
            of the KubernetesPodOperator; "executor", Airflow's KubernetesExecutor. Spec, records
            and results are the same.
        task_args: More arguments of the mapped task, for example `priority_weight` or callbacks;
            with "operator" any of the KubernetesPodOperator's, too.
        python_callable: With "executor": a function that is called with a trial's params and
            returns its result, in place of the spec's command.

    Returns:
        What `collect` returns: a dict of `best, pareto, counts, leaderboard_uri, report_uri,
        run_uri`; each is also an XCom of its own, so that `run["best"]` can be passed on.

    Raises:
        UsageError: There is no such runtime, what it needs is not installed, `task_args` holds
            what podmap decides or what Airflow would not heed, or there can be no sweep here.
    """
    chosen = find_runtime(runtime)
    with make_group(group_id) as tasks:
        check_group(tasks)
        group = SweepGroup(
            runtime=runtime,
            spec=spec_of(spec, tasks.dag),
            folder=dag_folder(tasks.dag),
            experiments=_listed(experiments),
            overrides=dict(overrides or {}),
            backend=backend,
            conn_id=conn_id,
            task_args=dict(task_args or {}),
            python_callable=python_callable,
        )
        made = _add_tasks(group, chosen, outlets, trigger_rule)
    if after:
        made.set_upstream(after)
    return made


def _listed(experiments: Any) -> Any:
    """Experiments that the DAG file gives itself, as a list."""
    if experiments is None or isinstance(experiments, (XComArg, list, str)):
        return experiments
    from podmap.search.experiments import experiment_rows

    return list(experiment_rows(experiments))


def _add_tasks(
    group: SweepGroup, runtime: Runtime, outlets: Sequence[Asset], trigger_rule: str
) -> SweepOutput:
    """The tasks of a group: plan, then trials, then ended, then collect, then done and cleanup.

    `ended` and `done` are steps for the scheduler alone, which no worker runs. `ended` waits for
    the trials however they end, so that `collect` runs after success, and is skipped, or fails,
    with `plan`. `done` is as `collect` is: a leaf. So `cleanup`, a teardown that runs even in a DAG
    run that is marked failed, decides only then how that run ends.
    """
    group = runtime.parse(group)
    plan = PlanOperator(
        task_id="plan",
        spec=group.spec,
        experiments=group.experiments,
        overrides=group.overrides,
        backend=group.backend,
        conn_id=group.conn_id,
        runtime=group.runtime,
        parsed=group.parsed,
        trigger_rule=trigger_rule,
    )
    trials = runtime.make_trials(group, plan)
    ended = WaypointOperator(task_id="ended", trigger_rule="all_done")
    collect = CollectOperator(
        task_id="collect",
        plan_task_id=plan.task_id,
        trial_callbacks=runtime.take_callbacks(trials),
        outlets=list(outlets),
        trigger_rule="all_success",
    )
    cleanup = CleanupOperator(
        task_id="cleanup",
        plan_task_id=plan.task_id,
        retries=CLEANUP_RETRIES,
        retry_delay=CLEANUP_RETRY_DELAY,
    ).as_teardown(on_failure_fail_dagrun=True)
    plan >> trials >> ended
    [plan, ended] >> collect
    collect >> [WaypointOperator(task_id="done", trigger_rule="all_success"), cleanup]
    return SweepOutput(collect, first=plan)


def sweep_dag(
    spec: str | PathLike[str] | Mapping[str, Any],
    *,
    dag_id: str,
    overrides: Mapping[str, Any] | None = None,
    backend: str | None = None,
    conn_id: str | None = None,
    runtime: RuntimeName = "pods",
    task_args: Mapping[str, Any] | None = None,
    python_callable: Callable[..., Any] | None = None,
    **dag_options: Any,
) -> DAG:
    """A DAG that holds one sweep and nothing else.

    Args:
        spec: As for `sweep`.
        dag_id: The DAG's id.
        overrides: As for `sweep`.
        backend: As for `sweep`.
        conn_id: As for `sweep`.
        runtime: As for `sweep`.
        task_args: As for `sweep`.
        python_callable: As for `sweep`.
        dag_options: Anything else that `airflow.sdk.DAG` takes; `schedule` is None by default.
    """
    dag_options.setdefault("schedule", None)
    with DAG(dag_id=dag_id, **dag_options) as dag:
        dag.fileloc = _callers_file() or dag.fileloc  # before it is asked for
        sweep(
            spec,
            overrides=overrides,
            backend=backend,
            conn_id=conn_id,
            runtime=runtime,
            task_args=task_args,
            python_callable=python_callable,
        )
    return dag


def _callers_file() -> str | None:
    """The file that called `sweep_dag`, which relative spec files are found beside."""
    import sys

    return sys._getframe(2).f_globals.get("__file__")
