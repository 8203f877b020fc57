"""Nested params: a mapping as a param's value gives a param for each entry, as `optimizer.lr`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from podmap.json_kinds import MAX_DEPTH, is_shallow

PATCH = "trial"
"""The key of an item that is no param: what differs in the template for that trial."""
_DEEPEST = MAX_DEPTH - 8  # a record holds the params some levels down


def flat_pairs(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The params with dotted names, and their values; an empty mapping stays one.

    Args:
        params: Name to value, not too deep by `is_too_deep`.
    """
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            for inner, found in flat_pairs(value):
                yield f"{name}.{inner}", found
        else:
            yield name, value


def flattened(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The params with dotted names; the same object if none holds a mapping."""
    if not any(isinstance(value, Mapping) for value in params.values()):
        return params
    return dict(flat_pairs(params))


def flat_item(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """A list's item with dotted names for its params, and its `trial` as it is."""
    if not any(isinstance(value, Mapping) for value in item.values()):
        return item
    params = dict(flat_pairs({name: value for name, value in item.items() if name != PATCH}))
    return {**params, PATCH: item[PATCH]} if PATCH in item else params


def choice_names(name: str, choices: list[Any]) -> list[frozenset[str]]:
    """The names of the params that each choice of a param gives."""
    return [frozenset(given for given, _ in flat_pairs({name: choice})) for choice in choices]


def is_too_deep(value: Any) -> bool:
    """Whether there are more values within values than a record can hold."""
    return not is_shallow(value, _DEEPEST)
