"""Checks choices that are mappings: whether each gives the params that placeholders name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from podmap.spec.check_trial import texts, used_params
from podmap.spec.findings import Finding
from podmap.spec.flat_params import choice_names, flattened
from podmap.spec.model import Sweep
from podmap.spec.search import GridSearch, RandomSearch
from podmap.spec.template import PerTemplate

_MOST_COMBINATIONS = 4096


def check_choices(sweep: Sweep) -> Iterator[Finding]:
    """Choices that lack a param which their trials use, where other choices of the param give it.

    Told once for each choice and placeholder.

    Args:
        sweep: Perhaps without its broken parts.
    """
    search = sweep.search
    if not isinstance(search, (GridSearch, RandomSearch)):
        return
    choices = {name: each for name, each in search.params.items() if isinstance(each, list)}
    given = {name: choice_names(name, each) for name, each in choices.items()}
    uneven = {name: names for name, names in given.items() if len(set(names)) > 1}
    if not uneven:
        return
    asked = {name for case in sweep.trial.cases for name in case.when}
    axes = [name for name in choices if name in uneven or name in asked]
    needed = PerTemplate(sweep.trial, lambda own: frozenset(used_params(texts(own))))
    told: set[tuple[str, int, str]] = set()
    places = itertools.product(*(range(len(choices[name])) for name in axes))
    for combination in itertools.islice(places, _MOST_COMBINATIONS):
        at = dict(zip(axes, combination, strict=True))
        params: dict[str, Any] = {name: choices[name][place] for name, place in at.items()}
        used = needed.for_params(flattened(params))
        for name, names in uneven.items():
            every = frozenset().union(*names)
            told |= {(name, at[name], one) for one in used & every - names[at[name]]}
    for name, place, lacking in sorted(told):
        message = f"{{params.{lacking}}} has no value in trials with this choice"
        hint = f"give {lacking} here, or move what uses it to trial.cases"
        yield Finding(("search", "params", name, place), message, hint)
