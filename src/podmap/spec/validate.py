"""Validates a spec's data: types first, then meaning, as far as each part can be read."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import ValidationError

from podmap.spec.check import check
from podmap.spec.explain import explain, value_at
from podmap.spec.findings import Finding, Place
from podmap.spec.model import Sweep

_STAND_INS: dict[str, Any] = {"apiVersion": "podmap/v1", "name": "stand-in", "trial": {}}
_ITEM_STAND_INS: dict[str | int, Any] = {
    "cases": {"when": {"stand-in": None}},
    "items": {},
    "objective": {"metric": "stand-in", "direction": "maximize"},
    "try_first": {},
}
_MAX_REPAIRS = 50


def validate(raw: dict[str, Any], *, search_required: bool) -> tuple[Sweep | None, list[Finding]]:
    """The sweep, or everything that is wrong with it.

    Args:
        raw: Plain data.
        search_required: Whether a spec without `search` is wrong.
    """
    try:
        sweep = Sweep.model_validate(raw)
    except ValidationError as error:
        findings = explain(error, raw, Sweep)
        draft, lost = _repaired(raw, findings)
        if draft is None:
            return None, findings
        meaning = check(draft, raw, search_required=search_required)
        return None, findings + [f for f in meaning if not _depends_on(f.place, lost)]
    findings = check(sweep, raw, search_required=search_required)
    return (None if findings else sweep), findings


def _repaired(raw: dict[str, Any], findings: list[Finding]) -> tuple[Sweep | None, list[Place]]:
    """The sweep without its broken parts, so that the others can be checked; and what is lost."""
    data = copy.deepcopy(raw)
    lost: list[Place] = []
    for _ in range(_MAX_REPAIRS):
        gone: list[Place] = []
        for finding in findings:
            if not any(finding.place[: len(place)] == place for place in gone):
                gone.append(_remove(data, finding.place))
        lost += gone
        if ("objective",) in gone:
            data["objective"] = copy.deepcopy(_ITEM_STAND_INS["objective"])
        for name, stand_in in _STAND_INS.items():
            data.setdefault(name, copy.deepcopy(stand_in))
        try:
            return Sweep.model_validate(data), [place for place in lost if place]
        except ValidationError as error:
            findings = explain(error, data, Sweep)
    return None, lost


def _remove(data: dict[str, Any], place: Place) -> Place:
    """Takes the nearest thing that exists at a place out of the data.

    Without an item the others of its list would move: a stand-in takes its place, and only
    where that is no good either the whole list goes.
    """
    while place:
        parent = value_at(data, place[:-1])
        if isinstance(parent, dict) and place[-1] in parent:
            del parent[str(place[-1])]
            return place
        if isinstance(parent, list) and isinstance(place[-1], int):
            stand_in = _ITEM_STAND_INS.get(place[-2], "")
            if parent[place[-1]] != stand_in:
                parent[place[-1]] = copy.deepcopy(stand_in)
                return place
        place = place[:-1]
    return place


def _depends_on(place: Place, lost: list[Place]) -> bool:
    """Whether a finding may be there only because of a part that was lost."""
    return any(place[: len(one)] == one or one[: len(place)] == place for one in lost)
