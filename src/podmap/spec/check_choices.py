"""Checks that trials have the params that placeholders name, where some trials lack some.

They are lacking where a choice is a mapping that does not give them, and where a param's condition
does not hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from podmap.spec.absent import stands_for
from podmap.spec.check_trial import patches_of, texts, used_params
from podmap.spec.conditions import Conditions, optional_params, options
from podmap.spec.findings import Finding, Place
from podmap.spec.flat_params import choice_names, flattened
from podmap.spec.model import Sweep, TrialTemplate
from podmap.spec.placeholder import find_placeholders
from podmap.spec.search import (
    AdaptiveSearch,
    Dimension,
    GridSearch,
    RandomSearch,
    Range,
    dimensions,
)
from podmap.spec.template import PerTemplate

_MOST_COMBINATIONS = 4096
_ANY = object()
"""A value that is equal to none that a spec can say."""


def check_choices(sweep: Sweep) -> Iterator[Finding]:
    """Params that trials use and lack, where other trials of the search have them.

    Told once for each choice and placeholder, and for each text that names a param which does not
    exist in all trials that have the text.

    Args:
        sweep: Perhaps without its broken parts.
    """
    search = sweep.search
    if not isinstance(search, (GridSearch, RandomSearch, AdaptiveSearch)):
        return
    checker = _Checker(sweep, search)
    if checker.uneven or checker.conditions.when:
        yield from checker.findings()


class _Checker:
    """Looks at one combination after the other of what decides which params a trial has."""

    def __init__(self, sweep: Sweep, search: GridSearch | RandomSearch | AdaptiveSearch) -> None:
        self._sweep = sweep
        self._dims = dimensions(search.params)
        self.conditions = Conditions(search.params)
        self._optional = optional_params(search)
        choices = {name: each for name, each in self._dims.items() if isinstance(each, list)}
        given = {name: choice_names(name, each) for name, each in choices.items()}
        self.uneven = {name: names for name, names in given.items() if len(set(names)) > 1}

    @cached_property
    def _axes(self) -> dict[str, list[Any]]:
        """Params to all values of theirs that may make a difference."""
        asked = {name for case in self._sweep.trial.cases for name in case.when}
        decide = self.uneven.keys() | asked | self.conditions.askers
        return {name: self._values(name, one) for name, one in self._dims.items() if name in decide}

    def _values(self, name: str, one: Dimension) -> list[Any]:
        if isinstance(one, list):
            return one
        if not isinstance(one, Range):
            return [one]
        conditions = [*self.conditions.when.values(), *(c.when for c in self._sweep.trial.cases)]
        asked = [value for when in conditions for value in options(when.get(name, []))]
        return [*asked, _ANY]

    def findings(self) -> Iterator[Finding]:
        trial = self._sweep.trial
        used = PerTemplate(trial, lambda own: frozenset(used_params(texts(own))))
        bound = PerTemplate(trial, self._bound)
        lacking: set[tuple[str, int, str]] = set()
        texts_lacking: dict[Place, str] = {}
        for places in itertools.islice(self._combinations(), _MOST_COMBINATIONS):
            values = {name: self._axes[name][place] for name, place in places.items()}
            params = self._existing(values)
            for name, names in self.uneven.items():
                if name in places and names[places[name]] <= params.keys():
                    every = frozenset().union(*names) - names[places[name]]
                    lacking |= {
                        (name, places[name], one) for one in used.for_params(params) & every
                    }
            for where, one in bound.for_params(params):
                if one not in params:
                    texts_lacking.setdefault(where, one)
        for name, place, one in sorted(lacking):
            message = f"{{params.{one}}} has no value in trials with this choice"
            hint = f"give {one} here, or move what uses it to trial.cases"
            yield Finding(("search", "params", name, place), message, hint)
        for where, one in texts_lacking.items():
            yield self._bound_finding(where, one)

    def _combinations(self) -> Iterator[dict[str, int]]:
        """All, those first that differ in one param: of a large search the others are cut off."""
        first = dict.fromkeys(self._axes, 0)
        for name, values in self._axes.items():
            yield from ({**first, name: place} for place in range(len(values)))
        every = itertools.product(*(range(len(values)) for values in self._axes.values()))
        yield from (dict(zip(self._axes, places, strict=True)) for places in every)

    def _existing(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The params of trials with these values, others with a value that says nothing."""
        others = {name: self._any(one) for name, one in self._dims.items() if name not in values}
        return flattened(self.conditions.applying({**others, **values}))

    def _any(self, one: Dimension) -> Any:
        if isinstance(one, list):
            first = one[0] if one else None
            return first if isinstance(first, Mapping) or len(one) == 1 else _ANY
        return _ANY if isinstance(one, Range) else one

    def _bound(self, own: TrialTemplate) -> frozenset[tuple[Place, str]]:
        """The places of texts that cannot be left out, with params that trials may lack."""
        found = set()
        for where, text in texts(own) if self._optional else ():
            names = {p.name for p in find_placeholders(text) if p.root == "params"}
            names &= self._optional
            if names and stands_for(str(where[0]), text) is None:
                found |= {(where, name) for name in names}
        return frozenset(found)

    def _bound_finding(self, where: Place, name: str) -> Finding:
        holders = [
            place
            for place, patch in patches_of(self._sweep)
            if any(each == where and f"{{params.{name}}}" in text for each, text in texts(patch))
        ]
        message = f"{{params.{name}}} has no value in trials whose params do not meet its `when`"
        return Finding((*(holders or [("trial",)])[0], *where), message, _hint(where, name))


def _hint(where: Place, name: str) -> str:
    cases = "move it to trial.cases"
    if where[0] in ("command", "args"):
        last = name.rpartition(".")[2]
        return (
            f'write "--{last}={{params.{name}}}" as one argument, which is left out where there is '
            f"no {name}; or {{params: flags}}, or {cases}"
        )
    if where[0] == "env":
        return f'write "{{params.{name}}}" alone: then the variable is left out; or {cases}'
    return cases
