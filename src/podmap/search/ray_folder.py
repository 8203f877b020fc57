"""The folder of an experiment of Ray Tune, read as records for `search.learn_from`.

Each trial has a folder: its params in `params.json`, what it reported in `result.json`, a line each
time, or in `progress.csv`, and `error.txt` if it failed. What Ray pickles is not looked at.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from podmap.errors import Problem, SpecError
from podmap.records import Record, TrialState
from podmap.search.limits import LIMITS, TableLimits, TooMuchError, lines
from podmap.search.uris import absolute_uri, open_file, open_pattern, unreachable_if_refused
from podmap.spec.flat_params import flattened, is_too_deep
from podmap.spec.model import Objective
from podmap.uris import masked, parse_uri

MOST_TRIALS = 10_000
PARAMS, RESULT, PROGRESS, ERROR = "params.json", "result.json", "progress.csv", "error.txt"


def read_experiment(
    place: str, goals: Sequence[Objective], *, key: str, folder: str, limits: TableLimits = LIMITS
) -> list[Record]:
    """The trials of an experiment, in the order of their folders' names.

    A trial's value is the last that it reported, or with `objective.from: best` the best one.

    Args:
        place: A path or URI: the experiment's folder, which holds those of its trials.
        goals: The objectives of the spec that is to learn.
        key: Where the place stands in the spec, for errors.
        folder: The folder of the spec, where relative paths start from.
        limits: How much of one file is read.

    Raises:
        SpecError: It is no such folder, or is too large.
        NotSupportedError: The package for the place's scheme is not installed.
        UnreachableError: It cannot be asked for.
    """
    uri = absolute_uri(place, folder).rstrip("/")
    fs, path = open_pattern(f"{uri}/*/{PARAMS}", key=key, folder=folder)
    with unreachable_if_refused(uri, key=key):
        found = sorted(fs.glob(path))
    if not found:
        hint = "the experiment's folder is meant, such as ~/ray_results/NAME"
        message = f"{masked(uri)} has no trials of Ray Tune: there is no */{PARAMS}"
        raise SpecError([Problem(key, message, hint=hint)])
    if len(found) > MOST_TRIALS:
        message = f"{masked(uri)} has {len(found):,} trials; at most {MOST_TRIALS:,} are read"
        raise SpecError([Problem(key, message)])
    is_local = parse_uri(uri).local
    records = []
    for number, name in enumerate(found):
        own = (name if is_local else fs.unstrip_protocol(name)).removesuffix(f"/{PARAMS}")
        reader = _TrialFolder(own, goals, key=key, folder=folder, limits=limits)
        records.append(reader.record(number, failed=fs.exists(name.replace(PARAMS, ERROR))))
    return records


class _TrialFolder:
    """The files of one trial. What cannot be understood costs this trial alone."""

    def __init__(
        self,
        uri: str,
        goals: Sequence[Objective],
        *,
        key: str,
        folder: str,
        limits: TableLimits,
    ) -> None:
        self._uri = uri
        self._goals = goals
        self._open = {"key": key, "folder": folder}
        self._limits = limits

    def record(self, number: int, *, failed: bool) -> Record:
        """The trial; UNKNOWN where its files say nothing that can be understood."""
        try:
            params = self._params()
            metrics = self._metrics()
        except (ValueError, OverflowError, TooMuchError, csv.Error, RecursionError, SpecError):
            return Record(number, "", "", TrialState.UNKNOWN)
        state = TrialState.COMPLETE
        if failed or (metrics and not all(map(math.isfinite, metrics.values()))):
            state, metrics = TrialState.FAILED, {}
        return Record(number, "", "", state, params=params, metrics=dict(metrics))

    def _params(self) -> Mapping[str, Any]:
        text = b"".join(self._lines(PARAMS))
        params = json.loads(text)
        if not isinstance(params, dict) or is_too_deep(params):
            raise ValueError("no params")
        return flattened(params)

    def _metrics(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for row in self._rows():
            for goal in self._goals:
                value = row.get(goal.metric)
                if isinstance(value, bool) or not isinstance(value, int | float):
                    continue
                before = found.get(goal.metric)
                if goal.from_ != "best" or before is None or _is_better(value, before, goal):
                    found[goal.metric] = float(value)
        return found

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        """What was reported, each time with the names that Ray gives nested values."""
        try:
            for line in self._lines(RESULT):
                row = json.loads(line)
                if isinstance(row, dict) and not is_too_deep(row):
                    yield dict(_joined(row))
        except SpecError:
            yield from self._table()

    def _table(self) -> Iterator[Mapping[str, Any]]:
        try:
            text = b"".join(self._lines(PROGRESS)).decode("utf-8")
        except SpecError:
            return
        for row in csv.DictReader(io.StringIO(text)):
            yield {name: _number(cell) for name, cell in row.items() if isinstance(cell, str)}

    def _lines(self, name: str) -> Iterator[bytes]:
        with open_file(f"{self._uri}/{name}", **self._open) as file:
            yield from lines(file, self._limits)


def _joined(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{inner}", one) for inner, one in _joined(value))
        else:
            yield name, value


def _number(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell


def _is_better(value: float, before: float, goal: Objective) -> bool:
    if math.isnan(before):
        return True
    return value > before if goal.direction == "maximize" else value < before
