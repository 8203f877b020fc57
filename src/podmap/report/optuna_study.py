"""A run as a study of Optuna's, for its dashboard, its plots and its samplers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from podmap.clock import parse_iso
from podmap.errors import NotSupportedError, UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Record, TrialState
from podmap.spec.dimension import is_continuous, why_impossible
from podmap.spec.load import load
from podmap.spec.search import Range, dimensions

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

PLAIN = (str, int, float, bool, type(None))


def export_study(ledger: Ledger, manifest: Manifest, path: str) -> Study:
    """Writes a run's trials into a new study.

    A param's distribution is that of the spec, wide enough for what was added or is of a list.
    Values that Optuna has no choices for, as lists, are their JSON. COMPLETE, PRUNED and FAILED
    trials are exported, with what they reported; others have nothing to say.

    Args:
        ledger: Of the run.
        manifest: Of the run.
        path: A file that is not there: `.db` or `.sqlite3` for SQLite, else a journal.

    Raises:
        NotSupportedError: Optuna, or what it needs for SQLite, is not installed.
        UsageError: The file has a study of this run.
        StoreError: The ledger cannot be read.
    """
    try:
        import optuna
    except ImportError as error:
        raise NotSupportedError(
            "--to optuna needs optuna, which is not installed: pip install 'podmap[search]'"
        ) from error
    sweep = load(manifest.spec, search_required=False).sweep
    params: Mapping[str, Any] = dimensions(getattr(sweep.search, "params", None) or {})
    name = f"{manifest.sweep}-{manifest.run_id}"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = [goal.direction for goal in sweep.objectives] or ["minimize"]
    try:
        storage = _storage(path)
        study = optuna.create_study(study_name=name, storage=storage, directions=directions)
    except optuna.exceptions.DuplicatedStudyError as error:
        raise UsageError(f"{path} has the study {name} already: give another file") from error
    study.set_user_attr("podmap_run", ledger.run_uri)
    records = list(ledger.records())
    space = _space(records, params)
    found = (_frozen(record, space, len(directions)) for record in records)
    study.add_trials([trial for trial in found if trial is not None])
    return study


def _storage(path: str) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if not path.endswith((".db", ".sqlite", ".sqlite3")):
        return JournalStorage(JournalFileBackend(path))
    try:
        import sqlalchemy  # noqa: F401  what Optuna imports only as it opens the file
    except ImportError as error:
        raise NotSupportedError(
            "a study in SQLite needs sqlalchemy: pip install sqlalchemy, or give a journal: .log"
        ) from error
    return f"sqlite:///{path}"


def _space(records: Sequence[Record], params: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Param to a distribution that has the values of all records: a study wants one for all."""
    values: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.params.items():
            values.setdefault(name, []).append(_plain(value))
    return {name: _distribution(own, params.get(name)) for name, own in values.items()}


def _frozen(
    record: Record, space: Mapping[str, BaseDistribution], goals: int
) -> FrozenTrial | None:
    import optuna

    states = {
        TrialState.COMPLETE: optuna.trial.TrialState.COMPLETE,
        TrialState.PRUNED: optuna.trial.TrialState.PRUNED,
        TrialState.FAILED: optuna.trial.TrialState.FAIL,
    }
    state = states.get(record.state)
    given = record.objective if isinstance(record.objective, list) else [record.objective]
    values = [value for value in given if value is not None]
    whole = len(values) == goals
    if state is None or (record.state is TrialState.COMPLETE and not whole):
        return None
    own = {name: _plain(value) for name, value in record.params.items()}
    trial = optuna.trial.create_trial(
        state=state,
        values=values if whole and state is optuna.trial.TrialState.COMPLETE else None,
        params=own,
        distributions={name: space[name] for name in own},
        intermediate_values=_reports(record) if goals == 1 else None,
        user_attrs={"podmap_trial": record.number, **dict(record.metrics)},
    )
    if record.started and record.finished:
        trial.datetime_start = parse_iso(record.started).replace(tzinfo=None)
        trial.datetime_complete = parse_iso(record.finished).replace(tzinfo=None)
    return trial


def _reports(record: Record) -> dict[int, float]:
    """The first metric of each reported step, which Optuna has one of."""
    first = [(step, next(iter(values.values()), None)) for step, values in record.reports]
    return {int(step): float(value) for step, value in first if value is not None}


def _plain(value: Any) -> Any:
    return value if isinstance(value, PLAIN) else json.dumps(value, sort_keys=True)


def _distribution(values: Sequence[Any], dimension: Any) -> BaseDistribution:
    """That of the spec, wide enough for all values; else a choice of those that there are."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
    if not isinstance(dimension, Range) or not numbers:
        given = dimension if isinstance(dimension, list) else []
        return CategoricalDistribution(_distinct([*map(_plain, given), *values]))
    fits = not any(why_impossible(one, dimension) for one in values)
    low, high = min([dimension.low, *values]), max([dimension.high, *values])
    log = dimension.log and low > 0
    if dimension.is_int and all(one == int(one) for one in values):
        step = int(dimension.step or 1) if fits and not log else 1
        return IntDistribution(int(low), int(high), log=log, step=step)
    stepped = fits and not log and not is_continuous(dimension)
    return FloatDistribution(
        float(low), float(high), log=log, step=dimension.step if stepped else None
    )


def _distinct(values: Sequence[Any]) -> list[Any]:
    """The values, each once, as Optuna compares them: `true` and 1 are one choice."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
