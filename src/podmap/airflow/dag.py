"""`sweep()`: a sweep as a task group of a DAG, and its tasks `plan`, `collect` and `cleanup`.

All work is done when the tasks run, and what it takes is imported then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, TaskGroup, XComArg

from podmap.airflow.runtimes import Runtime, RuntimeName, SweepGroup, dag_folder, find_runtime

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context


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
        UsageError: There is no such runtime, what it needs is not installed, or `task_args` holds
            what podmap decides.
    """
    chosen = find_runtime(runtime)
    with TaskGroup(group_id=group_id) as tasks:
        group = SweepGroup(
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
        return _add_tasks(group, chosen, outlets)


def _add_tasks(group: SweepGroup, runtime: Runtime, outlets: Sequence[Asset]) -> XComArg:
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
    )
    trials = runtime.make_trials(group, plan)
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


class PlanOperator(BaseOperator):
    """Reads the spec, makes the trials, and writes the run's manifest.

    Its XCom is what `trials` is mapped over; the XCom `run` says where the run is. The arguments
    are those of `sweep()`; `parsed` is what the runtime has read when the DAG file was parsed.
    """

    template_fields: Sequence[str] = ("experiments", "overrides")
    ui_color = "#dbeafe"

    def __init__(
        self,
        *,
        spec: str | Mapping[str, Any],
        experiments: Any = None,
        overrides: Mapping[str, Any] | None = None,
        backend: str | None = None,
        conn_id: str | None = None,
        runtime: str = "pods",
        parsed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.experiments = experiments
        self.overrides = overrides
        self.backend = backend
        self.conn_id = conn_id
        self.runtime = runtime
        self.parsed = parsed

    def execute(self, context: Context) -> list[Any]:
        """Plans the run; called again after a clear, it keeps the run and plans it again."""
        from airflow.sdk.exceptions import AirflowFailException

        from podmap.airflow.plan import plan_run
        from podmap.errors import PodmapError, UnreachableError

        group = SweepGroup(
            runtime=self.runtime,
            spec=self.spec,
            folder=dag_folder(self.dag),
            experiments=self.experiments,
            overrides=self.overrides or {},
            backend=self.backend,
            conn_id=self.conn_id,
            parsed=self.parsed,
        )
        group_id = self.task_id.rpartition(".")[0]
        try:
            run, mapped_over = plan_run(group, context["dag_run"], group_id, log=self.log)
        except UnreachableError:
            raise  # the next try may reach it
        except PodmapError as error:
            raise AirflowFailException(str(error)) from None
        context["ti"].xcom_push(key="run", value=run)
        return mapped_over


class CollectOperator(BaseOperator):
    """Makes the leaderboard and the report, and returns the best trial."""

    ui_color = "#fef9c3"

    def __init__(self, *, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the summary; fails when more trials failed than were allowed."""
        from podmap.airflow.collect import collect_run

        return collect_run(context, self.plan_task_id, outlets=self.outlets, log=self.log)


class CleanupOperator(BaseOperator):
    """The group's teardown: ends and removes what is left of the run's attempts."""

    ui_color = "#f1f5f9"

    def __init__(self, *, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> None:
        """Removes attempts that nobody waits for any more."""
        from podmap.airflow.collect import clean_run

        clean_run(context, self.plan_task_id, log=self.log)
