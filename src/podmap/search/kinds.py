"""From a spec to a search that knows its trials: list, grid, random or shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from podmap.errors import NotSupportedError, Problem, SpecError
from podmap.search.check_items import Fit
from podmap.search.grid import Grid
from podmap.search.item_errors import Problems
from podmap.search.list import ItemList, gather
from podmap.search.list_files import Row, read_rows
from podmap.search.random import RandomDraws
from podmap.search.shards import ShardList, find_shards
from podmap.search.uris import resolved
from podmap.spec.model import Sweep
from podmap.spec.search import AdaptiveSearch, GridSearch, ListSearch, RandomSearch, ShardsSearch

AnyEnumerated = ItemList | Grid | RandomDraws | ShardList


def enumerate_search(sweep: Sweep, *, folder: str = "") -> AnyEnumerated:
    """The trials of a spec: reads the list's file, or looks up the shards, if there are any.

    Args:
        sweep: A checked spec.
        folder: Where relative paths start from; empty for the working directory.

    Raises:
        SpecError: There is no search, or what it names is missing or wrong.
        NotSupportedError: The kind of search cannot be run yet, or a package is not installed.
        UnreachableError: A file or filesystem could not be asked.
    """
    search = sweep.search
    if search is None:
        message = "there is no search, and no experiments were given"
        raise SpecError([Problem("search", message)])
    if isinstance(search, ListSearch):
        return _listed(search, sweep, folder)
    if isinstance(search, ShardsSearch):
        patterns = [search.uris] if isinstance(search.uris, str) else search.uris
        return ShardList(find_shards(patterns, folder=folder), params=search.params)
    return search_without_data(search)


def search_without_data(search: GridSearch | RandomSearch | AdaptiveSearch) -> Grid | RandomDraws:
    """The search, where the spec alone says what its trials are.

    Raises:
        SpecError: A grid's params have no points.
        NotSupportedError: The search is adaptive.
    """
    if isinstance(search, GridSearch):
        return Grid(search.params)
    if isinstance(search, RandomSearch):
        return RandomDraws(
            search.params, trials=search.trials, seed=search.seed, try_first=search.try_first
        )
    message = f"search.kind: {search.kind} is not yet supported"
    raise NotSupportedError(f"{message}; use random, grid or list")


def experiments_given(experiments: Sequence[Mapping[str, Any]], sweep: Sweep) -> ItemList:
    """The trials that an upstream task gave.

    Args:
        experiments: A list of dicts, one a trial; may come from anywhere, so it is checked.
        sweep: Gives the template that the experiments must fit.

    Raises:
        SpecError: It is no list of dicts of JSON values, is empty, or has duplicates.
    """
    given: Any = experiments
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Sequence):
        message = f"is of type {type(given).__name__}, but must be a list of dicts, one a trial"
        raise SpecError([Problem("experiments", message)])
    problems = Problems()
    rows = (Row(values, path=f"experiments[{index}]") for index, values in enumerate(given))
    return _gathered(rows, problems, sweep, empty="experiments", distinct=True)


def _listed(search: ListSearch, sweep: Sweep, folder: str) -> ItemList:
    if isinstance(search.items, str):
        uri = resolved(search.items, folder)
        problems = Problems(uri)
        return _gathered(read_rows(uri, problems), problems, sweep, empty="")
    inline = (Row(item, path=f"search.items[{index}]") for index, item in enumerate(search.items))
    return _gathered(inline, Problems(), sweep, empty="search.items")


def _gathered(
    rows: Iterable[Row], problems: Problems, sweep: Sweep, *, empty: str, distinct: bool = False
) -> ItemList:
    items = gather(rows, problems, fit=Fit(sweep.trial), distinct=distinct)
    if not items and not problems:
        problems.add(Problem(empty, "there are no items, so there is nothing to try"))
    problems.raise_if_any()
    return ItemList(items)
