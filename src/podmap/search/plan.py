"""The plan of a run: all its trials, made one by one from little that is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from podmap.errors import RecordError
from podmap.names import digest
from podmap.records import Shard, Trial
from podmap.search.base import Enumerated
from podmap.search.kinds import make_search, restore_search
from podmap.search.list import ItemList
from podmap.spec.model import Sweep
from podmap.spec.template import ContentKeys

if TYPE_CHECKING:
    from podmap.spec.load import LoadedSpec

_SEEDS = 2**31


class Plan:
    """What the manifest keeps of a search, and the trials it stands for.

    A trial is made when asked for, in any process that has the manifest, and is the same
    everywhere. Nothing is kept of trials that were made. Safe to use from any thread.

    Attributes:
        kind: `list`, `grid`, `random` or `shards`; experiments given upstream are a list.
        count: How many trials: numbers go from 0 to `count - 1`.
        repeats: Number to how many earlier trials have the same params and shard, where any do.
    """

    def __init__(self, sweep: Sweep, search: Enumerated, *, repeats: Mapping[int, int]) -> None:
        """Takes a search whose trials are known; use `make_plan` or `from_json`."""
        self.kind = search.kind
        self.count = search.count
        self.repeats = repeats
        self._search = search
        self._seed = sweep.search.seed if sweep.search is not None else 0
        self._keys = ContentKeys(sweep.trial, cache_version=sweep.cache_version)

    def trial(self, number: int) -> Trial:
        """The trial of a number.

        Raises:
            IndexError: The number is outside 0 to `count - 1`.
        """
        search = self._search
        params = search.ask(number)
        patch, shard = search.patch(number), search.shard(number)
        seed = _trial_seed(self._seed, params, shard, self.repeats.get(number, 0))
        key = self._keys.key(params, seed=seed, shard=shard, patch=patch)
        return Trial(number=number, key=key, seed=seed, params=params, shard=shard, patch=patch)

    def trials(self) -> Iterator[Trial]:
        """All trials by number, each made when it is asked for."""
        return (self.trial(number) for number in range(self.count))

    def to_json(self) -> dict[str, Any]:
        """What cannot be had from the spec again, as a JSON object."""
        data: dict[str, Any] = {"kind": self.kind, "count": self.count}
        if self.repeats:
            data["repeats"] = {str(number): k for number, k in self.repeats.items()}
        return data | self._search.to_json()

    @classmethod
    def from_json(cls, data: Mapping[str, Any], sweep: Sweep) -> Plan:
        """The plan in a JSON object made by `to_json`.

        Args:
            data: The object.
            sweep: The effective spec that the plan was made from.

        Raises:
            RecordError: The object is no plan, or not of this spec.
        """
        try:
            search = restore_search(data, sweep)
            repeats = {int(number): k for number, k in data.get("repeats", {}).items()}
            count = data["count"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"not a plan: {type(error).__name__}: {error}") from error
        if search.count != count:
            raise RecordError(f"the plan has {count} trials, but its spec gives {search.count}")
        return cls(sweep, search, repeats=repeats)


def make_plan(
    loaded: LoadedSpec,
    *,
    experiments: Sequence[Mapping[str, Any]] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Plan:
    """Finds out, once, which trials a run has.

    Args:
        loaded: The checked spec.
        experiments: What an upstream task gave: a list of dicts of params, one a trial, each
            perhaps with its own `trial` differences. They stand in for the spec's search, of
            which only the seed still counts. None if there is no such task.
        folder: Where relative paths to lists and shards start from; None for the folder of the
            spec's file, or the working directory if there is no file.

    Raises:
        SpecError: The search names things that are missing or wrong; all problems at once.
        NotSupportedError: The kind of search cannot be run yet, or a package is not installed.
        UnreachableError: A file or filesystem could not be asked.
    """
    sweep = loaded.sweep
    if experiments is not None:
        search: Enumerated = ItemList.from_experiments(experiments, sweep)
    else:
        start = os.path.dirname(loaded.source) if folder is None else os.fspath(folder)
        search = make_search(sweep, folder=start)
    return Plan(sweep, search, repeats=_repeats(search))


def _repeats(search: Enumerated) -> dict[int, int]:
    if search.distinct:
        return {}
    # 64 bits a trial: two that only look the same would merely not share a seed's derivation.
    first: set[int] = set()
    more: dict[int, int] = {}
    repeats: dict[int, int] = {}
    for number in range(search.count):
        content = int(digest(search.ask(number)), 16)
        if content not in first:
            first.add(content)
            continue
        more[content] = repeats[number] = more.get(content, 0) + 1
    return repeats


def _trial_seed(seed: int, params: Mapping[str, Any], shard: Shard | None, k: int) -> int:
    """From content alone, so that other trials, added or taken away, do not change it."""
    uri = None if shard is None else shard.uri
    return int(digest([seed, params, uri, k]), 16) % _SEEDS
