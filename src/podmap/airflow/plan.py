"""What the `plan` task does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from podmap.airflow import settings
from podmap.airflow.connections import worker_target
from podmap.backends.connect import Target, connect
from podmap.engine.launch import check_first_launch
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.errors import SpecError, UsageError
from podmap.names import run_id_for
from podmap.spec.load import LoadedSpec, load
from podmap.spec.override import read_value

if TYPE_CHECKING:
    from airflow.sdk import Context

    from podmap.airflow.operators import PlanOperator
    from podmap.backends.kubernetes.backend import KubernetesBackend


def plan_run(task: PlanOperator, context: Context) -> tuple[dict[str, str], list[Any]]:
    """Writes the manifest; returns where the run is and what `trials` is mapped over.

    Raises:
        SpecError: The spec, or the experiments, are wrong: all problems at once.
        NotSupportedError: The spec asks for what cannot be run.
        UsageError: The sweep would need more mapped instances than Airflow allows.
    """
    from airflow.sdk.configuration import conf

    folder = Path(task.dag.fileloc).resolve().parent
    loaded = _one_trial_a_task(task.runtime, _load(task, folder))
    dag_run, group_id = context["dag_run"], task.task_id.rpartition(".")[0]
    target = replace(
        worker_target(task.backend or settings.backend(), task.conn_id),
        namespace=loaded.sweep.kubernetes.namespace,
    )
    planned = prepare_run(
        loaded,
        store=loaded.sweep.store or settings.store(),
        run_id=run_id_for(settings.deployment(), dag_run.dag_id, dag_run.run_id, group_id),
        owner={
            "kind": "airflow",
            "deployment": settings.deployment(),
            "dag_id": dag_run.dag_id,
            "run_id": dag_run.run_id,
            "group_id": group_id,
        },
        folder=_folder(task.spec, folder),
        target=target,
        experiments=task.experiments,
        most_instances=conf.getint("core", "max_map_length", fallback=1024),
    )
    namespace = asyncio.run(_check_first(planned, target, runtime=task.runtime))
    if task.in_executor is not None:
        planned = _with_tasks(task, planned)
    manifest = planned.manifest
    run = {
        "uri": planned.ledger.run_uri,
        "version": manifest.planned,
        "backend": target.backend,
        "namespace": namespace,
        "connection": task.conn_id or "",
        "runtime": task.runtime,
    }
    task.log.info("%d trials are planned; the run is kept in %s", manifest.count, run["uri"])
    return run, _mapped_over(manifest.count, manifest.trials_per_task)


def _with_tasks(task: PlanOperator, planned: PlannedRun) -> PlannedRun:
    """The run, whose manifest now says what each of the executor's tasks gets."""
    from podmap.airflow.executor.plan import tasks_of

    tasks = tasks_of(task.in_executor, planned.sweep, planned.plan, task.log)
    manifest = planned.ledger.replace_manifest(replace(planned.manifest, tasks=tasks))
    return replace(planned, manifest=manifest)


async def _check_first(planned: PlannedRun, target: Target, *, runtime: str) -> str:
    """Has the cluster check the first pod before anything is mapped; the namespace of the run."""
    backend = connect(target)
    try:
        await check_first_launch(planned, backend)
        if runtime == "operator":  # the provider's default is another one than the connection's
            return await cast("KubernetesBackend", backend).namespace()
        return planned.manifest.namespace
    finally:
        await backend.close()


def _load(task: PlanOperator, folder: Path) -> LoadedSpec:
    overrides = dict(task.overrides or {})
    try:
        loaded = _load_with(overrides, task, folder)
    except SpecError as error:
        # A rendered template is text: where text is wrong, it is read as YAML, as --set is.
        texts = {path: value for path, value in overrides.items() if isinstance(value, str)}
        wrong = [path for path in texts if any(path in p.source for p in error.problems)]
        if not wrong:
            raise
        try:
            overrides.update({path: read_value(texts[path]) for path in wrong})
        except ValueError:
            raise error from None
        loaded = _load_with(overrides, task, folder)
    if task.experiments is not None and loaded.sweep.search is not None:
        raise UsageError(
            "the trials are given twice: by experiments= in the DAG and by search: in "
            f"{loaded.source or 'the spec'}; leave one of them out"
        )
    return loaded


def _load_with(overrides: dict[str, Any], task: PlanOperator, folder: Path) -> LoadedSpec:
    return load(
        task.spec,
        overrides=overrides or None,
        base=folder,
        search_required=task.experiments is None,
    )


def _one_trial_a_task(runtime: str, loaded: LoadedSpec) -> LoadedSpec:
    """The spec, without chunks where each trial needs a task of its own."""
    if runtime == "pods":
        return loaded
    if (loaded.sweep.trials_per_task or 1) > 1:
        raise UsageError(
            f"trials_per_task is {loaded.sweep.trials_per_task}, but with runtime={runtime!r} each "
            "trial is a task of its own: leave it out"
        )
    return replace(loaded, sweep=loaded.sweep.model_copy(update={"trials_per_task": 1}))


def _folder(spec: str | Mapping[str, Any], dag_folder: Path) -> str:
    """Where local trials run: beside the spec file, or the DAG file of a dict."""
    return str((dag_folder / spec).parent if isinstance(spec, str) else dag_folder)


def _mapped_over(count: int, size: int) -> list[Any]:
    """One element a mapped instance: the trial's number, or the first and last of a chunk."""
    if size == 1:
        return list(range(count))
    return [[first, min(first + size, count) - 1] for first in range(0, count, size)]
