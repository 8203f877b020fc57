"""What the `plan` task does: it makes the run's manifest, and what `trials` is mapped over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from podmap import uris
from podmap.airflow import settings
from podmap.airflow.connections import worker_target
from podmap.airflow.runtimes import SweepGroup, find_runtime, spec_folder, why_no_folder
from podmap.airflow.templates import as_set
from podmap.airflow.trial_names import NAMES_KEY, instance_names
from podmap.backends.connect import Target, connect
from podmap.engine.launch import check_first_launch
from podmap.engine.local_spec import check_env_of_processes
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.errors import Problem, SpecError, UsageError
from podmap.ledger.encode import dump_manifest
from podmap.ledger.manifest import Manifest
from podmap.names import content_digest, run_id_for
from podmap.search.base import ItemProblems, ItemRow
from podmap.search.check_items import check_items
from podmap.spec.load import LoadedSpec, load
from podmap.spec.model import Sweep
from podmap.spec.override import parse_path, read_value
from podmap.spec.search import ListSearch


def plan_run(
    group: SweepGroup, dag_run: Any, group_id: str, *, log: Any
) -> tuple[dict[str, Any], list[Any]]:
    """Writes the manifest; returns XComs for the other tasks, and what `trials` is mapped over.

    `run` says where the run is, and `names` what its instances are called, if they have names.

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
    if target.backend == "process" and group.runtime != "executor":
        _check_for_processes(group, sweep)
    names = {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id, "group_id": group_id}
    planned = prepare_run(
        loaded,
        store=sweep.store or settings.store(),
        run_id=run_id_for(settings.deployment(), *names.values()),
        owner={"kind": "airflow", "deployment": settings.deployment(), **names},
        folder=str(spec_folder(group.spec, group.folder)),
        target=target,
        experiments=group.experiments,
        most_instances=conf.getint("core", "max_map_length", fallback=1024),
        chunks=find_runtime(group.runtime).chunks,
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
    mapped_over = _mapped_over(manifest.count, manifest.trials_per_task)
    xcoms: dict[str, Any] = {"run": run}
    if settings.trial_names():
        xcoms[NAMES_KEY] = instance_names(planned.plan, mapped_over)
    return xcoms, mapped_over


def _check_for_processes(group: SweepGroup, sweep: Sweep) -> None:
    """Refuses what local trials cannot have.

    Raises:
        UsageError: Their folder is not there.
    """
    check_env_of_processes(sweep)
    if problem := why_no_folder(group.spec, group.folder, local=True):
        raise UsageError(problem)


async def _check(group: SweepGroup, planned: PlannedRun, target: Target, *, log: Any) -> Manifest:
    """The manifest with what the runtime adds, once the cluster would take the first pod."""
    for warning in (*planned.warnings, settings.browse_problem()):
        if warning:
            log.warning("%s", warning)
    backend = connect(target)
    try:
        await check_first_launch(planned, backend)
        checked = await find_runtime(group.runtime).check_plan(group, planned, backend, log=log)
    finally:
        await backend.close()
    checked = replace(checked, connection=group.conn_id or "", runtime=group.runtime)
    return checked if checked == planned.manifest else planned.ledger.replace_manifest(checked)


def _load(group: SweepGroup) -> LoadedSpec:
    if group.expects_experiments and group.experiments is None:
        message = "the task that gives them has returned nothing; it must return a list of dicts"
        raise SpecError([Problem("experiments", message)])
    loaded = _load_readably(group)
    _check_found_items(group, loaded)
    search = loaded.sweep.search
    has_trials = search is not None and not (isinstance(search, ListSearch) and not search.items)
    if group.experiments is not None and has_trials:
        raise UsageError(
            "the trials are given twice: by experiments= in the DAG and by search: in "
            f"{loaded.source or 'the spec'}; leave one of them out"
        )
    return loaded if find_runtime(group.runtime).chunks else _without_chunks(group, loaded)


def _load_readably(group: SweepGroup) -> LoadedSpec:
    """The spec; texts of the DAG file's own overrides are read as YAML where no text can stand."""
    overrides = {path: as_set(path, value) for path, value in group.overrides.items()}
    try:
        return _load_with(overrides, group)
    except SpecError as error:
        texts = {path: value for path, value in overrides.items() if isinstance(value, str)}
        wrong = [path for path in texts if any(path in p.source for p in error.problems)]
        if not wrong:
            raise
        try:
            overrides.update({path: read_value(texts[path], parse_path(path)) for path in wrong})
        except ValueError:
            raise error from None
        return _load_with(overrides, group)


def _check_found_items(group: SweepGroup, loaded: LoadedSpec) -> None:
    """Items that were found when the DAG ran are data: they may not decide what runs."""
    search = loaded.sweep.search
    if not isinstance(search, ListSearch) or not isinstance(search.items, list):
        return
    if any(_covers(path, "search.items") for path in group.found_later):
        chosen = any(_covers(path, "search.item_patches") for path in group.found_later)
        check_items(
            (ItemRow(item, path=f"search.items[{i}]") for i, item in enumerate(search.items)),
            ItemProblems(),
            loaded.sweep.trial,
            place="search.items",
            patches="safe" if chosen else search.item_patches,
            types=search.types,
        )


def _covers(path: str, other: str) -> bool:
    """Whether an override of one key path sets another, or part of it; an empty one sets all."""
    path = path.strip().replace("[", ".")
    return not path or f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")


def _load_with(overrides: dict[str, Any], group: SweepGroup) -> LoadedSpec:
    prices = settings.prices()
    if prices is not None:
        overrides = {"budget.prices": prices, **overrides}
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
