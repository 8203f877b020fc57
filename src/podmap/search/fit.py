"""Whether a trial's params and patch fit the template, before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from podmap.records import Trial
from podmap.spec.check_search import check_patch
from podmap.spec.check_trial import texts
from podmap.spec.findings import did_you_mean, path_text
from podmap.spec.model import TrialTemplate
from podmap.spec.placeholder import KNOWN, Placeholder, find
from podmap.spec.template import effective, matches


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing that does not fit.

    Attributes:
        name: The item's key that is concerned, for example `trial.image`; empty if none.
        message: What was given and what is allowed.
        hint: The next step; may be empty.
    """

    name: str
    message: str
    hint: str = ""


class Fit:
    """Checks items against one template.

    The placeholders are looked up once for each combination of cases and patch that comes up,
    so that an item costs microseconds.
    """

    def __init__(self, template: TrialTemplate) -> None:
        """Takes the sweep's template, as in the spec."""
        self._template = template
        self._needed: dict[tuple[Any, ...], tuple[tuple[str, Placeholder], ...]] = {}

    def misfits(self, params: Mapping[str, Any], patch: Mapping[str, Any]) -> list[Misfit]:
        """What is wrong with one item: its patch, or params that placeholders need."""
        wrong = _patch_misfits(patch) if patch else []
        if wrong:
            return wrong
        return [
            _missing(placeholder, where, params)
            for where, placeholder in self._placeholders(params, patch)
            if not _is_there(placeholder, params)
        ]

    def _placeholders(
        self, params: Mapping[str, Any], patch: Mapping[str, Any]
    ) -> tuple[tuple[str, Placeholder], ...]:
        cases = self._template.cases
        matching = tuple(i for i, case in enumerate(cases) if matches(case, params))
        combination = (matching, json.dumps(patch, sort_keys=True) if patch else "")
        if combination not in self._needed:
            trial = Trial(number=0, key="", seed=0, params=params, patch=patch)
            found = {str(p): (where, p) for where, p in _all(effective(self._template, trial))}
            self._needed[combination] = tuple(found.values())
        return self._needed[combination]


def _all(template: TrialTemplate) -> Iterator[tuple[str, Placeholder]]:
    for place, text in texts(template):
        where = path_text(("trial", *place))
        yield from ((where, placeholder) for placeholder in find(text))


def _is_there(placeholder: Placeholder, params: Mapping[str, Any]) -> bool:
    if placeholder.root == "params":
        return placeholder.name in params
    return placeholder.root != "shard" and placeholder.name in KNOWN[placeholder.root]


def _missing(placeholder: Placeholder, where: str, params: Mapping[str, Any]) -> Misfit:
    if placeholder.root == "params":
        message = f"has no param {placeholder.name!r}, which {where} needs"
        hint = did_you_mean(placeholder.name, params)
        return Misfit("", message, hint or f"its params are: {', '.join(params) or 'none'}")
    if placeholder.root == "shard":
        return Misfit("", f"is no shard, but {where} has {placeholder}")
    known = ", ".join(KNOWN[placeholder.root])
    return Misfit("", f"{where} has {placeholder}", f"under {placeholder.root} are: {known}")


def _patch_misfits(patch: Mapping[str, Any]) -> list[Misfit]:
    return [
        Misfit(path_text(finding.place), finding.message, finding.hint)
        for finding in check_patch(("trial",), dict(patch))
    ]
