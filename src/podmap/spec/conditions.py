"""Conditions of params, `when: {kernel: rbf}`: which params exist beside which values of others.

A param whose condition does not hold does not exist in a trial: it is in no argument, record, key
or table. A condition that names such a param does not hold either, so conditions form chains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from podmap.spec.dimension import same_value
from podmap.spec.flat_params import choice_names, flattened
from podmap.spec.search import ConditionalChoice, Dimension, Range, Search, dimensions

When = Mapping[str, Any]
"""Param name to a value, or to a list of values."""


def holds(when: When, params: Mapping[str, Any]) -> bool:
    """Whether the params have all values that are asked for.

    Args:
        when: What is asked for.
        params: With dotted names for nested ones.
    """
    for name, wanted in when.items():
        if name not in params:
            return False
        if not any(same_value(params[name], option) for option in options(wanted)):
            return False
    return True


def options(wanted: Any) -> list[Any]:
    """The values that a condition takes for one param."""
    return wanted if isinstance(wanted, list) else [wanted]


class Conditions:
    """The conditions of a search's params. Immutable.

    Attributes:
        when: Param to its condition, of those that have one.
        order: All params, each behind those that its condition names; those of a circle as written.
        askers: Params that conditions name, by their names in the spec.
    """

    def __init__(self, params: Mapping[str, Dimension | ConditionalChoice]) -> None:
        """Takes the params as the spec has them, perhaps with wrong conditions."""
        self.when: dict[str, When] = {
            name: one.when
            for name, one in params.items()
            if isinstance(one, (Range, ConditionalChoice)) and one.when is not None
        }
        self._owners = _owners(params) if self.when else {}
        self.order = tuple(_ordered(list(params), self.needed_by))
        self.askers = frozenset(name for each in self.when for name in self.needed_by(each))

    def owner(self, name: str) -> str:
        """The param of the spec that gives a name: itself, or that whose choices are mappings."""
        return self._owners.get(name, name)

    def needed_by(self, name: str) -> Iterator[str]:
        """The params of the spec that a param's condition names."""
        return map(self.owner, self.when.get(name, ()))

    def applies(self, name: str, params: Mapping[str, Any]) -> bool:
        """Whether a param exists beside others.

        Args:
            name: The param, as the spec has it.
            params: The others that exist, with dotted names for nested ones.
        """
        return name not in self.when or holds(self.when[name], params)

    def applying(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The params without those that do not exist; the same object if there are no conditions.

        Args:
            params: By their names in the spec; some may be missing.
        """
        if not self.when:
            return params
        found: dict[str, Any] = {}
        flat: dict[str, Any] = {}
        for name in self.order:
            if name in params and self.applies(name, flat):
                found[name] = params[name]
                flat.update(flattened({name: params[name]}))
        return {name: value for name, value in params.items() if name in found}


def optional_params(search: Search | None) -> frozenset[str]:
    """The params that trials of a search may lack by a condition, with dotted names."""
    params: Mapping[str, Dimension | ConditionalChoice] = getattr(search, "params", None) or {}
    dims = dimensions(params)
    return frozenset(
        given for name in Conditions(params).when for given in _names(name, dims[name])
    )


def known_names(raw: Any) -> frozenset[str]:
    """The dotted names of all params in a search's data, broken ones among them."""
    found: set[str] = set()
    for name, one in raw.items() if isinstance(raw, Mapping) else ():
        is_choice = isinstance(one, Mapping) and isinstance(one.get("choices"), list)
        choices = one["choices"] if is_choice else one
        found |= _names(name, choices or [None])
    return frozenset(found)


def _owners(params: Mapping[str, Dimension | ConditionalChoice]) -> dict[str, str]:
    dims = dimensions(params)
    nested = {given: name for name in params for given in _names(name, dims[name])}
    return {**nested, **{name: name for name in params}}


def _names(name: str, dimension: Any) -> frozenset[str]:
    choices = dimension if isinstance(dimension, list) else [None]
    return frozenset[str]().union(*choice_names(name, choices))


def _ordered(names: list[str], needed_by: Any) -> Iterator[str]:
    left = dict.fromkeys(names)
    while left:
        ready = [name for name in left if not any(each in left for each in needed_by(name))]
        for name in ready or list(left):
            yield name
            del left[name]
