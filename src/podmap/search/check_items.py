"""Whether given items fit the template, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from podmap.spec.check_search import check_item
from podmap.spec.check_trial import check_item_patch, texts
from podmap.spec.findings import Finding, did_you_mean, path_text
from podmap.spec.model import TrialPatch, TrialTemplate
from podmap.spec.placeholder import Placeholder, find
from podmap.spec.template import PerTemplate

PATCH = "trial"
"""The key of an item that is no param: what differs in the template for that trial."""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What one combination of cases and patch asks of an item.

    Attributes:
        placeholders: Each with the key path of a text it stands in.
        unset: Of `checkpoint` and `output`, those that the trial does not have.
    """

    placeholders: tuple[tuple[str, Placeholder], ...]
    unset: tuple[str, ...]


class Fit:
    """Checks items against one template.

    The template's texts are read once for each combination of cases and patch that comes up,
    so that an item costs microseconds.
    """

    def __init__(self, template: TrialTemplate) -> None:
        """Takes the sweep's template, as in the spec."""
        self._needs = PerTemplate(template, _needs_of)
        self._good_names: set[str] = set()

    def findings(self, item: Mapping[str, Any]) -> list[Finding]:
        """What is wrong with one item of plain values; places are those inside the item."""
        wrong = list(check_item((), item, self._good_names))
        if wrong:
            return wrong
        params = {name: value for name, value in item.items() if name != PATCH}
        patch: Mapping[str, Any] = item.get(PATCH) or {}
        needs = self._needs.for_params(params, patch)
        if patch:
            own = TrialPatch.model_validate(patch)
            wrong = list(check_item_patch((PATCH,), own, params=params, unset=needs.unset))
        return wrong or [
            _missing(placeholder, where, params)
            for where, placeholder in needs.placeholders
            if not _is_there(placeholder, params, needs.unset)
        ]


def _needs_of(template: TrialTemplate) -> _Needs:
    found = {str(placeholder): (where, placeholder) for where, placeholder in _all(template)}
    unset = tuple(name for name in ("checkpoint", "output") if not getattr(template, name))
    return _Needs(tuple(found.values()), unset)


def _all(template: TrialTemplate) -> Iterator[tuple[str, Placeholder]]:
    for place, text in texts(template):
        where = path_text(("trial", *place))
        yield from ((where, placeholder) for placeholder in find(text))


def _is_there(placeholder: Placeholder, params: Mapping[str, Any], unset: tuple[str, ...]) -> bool:
    if placeholder.root == "params":
        return placeholder.name in params
    return placeholder.root != "shard" and (
        placeholder.root != "trial" or placeholder.name not in unset
    )


def _missing(placeholder: Placeholder, where: str, params: Mapping[str, Any]) -> Finding:
    if placeholder.root == "params":
        message = f"has no param {placeholder.name!r}, which {where} needs"
        hint = did_you_mean(placeholder.name, params)
        return Finding((), message, hint or f"its params are: {', '.join(params) or 'none'}")
    if placeholder.root == "shard":
        return Finding((), f"is no shard, but {where} has {placeholder}")
    return Finding((), f"has no trial.{placeholder.name}, but {where} has {placeholder}")
