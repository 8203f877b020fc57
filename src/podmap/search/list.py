"""`kind: list`: trials that are given one by one, inline, in a file, or by an upstream task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from podmap.errors import Problem, SpecError
from podmap.search.base import Enumerated, ItemProblems, section
from podmap.search.check_items import PATCH, check_items
from podmap.search.list_files import ItemRow, read_rows
from podmap.search.uris import absolute_uri
from podmap.spec.model import Sweep, TrialTemplate
from podmap.spec.search import ListSearch
from podmap.uris import masked


class ItemList(Enumerated):
    """The items, in their order."""

    kind = "list"

    def __init__(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Takes items as `check_items` gives them."""
        self.items = tuple(items)
        self.count = len(self.items)

    @classmethod
    def from_spec(cls, sweep: Sweep, *, folder: str = "") -> ItemList:
        """The items of a spec, or of the file it names."""
        items = section(sweep, ListSearch).items
        if isinstance(items, str):
            uri = absolute_uri(items, folder)
            problems = ItemProblems(masked(uri))
            rows = read_rows(uri, problems, folder=folder)
            return cls(check_items(rows, problems, sweep.trial))
        given = (ItemRow(item, path=f"search.items[{index}]") for index, item in enumerate(items))
        return cls(check_items(given, ItemProblems(), sweep.trial, place="search.items"))

    @classmethod
    def from_experiments(cls, given: Any, template: TrialTemplate) -> ItemList:
        """The trials that an upstream task gave.

        Args:
            given: A list of dicts, one a trial; may come from anywhere, so it is checked.
            template: What the experiments must fit.

        Raises:
            SpecError: It is no list of dicts of JSON values, is empty, or has duplicates.
        """
        if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Sequence):
            message = f"is of type {type(given).__name__}, but must be a list of dicts, one a trial"
            raise SpecError([Problem("experiments", message)])
        rows = (ItemRow(each, path=f"experiments[{index}]") for index, each in enumerate(given))
        return cls(check_items(rows, ItemProblems(), template, place="experiments", distinct=True))

    @classmethod
    def from_json(cls, data: Mapping[str, Any], sweep: Sweep) -> ItemList:
        """The items that were checked when the run was planned, wherever they came from."""
        return cls(data["items"])

    def to_json(self) -> dict[str, Any]:
        """The items."""
        return {"items": [dict(item) for item in self.items]}

    def ask(self, number: int) -> dict[str, Any]:
        """The item's params."""
        self._check_number(number)
        return {name: value for name, value in self.items[number].items() if name != PATCH}

    def patch(self, number: int) -> Mapping[str, Any]:
        """The item's own part of a template."""
        self._check_number(number)
        patch: Mapping[str, Any] = self.items[number].get(PATCH, {})
        return patch
