"""Checks conditions, `when:` of cases and of params: names, values, circles, contradictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from podmap.spec.conditions import Conditions, options
from podmap.spec.dimension import is_continuous, same_value, why_impossible
from podmap.spec.findings import Finding, Place, did_you_mean, show, show_whole
from podmap.spec.flat_params import flat_item, flat_pairs
from podmap.spec.search import AdaptiveSearch, ListSearch, Params, Search, ShardsSearch, dimensions

_PARAMS: Place = ("search", "params")
_EVERYWHERE = ("gp", "cmaes", "nsga2")
"""Kinds whose samplers know of no param that some trials lack."""


def unknown_param(place: Place, name: str, known: Iterable[str]) -> Finding:
    """The finding of a name that no param has."""
    listed = sorted(known)
    message = f"{show(name)} is not a param; there are: {', '.join(listed) or 'none'}"
    return Finding(place, message, did_you_mean(name, listed), on="key")


def check_when(
    place: Place, when: Mapping[str, Any], search: Search | None, known: Iterable[str]
) -> Iterator[Finding]:
    """What is wrong in a `when`: unknown params and values they never take.

    Args:
        place: Where it stands.
        when: Param name to value or values.
        search: Says what values there are; None if that is not known.
        known: The names of the params, broken ones too.
    """
    names = set(known)
    for name, wanted in when.items():
        if name not in names:
            yield unknown_param((*place, name), name, names)
            continue
        if isinstance(wanted, list) and not wanted:
            yield Finding((*place, name), "[] is not allowed: at least one value is needed")
        for index, value in enumerate(options(wanted)):
            why = _why_never(name, value, search)
            if why:
                at = (*place, name, index) if isinstance(wanted, list) else (*place, name)
                yield Finding(at, f"{show_whole(value)} is never taken by {name}: {why}")


def check_conditions(
    search: Search, known: Iterable[str], conditions: Conditions
) -> Iterator[Finding]:
    """What is wrong with the conditions of a search's params, each right by itself.

    Args:
        search: The search.
        known: The names of its params, with dotted names for nested ones.
        conditions: Those of its params.
    """
    names = set(known)
    found: list[Finding] = []
    for name, when in conditions.when.items():
        place = (*_PARAMS, name, "when")
        if not when:
            message = "{} is not allowed: a param and its value are needed"
            found.append(Finding(place, message, "leave when out, and every trial has it"))
        found += check_when(place, when, search, names)
    yield from found
    if isinstance(search, ShardsSearch | ListSearch) or found:
        return
    wrong = [*_check_continuous(search.params, conditions), *_check_circles(conditions)]
    yield from wrong
    if not wrong:
        yield from _check_contradictions(conditions)
    if isinstance(search, AdaptiveSearch) and search.kind in _EVERYWHERE and conditions.when:
        message = f"{search.kind} takes params that every trial has"
        hint = "use tpe, qmc or random, or leave kind out, which takes tpe"
        yield Finding((*_PARAMS, next(iter(conditions.when)), "when"), message, hint, "key")


def _check_continuous(params: Params, conditions: Conditions) -> Iterator[Finding]:
    dims = dimensions(params)
    for name, when in conditions.when.items():
        for asked in when:
            if is_continuous(dims.get(asked)):
                message = f"{asked} takes any number of its range, so hardly ever just this one"
                hint = f"give {asked} step or steps, or name another param"
                yield Finding((*_PARAMS, name, "when", asked), message, hint)


def _check_circles(conditions: Conditions) -> Iterator[Finding]:
    """Params that exist only if they exist: told once for each circle."""
    seen: set[str] = set()
    for name in conditions.when:
        path = [name]
        while (following := next(_unseen(conditions, path, seen), None)) is not None:
            path.append(following)
            if following in path[:-1]:
                circle = path[path.index(following) :]
                message = f"a circle, so that none of them ever exists: {' needs '.join(circle)}"
                yield Finding((*_PARAMS, following, "when"), message)
                break
        seen.update(path)


def _unseen(conditions: Conditions, path: list[str], seen: set[str]) -> Iterator[str]:
    for name in conditions.needed_by(path[-1]):
        if name not in seen and (name in path or name in conditions.when):
            yield name


def _check_contradictions(conditions: Conditions) -> Iterator[Finding]:
    """Params that no trial could have: what they need, and what that needs, exclude each other."""
    needs: dict[str, dict[str, tuple[list[Any], str]]] = {}
    for name in conditions.order:
        own: dict[str, tuple[list[Any], str]] = {}
        for asked, wanted in conditions.when.get(name, {}).items():
            parts = {asked: (options(wanted), name), **needs.get(conditions.owner(asked), {})}
            for each, (values, by) in parts.items():
                before, by_before = own.get(each, (values, by))
                both = [one for one in before if any(same_value(one, other) for other in values)]
                if not both:
                    message = f"never true: {by_before} needs {each} to be {_some(before)}"
                    message += f", and {by} needs {_some(values)}"
                    yield Finding((*_PARAMS, name, "when"), message)
                    return
                own[each] = both, by if len(both) < len(before) else by_before
        needs[name] = own


def _some(values: list[Any]) -> str:
    return " or ".join(map(show_whole, values))


def _why_never(name: str, value: Any, search: Search | None) -> str:
    if isinstance(search, ListSearch):
        if not isinstance(search.items, list) or name in search.types:
            return ""
        items = map(flat_item, search.items)
        taken = any(name in item and same_value(item[name], value) for item in items)
        return "" if taken else "no item has it"
    dimension = None if search is None else _dimension(name, search.params)
    return "" if dimension is None else why_impossible(value, dimension)


def _dimension(name: str, params: Mapping[str, Any]) -> Any:
    """The values that a param may have; None if nothing is known of it."""
    dims = dimensions(params)
    if name in dims and not isinstance(dims[name], list):
        return dims[name]
    given = [
        pairs[name]
        for outer, choices in dims.items()
        for choice in (choices if isinstance(choices, list) else ())
        if name in (pairs := dict(flat_pairs({outer: choice})))
    ]
    return given or None
