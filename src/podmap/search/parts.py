"""A search of several parts: the spec's own, and behind it what was added to the run since."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from podmap.records import Shard
from podmap.search.base import Enumerated


class Part:
    """Some places of a search that follow each other.

    Attributes:
        search: What makes their params.
        start: The place of the first of them in that search.
        count: How many they are.
    """

    def __init__(self, search: Enumerated, *, start: int = 0, count: int | None = None) -> None:
        """All places of a search from one on, or so many of them."""
        self.search = search
        self.start = start
        self.count = search.count - start if count is None else count


class Parts(Enumerated):
    """Parts, one after the other; each place has the params that its part gives it."""

    kind = "parts"

    def __init__(self, parts: Sequence[Part]) -> None:
        """Takes at least one part."""
        self.parts = tuple(parts)
        self._firsts: list[int] = []
        self.count = 0
        for part in parts:
            self._firsts.append(self.count)
            self.count += part.count

    @classmethod
    def from_spec(cls, sweep: Any, *, folder: str = "") -> Parts:
        """Parts are made of several specs.

        Raises:
            ValueError: Always.
        """
        raise ValueError("a search of parts is not made of a spec")

    def ask(self, number: int) -> dict[str, Any]:
        """As in `Search`."""
        search, place = self._find(number)
        return search.ask(place)

    def is_example(self, number: int) -> bool:
        """As in `Enumerated`."""
        search, place = self._find(number)
        return search.is_example(place)

    def accepts(self, number: int, params: Mapping[str, Any]) -> bool:
        """As in `Enumerated`."""
        search, place = self._find(number)
        return search.accepts(place, params)

    def patch(self, number: int) -> Mapping[str, Any]:
        """As in `Enumerated`."""
        search, place = self._find(number)
        return search.patch(place)

    def shard(self, number: int) -> Shard | None:
        """As in `Enumerated`."""
        search, place = self._find(number)
        return search.shard(place)

    def to_json(self) -> dict[str, Any]:
        """What the plan must keep of the first part; the others have files of their own."""
        return self.parts[0].search.to_json()

    def _find(self, number: int) -> tuple[Enumerated, int]:
        self._check_number(number)
        index = bisect_right(self._firsts, number) - 1
        part = self.parts[index]
        return part.search, part.start + number - self._firsts[index]
