"""Which params a run has, for axes and filters: numbers with their ends, choices, or free texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from podmap.report.plain import cut, plain_value
from podmap.spec.search import Range

CHOICES = 20
"""A param of a list that has more different values than this, and no numbers, is a text."""
_LOG_FACTOR = 100.0


def param_kinds(
    dimensions: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each param by its name, as the spec has it, else as the trials' values are.

    Args:
        dimensions: Of the spec; empty for lists and shards.
        trials: The params of each trial.
    """
    names = dict.fromkeys([*map(cut, dimensions), *(name for one in trials for name in one)])
    spec = {cut(name): dimension for name, dimension in dimensions.items()}
    return [
        {"name": name, **_kind(spec.get(name), (one.get(name) for one in trials))} for name in names
    ]


def _kind(dimension: Any, values: Iterable[Any]) -> dict[str, Any]:
    if isinstance(dimension, Range):
        low, high = float(dimension.low), float(dimension.high)
        return {"kind": "number", "log": dimension.log, "low": low, "high": high}
    if isinstance(dimension, list):
        choices = list(dict.fromkeys((type(v), v) for v in map(plain_value, dimension)))
        if all(_is_number(value) for _, value in choices) and len(choices) > CHOICES:
            return _numbers([value for _, value in choices])
        return {"kind": "choice", "choices": [value for _, value in choices]}
    return _kind_of_values([value for value in values if value is not None])


def _kind_of_values(values: list[Any]) -> dict[str, Any]:
    if values and all(map(_is_number, values)):
        return _numbers(values)
    different = dict.fromkeys((type(value), value) for value in values)
    if len(different) > CHOICES:
        return {"kind": "text"}
    return {"kind": "choice", "choices": [value for _, value in different]}


def _numbers(values: Sequence[float]) -> dict[str, Any]:
    low, high = min(values), max(values)
    log = low > 0 and high / _LOG_FACTOR >= low and math.isfinite(high)
    return {"kind": "number", "log": log, "low": low, "high": high}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
