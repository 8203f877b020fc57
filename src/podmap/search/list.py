"""`kind: list`: trials that are given one by one, inline, in a file, or by an upstream task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from podmap.search.base import Enumerated, ItemProblems, ItemRow, section
from podmap.search.check_items import check_items
from podmap.search.experiments import experiment_rows
from podmap.search.list_files import read_rows
from podmap.search.uris import absolute_uri
from podmap.spec.flat_params import PATCH
from podmap.spec.model import Sweep
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
        search = section(sweep, ListSearch)
        items = search.items or []
        if isinstance(items, str):
            uri = absolute_uri(items, folder)
            problems = ItemProblems(masked(uri))
            rows = read_rows(uri, problems, folder=folder, types=search.types)
            checked = check_items(
                rows, problems, sweep.trial, patches=search.item_patches, types=search.types
            )
            return cls(checked)
        given = (ItemRow(item, path=f"search.items[{index}]") for index, item in enumerate(items))
        place, types = "search.items", search.types
        return cls(check_items(given, ItemProblems(), sweep.trial, place=place, types=types))

    @classmethod
    def from_experiments(cls, given: Any, sweep: Sweep) -> ItemList:
        """The trials that an upstream task gave.

        Args:
            given: Dicts, one a trial, in anything that `experiment_rows` takes; they may come from
                anywhere, so they are checked.
            sweep: The spec, whose template the experiments must fit.

        Raises:
            SpecError: It is no list of dicts of JSON values, is empty, or has duplicates.
        """
        rows = (
            ItemRow(each, path=f"experiments[{index}]")
            for index, each in enumerate(experiment_rows(given))
        )
        search = sweep.search if isinstance(sweep.search, ListSearch) else None
        return cls(
            check_items(
                rows,
                ItemProblems(),
                sweep.trial,
                place="experiments",
                distinct=True,
                patches=search.item_patches if search else "safe",
                types=search.types if search else None,
            )
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any], sweep: Sweep) -> ItemList:
        """The items that were checked when the run was planned, wherever they came from."""
        items = data["items"]
        if not all(
            isinstance(one, Mapping) and isinstance(one.get(PATCH, {}), Mapping) for one in items
        ):
            raise ValueError("its items are no params")
        return cls(items)

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
