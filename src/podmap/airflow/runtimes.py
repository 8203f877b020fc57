"""The runtimes: what makes the trials of a sweep tasks of a DAG, chosen by its name in `sweep()`.

A runtime is chosen when the DAG file is parsed, since it shapes the DAG. It lives in the folder of
its name, as `RUNTIME` of the module `runtime` there; only the chosen one is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from podmap.airflow.callbacks import TrialCallbacks

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator, TaskGroup
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.backends.base import Backend
    from podmap.engine.planned import PlannedRun
    from podmap.ledger.manifest import Manifest

RuntimeName = Literal["pods", "operator", "executor"]

TaskStates = Callable[[Sequence[str]], Mapping[str, "str | None"]]
"""Asks Airflow for the states of tasks of the group, by their names in it; of a mapped task each
instance has an entry, `name_index`."""

LEFT = "its task was ended in Airflow"
"""Why a trial is cancelled whose task has ended without it."""
ENDED_STATES = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""Of Airflow's task instances: none of these goes on by itself."""


@dataclass(frozen=True)
class SweepGroup:
    """A sweep as the DAG file gives it: what its task group is made of, and what `plan` plans.

    Attributes:
        runtime: What makes the trials tasks.
        spec: A YAML file, relative to `folder`, or the same as a dict.
        folder: The DAG file's folder.
        experiments: The trials' params; when the DAG file is parsed perhaps an XComArg.
        overrides: Key path to value; when the DAG file is parsed perhaps with templates.
        backend: What runs the attempts; None for the deployment's.
        conn_id: An Airflow connection of type `kubernetes`; None if there is none.
        task_args: What the DAG file wants the mapped tasks to have besides.
        python_callable: What a trial is in place of the spec's command; None for that.
        parsed: What the runtime has read when the DAG file was parsed; None where it needs nothing.
        expects_experiments: Whether the DAG file gives experiments, though there may be none yet.
        found_later: Key paths of the overrides that were found when the DAG ran; an empty one
            stands for all.
    """

    runtime: str
    spec: str | Mapping[str, Any] = field(repr=False)
    folder: Path
    experiments: Any = field(default=None, repr=False)
    overrides: Mapping[str, Any] = field(default_factory=dict, repr=False)
    backend: str | None = None
    conn_id: str | None = None
    task_args: Mapping[str, Any] = field(default_factory=dict)
    python_callable: Callable[..., Any] | None = None
    parsed: Any = None
    expects_experiments: bool = False
    found_later: tuple[str, ...] = ()


class Runtime(Protocol):
    """What makes the trials of a sweep tasks of a DAG, and each of them an attempt.

    `parse` and `make_trials` are called when the DAG file is parsed, by whatever process does
    that; `check_plan` in the task `plan`; `before_collect` in the task `collect`.

    Attributes:
        chunks: Whether one mapped instance may have several trials.
    """

    chunks: bool

    def parse(self, group: SweepGroup) -> SweepGroup:
        """The group with what this runtime decides of it, and with `parsed`.

        Raises:
            UsageError: Arguments are given that play no part here, or are podmap's to decide.
            SpecError: The spec is wrong, where it is read this early.
        """
        ...

    def make_trials(self, group: SweepGroup, plan: BaseOperator) -> list[MappedOperator]:
        """The mapped tasks that run the trials.

        Args:
            group: As `parse` has returned it.
            plan: The task that they are mapped over.
        """
        ...

    def take_callbacks(self, trials: Sequence[MappedOperator]) -> TrialCallbacks:
        """Takes from the mapped tasks the callbacks that `collect` must call; none by default."""
        return TrialCallbacks()

    async def check_plan(
        self, group: SweepGroup, planned: PlannedRun, backend: Backend, *, log: Any
    ) -> Manifest:
        """The run's manifest with what this runtime adds to it.

        Args:
            group: The group, with all templates replaced.
            planned: The run.
            backend: What runs the attempts.
            log: Of the task `plan`.

        Raises:
            UsageError: The trials cannot run as the DAG was made.
            BackendError: What runs the attempts cannot be asked.
        """
        ...

    def before_collect(
        self, run: Mapping[str, str], planned: PlannedRun, *, states: TaskStates, log: Any
    ) -> list[str]:
        """Ends what trials have left whose tasks have ended without them.

        Args:
            run: What `plan` has left.
            planned: The run.
            states: Asks for the states of the group's tasks.
            log: Of the task `collect`.

        Returns:
            Why trials were not started, as far as it is Airflow that knows it.

        Raises:
            UnreachableError: Store or backend could not be asked.
        """
        ...


def dag_folder(dag: DAG) -> Path:
    """The folder of a DAG's file, which relative spec files are found from.

    Of a DAG file in an archive it is the folder of the archive.
    """
    archive = dag_archive(dag)
    return Path(dag.fileloc).resolve().parent if archive is None else archive.parent


def dag_archive(dag: DAG) -> Path | None:
    """The archive that a DAG's file is in; None where it is in a folder."""
    return next((path for path in Path(dag.fileloc).resolve().parents if path.is_file()), None)


def spec_of(spec: str | PathLike[str] | Mapping[str, Any], dag: DAG) -> str | dict[str, Any]:
    """The spec of a sweep, a file as a path from `dag_folder`: in the DAG's archive if it is there.

    Args:
        spec: As `sweep()` was given it.
        dag: The DAG.
    """
    if isinstance(spec, Mapping):
        return dict(spec)
    archive = dag_archive(dag)
    if archive is None:
        return fspath(spec)
    from podmap.spec.text import is_in_archive

    beside = Path(dag.fileloc).resolve().parent / spec
    return str(beside.relative_to(archive.parent)) if is_in_archive(beside) else fspath(spec)


def why_no_folder(spec: str | Mapping[str, Any], folder: Path, *, local: bool) -> str:
    """What to do where a DAG's folder is not on this machine, and is needed; else empty.

    Args:
        spec: As `spec_of` has it.
        folder: As `dag_folder` has it.
        local: Whether trials are local processes, which run in that folder.
    """
    if folder.is_dir() or (isinstance(spec, str) and Path(spec).is_absolute()):
        return ""
    where = f"the folder of the DAG file, {folder}, is not on this machine"
    if isinstance(spec, str):
        return f"{where}: give sweep() a dict, or a path that begins with / and is on every worker"
    if local:
        return f"{where}, and local trials run in it: have them run as pods (backend='kubernetes')"
    return ""


def make_group(group_id: str) -> TaskGroup:
    """The task group of a sweep.

    Raises:
        UsageError: There is no DAG here, or it has such a group.
    """
    from airflow.sdk import TaskGroup
    from airflow.sdk.exceptions import DuplicateTaskIdFound

    try:
        return TaskGroup(group_id=group_id)
    except DuplicateTaskIdFound:
        problem = f"there is a group or task {group_id!r} already: give each sweep() a group_id"
    except RuntimeError:
        problem = (
            "sweep() is called outside a DAG: call it in `with DAG(...)`, or in a function with "
            "@dag, and not in a task, which runs when the DAG is made"
        )
    from podmap.errors import UsageError

    raise UsageError(problem)


def check_group(tasks: TaskGroup) -> None:
    """Refuses a sweep where Airflow cannot run one.

    Raises:
        UsageError: It is inside a mapped task group, or in a DAG that fails fast.
    """
    problem = ""
    if any(True for _ in tasks.iter_mapped_task_groups()):
        problem = (
            f"sweep(group_id={tasks.label!r}) is in a task group that is mapped, and Airflow maps "
            "no tasks inside one: give all trials to one sweep (experiments=), with a param that "
            "tells them apart, or call sweep() in a loop of the DAG file, with a group_id each"
        )
    elif tasks.dag.fail_fast:
        problem = (
            f"the DAG {tasks.dag.dag_id!r} has fail_fast=True, which allows no task that runs "
            "after a failure, and a sweep collects its results after failed trials: leave it out; "
            "failures: {allow: 0, on_exceed: cancel} in the spec ends a sweep at its first failure"
        )
    if problem:
        from podmap.errors import UsageError

        raise UsageError(problem)


def spec_folder(spec: str | Mapping[str, Any], folder: Path) -> Path:
    """Where local trials run: beside the spec file, or beside the DAG file of a dict.

    Of a spec in an archive it is the folder of the archive.

    Args:
        spec: As `spec_of` has it.
        folder: The DAG file's.
    """
    place = (folder / spec).parent if isinstance(spec, str) else folder
    archive = next((path for path in (place, *place.parents) if path.is_file()), None)
    return place if archive is None else archive.parent


def find_runtime(name: str) -> Runtime:
    """The runtime of a name.

    Raises:
        UsageError: There is no such runtime, or what it needs is not installed.
    """
    names = get_args(RuntimeName)
    if name not in names:
        from podmap.errors import UsageError

        allowed = ", ".join(map(repr, names))
        raise UsageError(f"runtime={name!r} of sweep() is not one of {allowed}")
    found: Runtime = importlib.import_module(f"podmap.airflow.{name}.runtime").RUNTIME
    return found


def check_arguments(group: SweepGroup, owned: Mapping[str, str]) -> None:
    """Refuses arguments of `sweep()` that play no part in a runtime, or that it decides itself.

    Args:
        group: The group, with the arguments of the DAG file.
        owned: Argument of the mapped task to what to do instead.

    Raises:
        UsageError: One of them is given; of `task_args` all are named.
    """
    problem = ""
    wrong = [f"{name!r}: {owned[name]}" for name in group.task_args if name in owned]
    if wrong:
        problem = f"task_args of runtime={group.runtime!r} holds what podmap decides: "
        problem += "; ".join(wrong)
    elif group.python_callable is not None and group.runtime != "executor":
        problem = (
            "python_callable= needs runtime='executor', where Airflow runs the trials; with "
            f"runtime={group.runtime!r} a trial is the spec's command"
        )
    if problem:
        from podmap.errors import UsageError

        raise UsageError(problem)


def is_template(value: Any) -> bool:
    """Whether a value is filled in when the task runs, or holds one that is."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(map(is_template, value.values()))
    if isinstance(value, (list, tuple, set)):
        return any(map(is_template, value))
    return hasattr(value, "iter_references")
