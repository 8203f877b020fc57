"""Trials of other runs, of which a search that learns is told before its own: `learn_from`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from podmap.engine.past_points import past_trials
from podmap.engine.result import objective_of
from podmap.errors import Problem, RecordError, SpecError, UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.runs import find_run
from podmap.records import Record, TrialState
from podmap.search.adaptive.optuna_file import read_study
from podmap.search.adaptive.past import PastTrial
from podmap.search.adaptive.space import Space
from podmap.search.plan import LearntTrial, Plan
from podmap.search.ray_folder import read_experiment
from podmap.spec.dimension import same_value
from podmap.spec.model import Objective, Sweep
from podmap.spec.search import AdaptiveSearch
from podmap.uris import masked


class ReadsTrials(Protocol):
    """Reads another tool's trials as records."""

    def __call__(
        self, place: str, goals: Sequence[Objective], *, key: str, folder: str
    ) -> list[Record]:
        """As `podmap.search.ray_folder.read_experiment`."""
        ...


OTHER_TOOLS: Mapping[str, ReadsTrials] = {"optuna": read_study, "ray": read_experiment}
"""What stands before the colon in `search.learn_from` to what reads such trials."""
MOST_LEARNT = 1000
"""Of more, some are kept that are spread evenly from the best to the worst."""
_WITH_VALUE = frozenset({TrialState.COMPLETE, TrialState.PRUNED})
_SHOWN = 5


def take_learnt(plan: Plan, sweep: Sweep, *, store: str, folder: str) -> list[str]:
    """Reads the trials that the plan's search is to be told of; the plan keeps them. Blocks.

    They are read once, so that what is suggested does not depend on how other runs go on.

    Args:
        plan: A new plan; nothing is done if its search does not learn.
        sweep: The spec that it was made of.
        store: Where runs are looked for by their ids.
        folder: The folder of the spec, where paths of other tools' files start from.

    Returns:
        What was left out of each run, for people.

    Raises:
        SpecError: There is no such run, or it cannot be read.
        NotSupportedError: A package that reads a file is not installed.
        UnreachableError: A file could not be asked for.
        StoreError: The store could not be asked.
    """
    search = sweep.search
    if not isinstance(search, AdaptiveSearch) or not plan.learns:
        return []
    space = Space(search.params)
    found: list[PastTrial] = []
    told: list[str] = []
    problems: list[Problem] = []
    for index, run in enumerate(search.learn_from):
        path = f"search.learn_from[{index}]"
        try:
            uri, records = _records_of(run, space, sweep, key=path, store=store, folder=folder)
            sorted_out = _sort(records, space, sweep)
        except SpecError as error:
            problems += error.problems
            continue
        except (UsageError, RecordError) as error:
            problems.append(Problem(path, str(error)))
            continue
        found += past_trials(-1, sorted_out.fit, space, sweep.objectives)
        if sorted_out.others:
            told.append(f"{path}: of {uri} {sorted_out.describe()}")
    if problems:
        raise SpecError(problems)
    plan.learnt = tuple(LearntTrial(space.outer(one.point), one.values) for one in _spread(found))
    return told


def _records_of(
    run: str, space: Space, sweep: Sweep, *, key: str, store: str, folder: str
) -> tuple[str, Iterable[Record]]:
    """What a run is called, and its records; those of other tools as the space would have them."""
    tool, _, place = run.partition(":")
    if tool in OTHER_TOOLS and not place.startswith("//"):
        read = OTHER_TOOLS[tool]
        return masked(run), _fitted(read(place, sweep.objectives, key=key, folder=folder), space)
    uri = find_run(store, run)
    ledger = Ledger.open(uri)
    ledger.read_manifest()
    return uri, ledger.records()


def _fitted(records: Sequence[Record], space: Space) -> list[Record]:
    """Records of another tool, with the space's constants, which it may have known nothing of.

    What it gave all trials alike, and the space has not, is left out.
    """
    own = [record.params for record in records if record.params]
    alike = {
        name
        for name in (own[0].keys() - space.names if own else ())
        if all(name in params and same_value(params[name], own[0][name]) for params in own)
    }
    return [
        replace(record, params=space.completed(_without(record.params, alike)))
        for record in records
    ]


def _without(params: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in names}


@dataclass(slots=True)
class _Sorted:
    """The trials of a run: those to be told of, and why others are not.

    Attributes:
        fit: With the value of the new run's objectives, or FAILED.
        others: Why, to the numbers of the trials.
    """

    fit: list[Record] = field(default_factory=list)
    others: dict[str, list[int]] = field(default_factory=dict)

    def describe(self) -> str:
        """The counts, and which trials are left out."""
        left = sum(map(len, self.others.values()))
        parts = [f"{_numbers(own)} ({why})" for why, own in self.others.items()]
        shown = "; ".join(parts[:_SHOWN]) + ("; …" if len(parts) > _SHOWN else "")
        return f"{len(self.fit)} trials are learnt from and {left} are left out: {shown}"


def _numbers(own: Sequence[int]) -> str:
    shown = ", ".join(map(str, own[:_SHOWN]))
    more = f" and {len(own) - _SHOWN} more" if len(own) > _SHOWN else ""
    return f"{'trials' if len(own) > 1 else 'trial'} {shown}{more}"


def _sort(records: Iterable[Record], space: Space, sweep: Sweep) -> _Sorted:
    names = [goal.metric for goal in sweep.objectives]
    sorted_out = _Sorted()
    for record in records:
        value = objective_of(record.metrics, names) if record.state in _WITH_VALUE else None
        why = _why_not(record, value, names) or _why_outside(record, space)
        if why:
            sorted_out.others.setdefault(why, []).append(record.number)
        else:
            sorted_out.fit.append(replace(record, objective=value))
    return sorted_out


def _why_not(record: Record, value: object, names: Sequence[str]) -> str:
    if record.state is TrialState.FAILED:
        return ""
    if record.state not in _WITH_VALUE:
        return str(record.state.value)
    return "" if value is not None else f"no value of {', '.join(names)}"


def _why_outside(record: Record, space: Space) -> str:
    try:
        space.inner(record.params)
    except ValueError as error:
        return str(error)
    return ""


def _spread(found: Sequence[PastTrial]) -> list[PastTrial]:
    if len(found) <= MOST_LEARNT:
        return list(found)
    ranked = sorted(found, key=lambda one: (not one.values, one.values))
    last = len(ranked) - 1
    return [ranked[round(place * last / (MOST_LEARNT - 1))] for place in range(MOST_LEARNT)]
