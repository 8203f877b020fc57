"""`runtime="executor"`: the mapped tasks of a sweep, run by the workers of Airflow's executor.

With the KubernetesExecutor such a worker is a pod of its own, made for the trial; with any other
executor it is a process that runs the trial as its child.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, XComArg

from podmap.airflow.executor.functions import PROGRAM, function_place
from podmap.airflow.executor.operators import ReadyOperator, TrialWorkerOperator
from podmap.airflow.executor.shapes import (
    TASK,
    ParsedSweep,
    PodShape,
    executor_config,
    find_shapes,
    shares,
)
from podmap.airflow.runtimes import (
    ENDED_STATES,
    Runtime,
    SweepGroup,
    TaskStates,
    check_arguments,
    is_template,
)
from podmap.errors import SpecError, UsageError
from podmap.search.list import ItemList
from podmap.spec.load import LoadedSpec, load
from podmap.spec.model import Sweep
from podmap.spec.search import ShardsSearch

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.backends.base import Backend
    from podmap.engine.planned import PlannedRun
    from podmap.ledger.manifest import Manifest

RETRY_DELAY = timedelta(seconds=10)
READY = "ready"
READY_RETRIES = 2
SHARD_ARGS = ["{shard.uri}", "{shard.name}", "{shard.index}"]
_NOT_READY = (
    "{}: no trial was started. Its log says why; without a log its pod could not start: the image "
    "must have Airflow and podmap, of the scheduler's versions, and the DAG file must be in it or "
    "reach it; see `kubectl get pods` and the scheduler's log"
)
_OWNED = {
    "task_id": "set group_id of sweep()",
    "retries": "set retries.infra in the spec",
    "retry_policy": "set retries in the spec",
    "execution_timeout": "set trial.timeout or trial.deadline in the spec",
    "executor_config": "set image, resources, volumes and the like in trial, the rest in trial.pod",
    "max_active_tis_per_dag": "set parallelism in the spec",
    "max_active_tis_per_dagrun": "set parallelism in the spec",
    "trigger_rule": "the sweep decides what runs when",
    "deferrable": "a worker runs the trial from its start to its end",
}


class ExecutorRuntime(Runtime):
    """Has Airflow's executor run each trial; the spec is read when the DAG file is parsed."""

    chunks = False

    def parse(self, group: SweepGroup) -> SweepGroup:
        """The group with the shapes of its pods, and with what stands for its function."""
        check_arguments(group, _OWNED)
        if group.backend not in (None, "process") or group.conn_id:
            raise UsageError(
                "backend= and conn_id= of sweep() play no part with runtime='executor': Airflow's "
                "executor makes the pods; leave them out"
            )
        templates = tuple(path for path, value in group.overrides.items() if is_template(value))
        loaded = _load(group, templates)
        group = replace(group, backend="process")
        if group.python_callable is not None:
            _check_no_command(loaded, group.python_callable)
            stands_in = _command_of(group.python_callable, loaded.sweep)
            group = replace(group, overrides={**group.overrides, **stands_in})
        items = None if isinstance(group.experiments, XComArg) else group.experiments
        if items is not None:
            # Wrong ones are told of here, and all at once.
            ItemList.from_experiments(items, loaded.sweep)
        parsed = ParsedSweep(
            shapes=find_shapes(loaded.sweep, items=items),
            sweep=loaded.sweep,
            function=group.python_callable,
            templates=templates,
            executor=group.task_args.get("executor"),
        )
        return replace(group, parsed=parsed)

    def make_trials(self, group: SweepGroup, plan: BaseOperator) -> list[MappedOperator]:
        """The mapped tasks, one a shape of pods, whose limits add up to the spec's parallelism."""
        parsed: ParsedSweep = group.parsed
        sweep, shapes = parsed.sweep, parsed.shapes
        limits = shares(sweep.parallelism, [shape.weight for shape in shapes])
        made: list[MappedOperator] = []
        for index, (shape, limit) in enumerate(zip(shapes, limits, strict=True)):
            waits = index >= sweep.parallelism
            task = TrialWorkerOperator.partial(
                task_id=shape.task_id,
                run=XComArg(plan, "run"),
                plan_task_id=plan.task_id,
                retries=sweep.retries.infra,
                execution_timeout=None,
                max_active_tis_per_dagrun=limit,
                executor_config=executor_config(shape, sweep, asked=group.task_args),
                **({"trigger_rule": "all_done"} if waits else {}),
                **{"retry_delay": RETRY_DELAY, **group.task_args},
            ).expand(number=_numbers(group, shape, plan))
            if waits:
                made[index - sweep.parallelism] >> task
            made.append(task)
        return made

    async def check_plan(
        self, group: SweepGroup, planned: PlannedRun, backend: Backend, *, log: Any
    ) -> Manifest:
        """The manifest with the numbers of the trials that each task gets."""
        from podmap.airflow.executor.plan import check_executor, trials_by_task

        sweep, plan = planned.sweep, planned.plan
        check_executor(group.parsed, sweep, plan, log=log)
        return replace(planned.manifest, tasks=trials_by_task(group.parsed, sweep, plan))

    def before_collect(
        self, run: Mapping[str, str], planned: PlannedRun, *, states: TaskStates, log: Any
    ) -> list[str]:
        """Closes records whose workers are gone, once Airflow will not try their tasks again."""
        from podmap.airflow.executor.worker import close_open_records

        tasks = list(planned.manifest.tasks or ())
        ready = [READY + name.removeprefix(TASK) for name in tasks]
        found = states([*tasks, *ready])
        if all(state in ENDED_STATES for name, state in found.items() if name not in ready):
            left = close_open_records(planned.ledger, planned.manifest)
            if left:
                log.warning("%d trials ended with their workers, without a word of how", left)
        return [_NOT_READY.format(name) for name in ready if found.get(name) == "failed"]


RUNTIME = ExecutorRuntime()


def _load(group: SweepGroup, templates: Sequence[str]) -> LoadedSpec:
    """The spec as far as it is known now: without the overrides that are templates."""
    known = {path: value for path, value in group.overrides.items() if path not in templates}
    try:
        return load(
            group.spec,
            overrides=known or None,
            base=group.folder,
            search_required=group.experiments is None,
        )
    except SpecError as error:
        if not templates:
            raise
        names = ", ".join(f"overrides[{name!r}]" for name in templates)
        raise UsageError(
            f"{error}\nWith runtime='executor' the spec is read when the DAG file is parsed, when "
            f"these templates are not known yet: {names}. It must be right without them"
        ) from None


def _command_of(function: Callable[..., Any], sweep: Sweep) -> dict[str, Any]:
    """What stands for a function in the effective spec, and so in the trials' keys."""
    command = ["python", "-m", PROGRAM, function_place(function).title]
    shard = {"trial.args": SHARD_ARGS} if isinstance(sweep.search, ShardsSearch) else {}
    return {"trial.command": command, **shard}


def _check_no_command(loaded: LoadedSpec, function: Callable[..., Any]) -> None:
    template = loaded.sweep.trial
    given = [
        f"{path}.{name}"
        for path, part in [("trial", template)]
        + [(f"trial.cases[{index}]", case) for index, case in enumerate(template.cases)]
        for name in ("command", "args")
        if getattr(part, name) is not None
    ]
    if given:
        raise UsageError(
            f"what a trial runs is given twice: python_callable={function.__name__} in the DAG, "
            f"and {', '.join(given)} in {loaded.source or 'the spec'}; leave one of them out"
        )


def _numbers(group: SweepGroup, shape: PodShape, plan: BaseOperator) -> Any:
    """What a shape's task is mapped over: plan's own output, if there is nothing to look at."""
    parsed: ParsedSweep = group.parsed
    if len(parsed.shapes) == 1 and not shape.template.image and shape.template.pod is None:
        return plan.output
    placed = {
        name: group.task_args[name]
        for name in ("executor", "queue", "pool")
        if name in group.task_args
    }
    ready = ReadyOperator(
        task_id=READY + shape.suffix,
        run=XComArg(plan, "run"),
        plan_task_id=plan.task_id,
        trials_task_id=shape.task_id,
        retries=READY_RETRIES,
        retry_delay=RETRY_DELAY,
        execution_timeout=None,
        executor_config=executor_config(
            shape, parsed.sweep, asked=group.task_args, resources=False
        ),
        **placed,
    )
    plan >> ready
    return ready.output
