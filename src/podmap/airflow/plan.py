"""What the `plan` task does: it makes the run's manifest, and what `trials` is mapped over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from podmap import uris
from podmap.airflow import settings
from podmap.airflow.connections import worker_target
from podmap.airflow.runtimes import SweepGroup, find_runtime, spec_folder
from podmap.backends.connect import Target, connect
from podmap.engine.launch import check_first_launch
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.errors import SpecError, UsageError
from podmap.ledger.encode import dump_manifest
from podmap.ledger.manifest import Manifest
from podmap.names import content_digest, run_id_for
from podmap.spec.load import LoadedSpec, load
from podmap.spec.override import parse_path, read_value
from podmap.spec.search import ListSearch


def plan_run(
    group: SweepGroup, dag_run: Any, group_id: str, *, log: Any
) -> tuple[dict[str, str], list[Any]]:
    """Writes the manifest; returns where the run is and what `trials` is mapped over.

    Args:
        group: The sweep, with all templates replaced.
        dag_run: Airflow's.
        group_id: Of the task group.
        log: Of the task.

    Raises:
        SpecError: The spec, or the experiments, are wrong: all problems at once.
        NotSupportedError: The spec asks for what cannot be run.
        UsageError: The sweep would need more mapped instances than Airflow allows, or its runtime
            cannot run it.
    """
    from airflow.sdk.configuration import conf

    uris.use_policy(settings.uri_policy)
    loaded = _load(group)
    sweep = loaded.sweep
    target = worker_target(
        group.backend or settings.backend(), group.conn_id, namespace=sweep.kubernetes.namespace
    )
    owner = {
        "kind": "airflow",
        "deployment": settings.deployment(),
        "dag_id": dag_run.dag_id,
        "run_id": dag_run.run_id,
        "group_id": group_id,
    }
    planned = prepare_run(
        loaded,
        store=sweep.store or settings.store(),
        run_id=run_id_for(owner["deployment"], dag_run.dag_id, dag_run.run_id, group_id),
        owner=owner,
        folder=str(spec_folder(group.spec, group.folder)),
        target=target,
        experiments=group.experiments,
        most_instances=conf.getint("core", "max_map_length", fallback=1024),
    )
    manifest = asyncio.run(_check(group, planned, target, log=log))
    run = {
        "uri": planned.ledger.run_uri,
        "digest": content_digest(dump_manifest(manifest)),
        "backend": target.backend,
        "namespace": manifest.namespace,
        "connection": group.conn_id or "",
        "runtime": group.runtime,
    }
    log.info("%d trials are planned; the run is kept in %s", manifest.count, run["uri"])
    return run, _mapped_over(manifest.count, manifest.trials_per_task)


async def _check(group: SweepGroup, planned: PlannedRun, target: Target, *, log: Any) -> Manifest:
    """The manifest with what the runtime adds, once the cluster would take the first pod."""
    for warning in planned.warnings:
        log.warning("%s", warning)
    backend = connect(target)
    try:
        await check_first_launch(planned, backend)
        checked = await find_runtime(group.runtime).check_plan(group, planned, backend, log=log)
    finally:
        await backend.close()
    checked = replace(checked, connection=group.conn_id or "")
    return checked if checked == planned.manifest else planned.ledger.replace_manifest(checked)


def _load(group: SweepGroup) -> LoadedSpec:
    overrides = dict(group.overrides)
    try:
        loaded = _load_with(overrides, group)
    except SpecError as error:
        # A rendered template is text: where text is wrong, it is read as YAML, as --set is.
        texts = {path: value for path, value in overrides.items() if isinstance(value, str)}
        wrong = [path for path in texts if any(path in p.source for p in error.problems)]
        if not wrong:
            raise
        try:
            overrides.update({path: read_value(texts[path], parse_path(path)) for path in wrong})
        except ValueError:
            raise error from None
        loaded = _load_with(overrides, group)
    search = loaded.sweep.search
    has_trials = search is not None and not (isinstance(search, ListSearch) and not search.items)
    if group.experiments is not None and has_trials:
        raise UsageError(
            "the trials are given twice: by experiments= in the DAG and by search: in "
            f"{loaded.source or 'the spec'}; leave one of them out"
        )
    return loaded if find_runtime(group.runtime).chunks else _without_chunks(group, loaded)


def _load_with(overrides: dict[str, Any], group: SweepGroup) -> LoadedSpec:
    return load(
        group.spec,
        overrides=overrides or None,
        base=group.folder,
        search_required=group.experiments is None,
    )


def _without_chunks(group: SweepGroup, loaded: LoadedSpec) -> LoadedSpec:
    if (loaded.sweep.trials_per_task or 1) > 1:
        raise UsageError(
            f"trials_per_task is {loaded.sweep.trials_per_task}, but with "
            f"runtime={group.runtime!r} each trial is a task of its own: leave it out"
        )
    return replace(loaded, sweep=loaded.sweep.model_copy(update={"trials_per_task": 1}))


def _mapped_over(count: int, size: int) -> list[Any]:
    """One element a mapped instance: the trial's number, or the first and last of a chunk."""
    if size == 1:
        return list(range(count))
    return [[first, min(first + size, count) - 1] for first in range(0, count, size)]
