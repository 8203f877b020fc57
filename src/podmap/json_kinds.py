"""What a value in a file of the ledger may be: the kinds that its readers rely on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from podmap.clock import parse_iso
from podmap.errors import RecordError

Kind = tuple[str, Callable[[Any], bool]]
"""What a message calls it, and whether a value is of it."""

MAX_DEPTH = 32
"""Of values within values: what is deeper could be read, but not be written again."""


def check_kinds(data: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Refuses values of other kinds.

    Args:
        data: Name to value; a name without a kind may have any value.
        kinds: Name to kind; a name without a value is passed over.

    Raises:
        RecordError: A value is of another kind.
    """
    for name, (wanted, fits) in kinds.items():
        if name in data and not fits(data[name]):
            raise RecordError(f"{name} is {shown(data[name])}, not {wanted}")


def shown(value: Any) -> str:
    """A value for a message, cut."""
    if isinstance(value, Mapping | list | tuple):
        return f"a {type(value).__name__}"
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


def is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_time(value: Any) -> bool:
    """Whether it is a time with its zone, as `iso` writes it."""
    try:
        return isinstance(value, str) and parse_iso(value).tzinfo is not None
    except ValueError:
        return False


def is_shallow(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether there are not too many values within values."""
    if isinstance(value, Mapping):
        return depth > 0 and all(is_shallow(each, depth - 1) for each in value.values())
    if isinstance(value, list | tuple):
        return depth > 0 and all(is_shallow(each, depth - 1) for each in value)
    return True


def optional(kind: Kind) -> Kind:
    """The same, or null."""
    wanted, fits = kind
    return f"{wanted} or null", lambda value: value is None or fits(value)


def objects_of(kind: Kind) -> Kind:
    """An object whose values are all of a kind."""
    wanted, fits = kind
    return (
        f"an object of {wanted}",
        lambda value: isinstance(value, Mapping) and all(map(fits, value.values())),
    )


def list_of(kind: Kind) -> Kind:
    """A list whose values are all of a kind."""
    wanted, fits = kind
    return (
        f"a list of {wanted}",
        lambda value: isinstance(value, list | tuple) and all(map(fits, value)),
    )


TEXT: Kind = ("text", lambda value: isinstance(value, str))
WHOLE: Kind = (
    "a whole number from 0",
    lambda value: type(value) is int and 0 <= value < 2**63,
)
NUMBER: Kind = ("a finite number", is_number)
TIME: Kind = ("a time (UTC ISO 8601)", is_time)
SHALLOW: Kind = ("an object", lambda value: isinstance(value, Mapping) and is_shallow(value))
