"""The plan of a run: all its trials, made one by one from little that is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podmap.additions import Addition, total
from podmap.errors import Problem, RecordError, SpecError
from podmap.names import digest
from podmap.records import Shard, Trial
from podmap.search.base import Enumerated
from podmap.search.kinds import make_search, restore_search
from podmap.search.list import ItemList
from podmap.search.parts import Part, Parts
from podmap.spec.check_search import check_total
from podmap.spec.flat_params import flattened
from podmap.spec.model import Sweep
from podmap.spec.template import ContentKeys

if TYPE_CHECKING:
    from podmap.spec.load import LoadedSpec

_SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class LearntTrial:
    """A trial of another run that the search is told of.

    Attributes:
        params: With dotted names for nested ones.
        values: Of each objective the value, so turned that less is better; none if it failed.
    """

    params: Mapping[str, Any]
    values: tuple[float, ...]

    @classmethod
    def from_json(cls, data: Any) -> LearntTrial:
        """The trial in an array of params and values.

        Raises:
            TypeError, ValueError: The data is no such array.
        """
        params, values = data
        return cls(dict(params), tuple(map(float, values)))


class Plan:
    """What the manifest keeps of a search, and the trials it stands for.

    A trial is made when asked for, in any process that has the manifest, and is the same
    everywhere. Nothing is kept of trials that were made. Safe to use from any thread.

    Attributes:
        kind: What `search.kind` says, or `auto` stands for; experiments are a `list`.
        why: Why that kind was chosen, where the spec leaves it to podmap; else empty.
        count: How many trials: numbers go from 0 to `count - 1`. It may grow.
        planned: How many of them were planned; those behind were added since.
        added: What was added.
        repeats: How many trials in a row have the same params, each with a seed of its own.
        copies: Place in the search to how many earlier ones have the same params, where any do.
        learns: Whether the params of a trial are asked for when it can start.
        learnt: Trials of other runs that the search is told of before its own.
    """

    def __init__(self, sweep: Sweep, search: Enumerated, *, copies: Mapping[int, int]) -> None:
        """Takes a search whose trials are known; use `make_plan` or `from_json`."""
        self.kind, self.why = search.name, search.why
        self.learns = search.learns
        self.repeats = sweep.repeats
        self.planned = self.count = search.count * self.repeats
        self.added: tuple[Addition, ...] = ()
        self.copies = copies
        self.learnt: tuple[LearntTrial, ...] = ()
        self._search = search
        self._seed = sweep.search.seed if sweep.search is not None else 0
        self._keys = ContentKeys(sweep.trial, cache_version=sweep.cache_version)

    def trial(self, number: int) -> Trial:
        """The trial of a number; of a search that learns perhaps an example, see `Trial.example`.

        Raises:
            IndexError: The number is outside 0 to `count - 1`.
        """
        search = self._search
        if not 0 <= number < self.count:
            raise IndexError(f"trial {number}: the numbers go from 0 to {self.count - 1}")
        place = number // self.repeats
        return self._made(number, flattened(search.ask(place)), example=search.is_example(place))

    def proposed(self, number: int, params: Mapping[str, Any]) -> Trial:
        """The trial of a number with the params that a search that learns gave it."""
        return self._made(number, params, example=False)

    def is_asked(self, number: int) -> bool:
        """Whether the params of a trial are asked for when it can start."""
        return self.learns and self._search.is_example(number // self.repeats)

    def accepts(self, number: int, params: Mapping[str, Any]) -> bool:
        """Whether a search that learns may have proposed these params for a trial."""
        return self._search.accepts(number // self.repeats, params)

    def _made(self, number: int, params: Mapping[str, Any], *, example: bool) -> Trial:
        search = self._search
        place, repeat = divmod(number, self.repeats)
        patch, shard = search.patch(place), search.shard(place)
        which = [self.copies.get(place, 0), *([repeat] if repeat else [])]
        seed = _trial_seed(self._seed, params, shard, which)
        key = self._keys.key(params, seed=seed, shard=shard, patch=patch)
        return Trial(
            number=number,
            key=key,
            seed=seed,
            params=params,
            shard=shard,
            patch=patch,
            repeat=repeat,
            example=example,
        )

    def take_in(self, added: Sequence[Addition], sweeps: Sequence[Sweep | None]) -> None:
        """Takes in what was added to the run; the trials that were there stay as they are.

        Args:
            added: All that was added, in order.
            sweeps: Of each its spec, where its search goes on; else None.

        Raises:
            ValueError: It does not fit the plan.
        """
        parts = [Part(self._search, count=self.planned // self.repeats)]
        if isinstance(self._search, Parts):
            parts = list(self._search.parts[:1])
        searched = parts[0].count
        for addition, sweep in zip(added, sweeps, strict=True):
            count = addition.count // self.repeats
            if sweep is None:
                part = Part(ItemList(addition.items or ()), count=count)
            else:
                part = Part(make_search(sweep), start=searched, count=count)
                searched += count
            if part.search.count < part.start + count or count * self.repeats != addition.count:
                raise ValueError(f"{addition.count} trials were added, which is not what they say")
            parts.append(part)
        copies = {int(place): k for each in added for place, k in each.copies.items()}
        # In this order: whoever sees the count finds the trials.
        self._search = Parts(parts)
        self.copies = {**self.copies, **copies}
        self.added = tuple(added)
        self.count = total(self.planned, added)

    def patches(self) -> Iterator[Mapping[str, Any]]:
        """What differs in the template, of all trials of which something does."""
        lists = self.kind == ItemList.kind or self.added
        places = range(self._search.count) if lists else ()
        return filter(None, map(self._search.patch, places))

    def key(self, trial: Trial) -> str:
        """The key that a trial's params, seed, shard and patch make."""
        return self._keys.key(trial.params, seed=trial.seed, shard=trial.shard, patch=trial.patch)

    def trials(self) -> Iterator[Trial]:
        """All trials by number, each made when it is asked for."""
        return (self.trial(number) for number in range(self.count))

    def to_json(self) -> dict[str, Any]:
        """What cannot be had from the spec again, as a JSON object."""
        data: dict[str, Any] = {"kind": self.kind, "count": self.count}
        if self.copies:
            data["repeats"] = {str(place): k for place, k in self.copies.items()}
        if self.learnt:
            data["learnt"] = [[one.params, one.values] for one in self.learnt]
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
            copies = {int(place): k for place, k in data.get("repeats", {}).items()}
            count = data["count"]
            learnt = tuple(map(LearntTrial.from_json, data.get("learnt", ())))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"not a plan: {type(error).__name__}: {error}") from error
        plan = cls(sweep, search, copies=copies)
        if plan.count != count:
            raise RecordError(f"the plan has {count} trials, but its spec gives {plan.count}")
        plan.learnt = learnt
        return plan


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
            which only the seed and the repeats still count. None if there is no such task.
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
    _check_count(search.count, sweep.repeats)
    return Plan(sweep, search, copies=_copies(search))


def _check_count(count: int, repeats: int) -> None:
    found = check_total(count, repeats)
    if found:
        raise SpecError([Problem("search.repeats", each.message, hint=each.hint) for each in found])


def _copies(search: Enumerated) -> dict[int, int]:
    if search.distinct:
        return {}
    # 64 bits a trial: two that only look the same would merely not share a seed's derivation.
    first: set[int] = set()
    more: dict[int, int] = {}
    copies: dict[int, int] = {}
    for place in range(search.count):
        content = int(digest(search.ask(place)), 16)
        if content not in first:
            first.add(content)
            continue
        more[content] = copies[place] = more.get(content, 0) + 1
    return copies


def _trial_seed(
    seed: int, params: Mapping[str, Any], shard: Shard | None, which: Sequence[int]
) -> int:
    """From content alone, so that other trials, added or taken away, do not change it.

    The first trial of some params has the seed that it would have without repeats.
    """
    uri = None if shard is None else shard.uri
    return int(digest([seed, params, uri, *which]), 16) % _SEEDS
