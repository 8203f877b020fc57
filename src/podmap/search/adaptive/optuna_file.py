"""A study of Optuna's in a file, SQLite or a journal, read as records for `search.learn_from`.

Optuna reads a copy: it locks what it opens, and makes tables where there are none. What it keeps of
samplers, some of it pickled, is not looked at.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

from podmap.errors import NotSupportedError, Problem, SpecError
from podmap.records import Record, TrialState
from podmap.search.uris import absolute_uri, open_file
from podmap.spec.model import Objective
from podmap.uris import masked

MOST_BYTES = 256 * 1024 * 1024
EXPORTED = "podmap_trial"
"""What a trial that `podmap export` wrote has among its attributes."""
_SQLITE = b"SQLite format 3\0"
_PART_BYTES = 1 << 20
_DATABASES = ("mysql", "postgresql", "oracle", "mssql", "mariadb", "redis", "grpc")
_WITH_VALUES = ("COMPLETE", "PRUNED")


def read_study(
    place: str, goals: Sequence[Objective], *, key: str, folder: str, most_bytes: int = MOST_BYTES
) -> list[Record]:
    """The trials of a study; what it has values of stands in `metrics` by the goals' names.

    Args:
        place: A path or URI, perhaps with `sqlite:///` before and `#study` behind.
        goals: The objectives of the spec that is to learn.
        key: Where the place stands in the spec, for errors.
        folder: The folder of the spec, where relative paths start from.
        most_bytes: How large the file may be.

    Raises:
        SpecError: There is no such file or study, or it cannot be read, or is after something else.
        NotSupportedError: Optuna, or what it needs for SQLite, is not installed.
        UnreachableError: The file cannot be asked for.
    """
    path, _, name = place.removeprefix("sqlite:///").partition("#")
    if path.startswith(_DATABASES) and "://" in path:
        message = "a study in a database is not opened: copy it into a file (optuna.copy_study)"
        raise SpecError([Problem(key, message)])
    uri = absolute_uri(path, folder)
    with tempfile.TemporaryDirectory(prefix="podmap-study-") as own:
        copy = os.path.join(own, "study")
        with open_file(uri, key=key, folder=folder) as file:
            head = _copy(file, copy, key=key, most_bytes=most_bytes)
        if head == _SQLITE:
            _copy_log(uri, copy, key=key, folder=folder, most_bytes=most_bytes)
        return _read(copy, name, goals, key=key, sqlite=head == _SQLITE)


def _copy(file: IO[bytes], copy: str, *, key: str, most_bytes: int) -> bytes:
    """Copies a file; its first bytes."""
    head, size = b"", 0
    with open(copy, "wb") as target:
        while part := file.read(_PART_BYTES):
            head = head or part[: len(_SQLITE)]
            size += len(part)
            if size > most_bytes:
                message = f"the file is larger than {most_bytes:,} bytes"
                raise SpecError([Problem(key, message, hint="copy the study into one of its own")])
            target.write(part)
    return head


def _copy_log(uri: str, copy: str, *, key: str, folder: str, most_bytes: int) -> None:
    """Copies SQLite's log of what does not stand in the file yet, if there is one."""
    try:
        file = open_file(f"{uri}-wal", key=key, folder=folder)
    except SpecError:
        return
    with file:
        _copy(file, f"{copy}-wal", key=key, most_bytes=most_bytes)


def _read(
    copy: str, name: str, goals: Sequence[Objective], *, key: str, sqlite: bool
) -> list[Record]:
    try:
        import optuna
        from optuna.storages import JournalStorage, RDBStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        message = f"{key}: needs optuna: pip install 'podmap[search]'"
        raise NotSupportedError(message) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_as_problems(key))
        storage: Any
        if sqlite:
            storage = RDBStorage(f"sqlite:///{copy}")
            stack.callback(storage.engine.dispose)
        else:
            storage = JournalStorage(JournalFileBackend(copy))
        study = _chosen(storage.get_all_studies(), name, key=key)
        trials = storage.get_all_trials(study._study_id, deepcopy=False)
        columns = _columns(study, goals, key=key)
        return list(_records(trials, goals, columns))


@contextlib.contextmanager
def _as_problems(key: str) -> Iterator[None]:
    """Turns what Optuna raises at a file that it cannot read into a problem of the spec."""
    try:
        yield
    except ImportError as error:
        message = f"{key}: a study in SQLite needs sqlalchemy: pip install sqlalchemy"
        raise NotSupportedError(message) from error
    except _reading_errors() as error:
        message = f"it is no study of Optuna's, or of another version: {masked(str(error))[:300]}"
        raise SpecError([Problem(key, message)]) from error


def _reading_errors() -> tuple[type[Exception], ...]:
    from optuna.exceptions import OptunaError

    found: list[type[Exception]] = [OptunaError, ValueError, KeyError, TypeError, RuntimeError]
    found += [AttributeError, IndexError, AssertionError, OverflowError, OSError]
    try:
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        return tuple(found)
    return (*found, SQLAlchemyError)


def _chosen(studies: Sequence[Any], name: str, *, key: str) -> Any:
    names = [study.study_name for study in studies]
    if name in names:
        return studies[names.index(name)]
    if len(studies) == 1 and not name:
        return studies[0]
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    asked = f"there is no study {name!r}" if name else "which study is not said"
    hint = f"write optuna:FILE#{names[0]}" if names else ""
    raise SpecError([Problem(key, f"{asked}; the file has: {shown or 'none'}", hint=hint)])


def _columns(study: Any, goals: Sequence[Objective], *, key: str) -> list[int]:
    """Which of a trial's values is that of each goal: by the names that a study has, else in order.

    Raises:
        SpecError: They are others, or are to go the other way.
    """
    ways = ["maximize" if way.name == "MAXIMIZE" else "minimize" for way in study._directions]
    named = study.system_attrs.get("study:metric_names") or []
    wanted = [goal.metric for goal in goals]
    if set(wanted) <= set(named):
        columns = [named.index(metric) for metric in wanted]
    elif len(ways) == len(goals) and not named:
        columns = list(range(len(goals)))
    else:
        has = ", ".join(map(str, named)) or f"{len(ways)} objectives without names"
        message = f"the study {study.study_name} has {has}, and objective is {', '.join(wanted)}"
        raise SpecError([Problem(key, message)])
    for goal, column in zip(goals, columns, strict=True):
        if ways[column] != goal.direction:
            message = f"the study {study.study_name} {ways[column]}s, and the direction of "
            raise SpecError([Problem(key, f"{message}{goal.metric} is {goal.direction}")])
    return columns


def _records(
    trials: Sequence[Any], goals: Sequence[Objective], columns: Sequence[int]
) -> Iterator[Record]:
    for trial in trials:
        state = trial.state.name
        metrics: dict[str, float | None] = {}
        values = _values(trial) if state in _WITH_VALUES else []
        for goal, column in zip(goals, columns, strict=True):
            if column < len(values) and _is_finite(values[column]):
                metrics[goal.metric] = float(values[column])
        known = {"COMPLETE": TrialState.COMPLETE, "PRUNED": TrialState.PRUNED}
        found = known.get(state, TrialState.FAILED if state == "FAIL" else TrialState.RUNNING)
        if found is TrialState.COMPLETE and len(metrics) < len(goals):
            found = TrialState.FAILED  # what is infinite, or no number, is no value
        params = {str(name): value for name, value in trial.params.items()}
        if EXPORTED in trial.user_attrs:
            params = {name: _restored(value) for name, value in params.items()}
        yield Record(trial.number, "", "", found, params=params, metrics=metrics)


def _is_finite(value: Any) -> bool:
    """Whether a value is a number that a metric can have; a journal may hold any text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _values(trial: Any) -> list[float]:
    """A trial's values; of a pruned one the last that it reported."""
    if trial.values is not None:
        return list(trial.values)
    reported = trial.intermediate_values
    return [reported[max(reported)]] if reported else []


def _restored(value: Any) -> Any:
    """A value that `podmap export` wrote; Optuna has no lists, so they are there as their JSON."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
