"""`runtime="executor"`: trials that run in the workers of Airflow's own executor.

With the KubernetesExecutor such a worker is a pod of its own, made for the trial; with any other
executor it is a process that runs the trial as its child.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseOperator, XComArg

from podmap.airflow.executor.pods import executor_config
from podmap.airflow.executor.shapes import Shape, find_shapes, shares
from podmap.airflow.runtimes import Group, check_task_args
from podmap.errors import SpecError, UsageError
from podmap.spec.load import LoadedSpec, load
from podmap.spec.search import ShardsSearch

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.airflow.executor.worker import TrialRun
    from podmap.airflow.operators import PlanOperator

RETRY_DELAY = timedelta(seconds=10)
READY = "ready"
READY_RETRIES = 2
FUNCTION = "podmap.airflow.executor.program"
SHARD_ARGS = ["{shard.uri}", "{shard.name}", "{shard.index}"]
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


@dataclass(frozen=True)
class ExecutorPlan:
    """What the DAG file decides of a sweep that runs in the executor's workers.

    Attributes:
        shapes: The shapes of pods, each with a task of its own.
        parallelism: What the tasks' limits add up to.
        function: The Python function that a trial is; None if it is the spec's command.
        templates: Key paths of overrides that are known only when `plan` runs.
        executor: The executor that the DAG file asks for; None for the default one.
    """

    shapes: tuple[Shape, ...]
    parallelism: int
    function: Callable[..., Any] | None = None
    templates: tuple[str, ...] = ()
    executor: str | None = None


def plan_of(task: TrialTask | ReadyOperator) -> PlanOperator:
    """The `plan` of a task's sweep, as this process has read it in the DAG file."""
    return cast("PlanOperator", task.dag.get_task(task.plan_task_id))


class TrialTask(BaseOperator):
    """One trial, from its start to its end in this worker."""

    template_fields: Sequence[str] = ("run", "number")
    ui_color = "#dcfce7"

    def __init__(self, *, run: Any, number: Any, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run
        self.number = number
        self.plan_task_id = plan_task_id
        self._running: TrialRun | None = None

    def execute(self, context: Context) -> None:
        """Settles the trial.

        Raises:
            AirflowFailException: It failed, and will not be tried again.
            AirflowSkipException: The run was stopped before it ran.
            AirflowException: It was ended with its worker; Airflow's retries decide.
        """
        from podmap.airflow.executor.worker import TrialRun, end_task

        function = plan_of(self).in_executor.function
        self._running = TrialRun(self, context, function=function)
        end_task(self._running.settle(), self.log)

    def on_kill(self) -> None:
        """Ends the trial's process; its record stays open for the next try."""
        if self._running is not None:
            self._running.stop()


class ReadyOperator(BaseOperator):
    """Runs where the trials of one shape will, before there are any, and returns their numbers.

    That it runs shows that the image has Airflow and the DAG file; the rest it looks for.
    """

    template_fields: Sequence[str] = ("run",)
    ui_color = "#dbeafe"

    def __init__(self, *, run: Any, plan_task_id: str, trials_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run
        self.plan_task_id = plan_task_id
        self.trials_task_id = trials_task_id

    def execute(self, context: Context) -> list[int]:
        """Returns the numbers of the trials that have the shape."""
        from airflow.sdk.exceptions import AirflowFailException

        from podmap.airflow.executor.worker import check_worker
        from podmap.errors import PodmapError, UnreachableError

        function = plan_of(self).in_executor.function
        try:
            return check_worker(self.run, self.trials_task_id, function)
        except UnreachableError:
            raise
        except PodmapError as error:
            raise AirflowFailException(str(error)) from None


def make_trials(group: Group) -> list[MappedOperator]:
    """The mapped tasks of a sweep, one a shape of pods.

    Raises:
        UsageError: Arguments that play no part here are given, the function cannot be found by a
            worker, or the shapes are too many.
        SpecError: The spec is wrong; it is read when the DAG file is parsed.
    """
    check_task_args("executor", group.task_args, _OWNED)
    _check_group(group)
    loaded, templates = _load(group)
    group.plan.backend = "process"
    items = None if _from_upstream(group) else group.plan.experiments
    if items is not None:
        from podmap.search.list import ItemList

        # Wrong ones are told of here, and all at once.
        ItemList.from_experiments(items, loaded.sweep.trial)
    group.plan.in_executor = ExecutorPlan(
        shapes=find_shapes(loaded.sweep, items=items),
        parallelism=loaded.sweep.parallelism,
        function=group.python_callable,
        templates=templates,
        executor=group.task_args.get("executor"),
    )
    return _tasks(group, loaded)


def _check_group(group: Group) -> None:
    plan = group.plan
    if plan.backend not in (None, "process") or plan.conn_id:
        raise UsageError(
            "backend= and conn_id= of sweep() play no part with runtime='executor': Airflow's "
            "executor makes the pods; leave them out"
        )


def _from_upstream(group: Group) -> bool:
    return group.plan.experiments is None or isinstance(group.plan.experiments, XComArg)


def _load(group: Group) -> tuple[LoadedSpec, tuple[str, ...]]:
    """The spec as far as it is known now, and the overrides that are not."""
    if group.python_callable is not None:
        from podmap.airflow.executor.functions import function_place

        title = function_place(group.python_callable).title
        group.plan.overrides = {**group.overrides, **_command_of(title)}
    known = {path: value for path, value in group.overrides.items() if not _is_template(value)}
    templates = tuple(path for path in group.overrides if path not in known)
    loaded = _read(group, known, templates)
    if group.python_callable is not None:
        _check_no_command(loaded, group.python_callable)
        if isinstance(loaded.sweep.search, ShardsSearch):
            group.plan.overrides = {**(group.plan.overrides or {}), "trial.args": SHARD_ARGS}
    return loaded, templates


def _read(group: Group, known: Mapping[str, Any], templates: Sequence[str]) -> LoadedSpec:
    folder = Path(group.plan.dag.fileloc).resolve().parent
    try:
        return load(
            group.spec,
            overrides=known or None,
            base=folder,
            search_required=group.plan.experiments is None,
        )
    except SpecError as error:
        if not templates:
            raise
        names = ", ".join(f"overrides[{name!r}]" for name in templates)
        raise UsageError(
            f"{error}\nWith runtime='executor' the spec is read when the DAG file is parsed, when "
            f"these templates are not known yet: {names}. It must be right without them"
        ) from None


def _command_of(title: str) -> dict[str, Any]:
    """What stands for a function in the effective spec, and so in the trials' keys."""
    return {"trial.command": ["python", "-m", FUNCTION, title]}


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


def _is_template(value: Any) -> bool:
    if isinstance(value, str):
        return any(mark in value for mark in ("{{", "{%"))
    if isinstance(value, Mapping):
        return any(_is_template(each) for each in value.values())
    return isinstance(value, list | tuple) and any(map(_is_template, value))


@dataclass
class _Lanes:
    """Tasks that may run at the same time, and those that have to wait for one of them."""

    count: int
    last: dict[int, MappedOperator] = field(default_factory=dict)

    def add(self, index: int, task: MappedOperator) -> None:
        lane = index % self.count
        if lane in self.last:
            self.last[lane] >> task
        self.last[lane] = task


def _tasks(group: Group, loaded: LoadedSpec) -> list[MappedOperator]:
    plan, shapes = group.plan, group.plan.in_executor.shapes
    parallelism = loaded.sweep.parallelism
    limits = shares(parallelism, [shape.weight for shape in shapes])
    lanes = _Lanes(parallelism)
    made = []
    for index, (shape, limit) in enumerate(zip(shapes, limits, strict=True)):
        waits = index >= parallelism
        task = TrialTask.partial(
            task_id=shape.task_id,
            run=XComArg(plan, "run"),
            plan_task_id=plan.task_id,
            retries=loaded.sweep.retries.infra,
            execution_timeout=None,
            max_active_tis_per_dagrun=limit,
            executor_config=executor_config(shape, loaded.sweep, asked=group.task_args),
            **({"trigger_rule": "all_done"} if waits else {}),
            **{"retry_delay": RETRY_DELAY, **group.task_args},
        ).expand(number=_numbers(group, shape, loaded))
        lanes.add(index, task)
        made.append(task)
    return made


def _numbers(group: Group, shape: Shape, loaded: LoadedSpec) -> Any:
    """What a shape's task is mapped over: plan's own output, if there is nothing to look at."""
    plan = group.plan
    if (
        len(plan.in_executor.shapes) == 1
        and not shape.template.image
        and shape.template.pod is None
    ):
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
            shape, loaded.sweep, asked=group.task_args, resources=False
        ),
        **placed,
    )
    plan >> ready
    return ready.output
