"""What was added to a run after it was planned: trials behind its own, in files written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podmap import names
from podmap.errors import RecordError
from podmap.json_kinds import (
    TEXT,
    WHOLE,
    Kind,
    check_kinds,
    list_of,
    objects_of,
    optional,
)

_OBJECT: Kind = ("an object", lambda value: isinstance(value, Mapping))


@dataclass(frozen=True, slots=True)
class Addition:
    """Trials that follow those that a run had before.

    It is data and decides nothing but params: what runs is the manifest's.

    Attributes:
        first: The number of the first of them.
        count: How many they are.
        items: Their params, one set after the other, each with as many trials as the spec repeats
            it; None where the run's search goes on.
        search: The spec's `search` from now on, where that goes on; else None.
        copies: Place in the search to how many earlier ones have the same params, where any do.
        at: UTC ISO 8601.
        by: Who has added them, for a person.
    """

    first: int
    count: int
    items: Sequence[Mapping[str, Any]] | None = None
    search: Mapping[str, Any] | None = None
    copies: Mapping[str, int] = field(default_factory=dict)
    at: str = ""
    by: str = ""

    @property
    def end(self) -> int:
        """One more than the number of the last of them."""
        return self.first + self.count

    def to_json(self) -> dict[str, Any]:
        """The addition as the JSON object of its file."""
        return {
            "first": self.first,
            "count": self.count,
            "items": None if self.items is None else [dict(item) for item in self.items],
            "search": None if self.search is None else dict(self.search),
            "copies": dict(self.copies),
            "at": self.at,
            "by": self.by,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Addition:
        """The addition in a JSON object made by `to_json`.

        Raises:
            RecordError: It is none.
        """
        known: dict[str, Any] = {name: data.get(name) for name in _KINDS}
        check_kinds(known, _KINDS)
        addition = cls(**known)
        if addition.count < 1 or (addition.items is None) == (addition.search is None):
            raise RecordError("an addition has trials, of items or of the search")
        return addition


_KINDS: dict[str, Kind] = {
    "first": WHOLE,
    "count": WHOLE,
    "items": optional(list_of(_OBJECT)),
    "search": optional(_OBJECT),
    "copies": objects_of(WHOLE),
    "at": TEXT,
    "by": TEXT,
}


def total(planned: int, additions: Sequence[Addition]) -> int:
    """How many trials a run has.

    Args:
        planned: Those of its plan.
        additions: What was added.
    """
    return additions[-1].end if additions else planned


def folder_of(planned: str) -> str:
    """The folder, inside a run, of what was added to a planning.

    Args:
        planned: The planning, as in the manifest.
    """
    stamp = "".join(char for char in planned if char.isalnum())
    return f"{names.ADDED}/{stamp or 'first'}"


def path_of(planned: str, first: int) -> str:
    """The path, inside a run, of what was added from a number on."""
    return f"{folder_of(planned)}/{first}.json"
