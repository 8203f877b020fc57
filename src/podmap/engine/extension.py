"""Extends the search of a run that goes on or has ended: more trials, or another space for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podmap.additions import Addition
from podmap.clock import iso, utc_now
from podmap.engine.growth import add_items, announce
from podmap.engine.planned import PlannedRun
from podmap.errors import Problem, SpecError, UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_state import RunState
from podmap.search.base import ItemProblems, ItemRow
from podmap.search.kinds import make_search
from podmap.spec.dimension import why_impossible
from podmap.spec.flat_params import PATCH
from podmap.spec.load import LoadedSpec, load
from podmap.spec.search import GridSearch, ListSearch, ShardsSearch, dimensions

CHANGEABLE = ("trials", "params", "items")
_PARTS = [[name] for name in CHANGEABLE]


@dataclass(frozen=True, slots=True)
class Extended:
    """What became of a run's search.

    Attributes:
        first: The number of the first new trial.
        count: How many trials the run has now.
        outside: How many of the trials before have params that the space does not have any more.
        before: The run's state before: with `finished` in it, nobody works on the run any more.
    """

    first: int
    count: int
    outside: int
    before: RunState


def extend_run(
    ledger: Ledger, overrides: Mapping[str, Any], *, by: str, goes_on: bool = False
) -> Extended:
    """Has the search of a run go on, with values of its spec changed; blocks.

    Trials that are there stay as they are. A search with a number of trials goes on up to the new
    one, in the space that it has from now on; a grid or a list gets what it has not had.

    Args:
        ledger: Of the run.
        overrides: Dotted path to value, below `search`.
        by: Who extends it, for a person.
        goes_on: Whether a process of this host works on the run.

    Raises:
        SpecError: The values do not fit the spec, or cannot be changed any more.
        UsageError: The search of the run cannot be extended, or not so.
        StoreError: The ledger cannot be read or written.
    """
    while True:
        planned = PlannedRun.open(ledger)
        loaded = _extended_spec(planned, overrides)
        outside = _count_outside(planned, loaded)
        if isinstance(loaded.sweep.search, (GridSearch, ListSearch)):
            first = planned.plan.count
            rows = _rows(loaded, folder=planned.manifest.folder)
            grown = add_items(ledger, rows, ItemProblems("the search"), by=by, skip_known=True)
            return Extended(first, grown.count, outside, grown.before)
        addition = _addition(planned, loaded, by=by, goes_on=goes_on)
        if addition is None:
            count = planned.plan.count
            return Extended(count, count, outside, ledger.read_state())
        if ledger.add(planned.manifest, addition):
            before = announce(ledger, addition.end)
            return Extended(addition.first, addition.end, outside, before)


def _current(planned: PlannedRun) -> Mapping[str, Any]:
    """The spec's `search` as it is by now."""
    extended = [each.search for each in planned.manifest.added if each.search is not None]
    found: Mapping[str, Any] | None = (
        extended[-1] if extended else planned.manifest.spec.get("search")
    )
    if found is None:
        raise UsageError(
            "the trials of this run were given by a task of its DAG, not by a search: there is "
            "nothing to extend; see podmap add"
        )
    if isinstance(planned.sweep.search, ShardsSearch):
        raise UsageError("each trial of the run is a piece of data: start a new run for more of it")
    return found


def _extended_spec(planned: PlannedRun, overrides: Mapping[str, Any]) -> LoadedSpec:
    """The spec with the changes.

    Raises:
        SpecError: It is not valid, or something else than the search is changed.
        UsageError: The run has no search that can be extended.
    """
    spec = {**planned.manifest.spec, "search": _current(planned)}
    problems = [
        Problem(path, _why_not(path))
        for path in overrides
        if path.split(".")[0] != "search" or path.split(".")[1:2] not in _PARTS
    ]
    if problems:
        raise SpecError(problems, source="--set")
    return load(spec, overrides=overrides, overrides_from="--set")


def _why_not(path: str) -> str:
    if path.split(".")[0] != "search":
        hint = "; podmap set changes parallelism" if path == "parallelism" else ""
        return f"only search is extended: start a new run for another {path.split('.')[0]}{hint}"
    names = ", ".join(f"search.{name}" for name in CHANGEABLE)
    return f"this cannot be changed any more; {names} can"


def _rows(loaded: LoadedSpec, *, folder: str) -> list[ItemRow]:
    """The items of a grid or a list."""
    search = make_search(loaded.sweep, folder=folder)
    rows = []
    for place in range(search.count):
        patch = search.patch(place)
        item = {**search.ask(place), **({PATCH: dict(patch)} if patch else {})}
        rows.append(ItemRow(item, path=f"search[{place}]"))
    return rows


def _addition(
    planned: PlannedRun, loaded: LoadedSpec, *, by: str, goes_on: bool
) -> Addition | None:
    """The trials that the search is to go on with; None if there are none.

    Raises:
        SpecError: There would be fewer, or another space for none.
        UsageError: The process that runs the run has learnt of another space.
    """
    search, now = loaded.raw["search"], _current(planned)
    trials, had = int(search["trials"]), int(now["trials"])
    is_changed = search.get("params") != now.get("params")
    if trials < had:
        message = f"{trials} is less than the {had} that there are"
        hint = "to start no new ones: podmap stop"
        raise SpecError([Problem("search.trials", message, hint=hint)], source="--set")
    if trials == had:
        if is_changed:
            message = f"the space is that of trials to come: give more than {had} here, too"
            raise SpecError([Problem("search.trials", message)], source="--set")
        return None
    if is_changed and goes_on and planned.plan.learns:
        raise UsageError(
            "the process that runs the run learns about the space that it knows: interrupt it "
            "(Ctrl-C, SIGTERM), extend, then podmap resume"
        )
    count = (trials - had) * planned.plan.repeats
    return Addition(planned.plan.count, count, search=search, at=iso(utc_now()), by=by)


def _count_outside(planned: PlannedRun, loaded: LoadedSpec) -> int:
    """How many records have params that the space does not have."""
    params = dimensions(getattr(loaded.sweep.search, "params", None) or {})
    return sum(
        any(name in params and why_impossible(value, params[name]) for name, value in own.items())
        for own in (record.params for record in planned.ledger.records())
    )
