"""Checks a search that learns: what its space must have, beyond what every search's must."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from podmap.spec.findings import Finding, Place, show
from podmap.spec.search import USERS_OWN, AdaptiveSearch, Dimension, Range, dimensions

_TOOLS = ("optuna:", "ray:")
_PARAMS: Place = ("search", "params")


def check_adaptive(search: AdaptiveSearch) -> Iterator[Finding]:
    """What is wrong with the space of a search that learns; each param is right by itself."""
    yield from _check_sampler(search)
    yield from _check_learn_from(search)
    dims = dimensions(search.params)
    if dims and not any(_varies(one) for one in dims.values()):
        message = "every param is a constant or has one value, so there is nothing to search"
        yield Finding(_PARAMS, message, "for one trial after another of the same: kind: list")
    for name, one in dims.items():
        place = (*_PARAMS, name)
        if isinstance(one, list) and search.kind == "cmaes" and _varies(one):
            message = "cmaes takes numbers alone, and this is a choice"
            yield Finding(place, message, "use tpe or gp, or a range")
        elif isinstance(one, Range) and not one.is_int and one.step:
            yield from _check_step(place, one, one.step)


def _check_sampler(search: AdaptiveSearch) -> Iterator[Finding]:
    place: Place = ("search", "sampler")
    if search.kind == USERS_OWN and not search.sampler:
        message = "missing: the name of an entry point of the group podmap.samplers"
        yield Finding(place, message)
    elif search.kind != USERS_OWN and search.sampler is not None:
        message = f"sampler is for kind: {USERS_OWN}, and this is kind: {search.kind}"
        yield Finding(place, message, f"write kind: {USERS_OWN}, or leave sampler out", "key")


def _check_learn_from(search: AdaptiveSearch) -> Iterator[Finding]:
    place: Place = ("search", "learn_from")
    if search.learn_from and search.kind == "qmc":
        yield Finding(place, "qmc learns nothing, so there is nothing to tell it", "use tpe or gp")
    for index, run in enumerate(search.learn_from):
        if not run.strip():
            yield Finding((*place, index), f"{show(run)} is not allowed: a run is needed")
        elif run in _TOOLS:
            hint = "optuna:study.db#NAME, optuna:journal.log, or ray:FOLDER"
            yield Finding((*place, index), f"{show(run)} names no file or folder", hint)
        elif run in search.learn_from[:index]:
            yield Finding((*place, index), f"the run {show(run)} is given twice")


def _check_step(place: Place, span: Range, step: float) -> Iterator[Finding]:
    """A step that misses `high`: the last value would be another one than the spec says."""
    low, high, add = (Fraction(str(each)) for each in (span.low, span.high, step))
    if add > 0 and high > low and (high - low) % add:
        last = float(low + (high - low) // add * add)
        message = f"{step:g} does not lead from {span.low:g} to {span.high:g}: the last is {last:g}"
        yield Finding((*place, "step"), message, f"write high: {last:g}, or another step")


def _varies(dimension: Dimension) -> bool:
    if isinstance(dimension, list):
        return len(dimension) > 1
    return isinstance(dimension, Range) and dimension.low < dimension.high
