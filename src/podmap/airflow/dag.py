"""`sweep()`: a sweep as a task group of a DAG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, TaskGroup, XComArg

from podmap.airflow.operators import CleanupOperator, CollectOperator, PlanOperator
from podmap.airflow.runtimes import RuntimeName, SweepGroup, dag_folder, find_runtime

if TYPE_CHECKING:
    from airflow.sdk import Asset


def sweep(
    spec: str | PathLike[str] | Mapping[str, Any],
    *,
    experiments: XComArg | Sequence[Mapping[str, Any]] | None = None,
    group_id: str = "sweep",
    overrides: Mapping[str, Any] | None = None,
    backend: str | None = None,
    conn_id: str | None = None,
    outlets: Sequence[Asset] = (),
    runtime: RuntimeName = "pods",
    task_args: Mapping[str, Any] | None = None,
    python_callable: Callable[..., Any] | None = None,
) -> XComArg:
    """A task group that runs a sweep: `plan`, then the mapped `trials`, then `collect`.

    Every trial is a mapped instance of `trials`. With the default runtime it starts and ends in
    the triggerer: no worker runs for it. The file is read when `plan` runs, not when the DAG is
    parsed, and is never a Jinja template.

    Args:
        spec: The sweep: a YAML file, relative to the DAG file, or the same as a dict.
        experiments: The trials' params, usually the output of an upstream task that returns a
            list of dicts; the spec then has no `search:`.
        group_id: The task group's id; a DAG may hold several sweeps.
        overrides: Key path to value, put over the spec; values may be Jinja templates, for
            example `{"trial.image": "{{ params.image }}"}`.
        backend: What runs the trials: "process", processes on the triggerer's machine, or
            "kubernetes", pods; None for `[podmap] backend`, which is "process" by default.
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
        UsageError: There is no such runtime, what it needs is not installed, or `task_args` holds
            what podmap decides.
    """
    chosen = find_runtime(runtime)
    with TaskGroup(group_id=group_id) as tasks:
        group = chosen.parse(
            SweepGroup(
                runtime=runtime,
                spec=dict(spec) if isinstance(spec, Mapping) else fspath(spec),
                folder=dag_folder(tasks.dag),
                experiments=experiments,
                overrides=dict(overrides or {}),
                backend=backend,
                conn_id=conn_id,
                task_args=dict(task_args or {}),
                python_callable=python_callable,
            )
        )
        plan = PlanOperator(
            task_id="plan",
            spec=group.spec,
            experiments=group.experiments,
            overrides=group.overrides,
            backend=group.backend,
            conn_id=group.conn_id,
            runtime=group.runtime,
            parsed=group.parsed,
        )
        trials = chosen.make_trials(group, plan)
        collect = CollectOperator(
            task_id="collect",
            plan_task_id=plan.task_id,
            trigger_rule="all_done",
            outlets=list(outlets),
        )
        cleanup = CleanupOperator(task_id="cleanup", plan_task_id=plan.task_id).as_teardown(
            on_failure_fail_dagrun=False
        )
        plan >> trials >> collect >> cleanup
    return collect.output


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
