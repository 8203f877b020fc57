"""Validates a spec's data: types first, then meaning, as far as each part can be read."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import ValidationError

from podmap.spec.check import check
from podmap.spec.check_types import explain, value_at
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
        around = {place[:length] for place in lost for length in range(1, len(place) + 1)}
        # What is inside or around a lost part may be found only because that is lost.
        return None, findings + [
            f for f in meaning if f.place not in around and not _is_inside(f.place, lost)
        ]
    findings = check(sweep, raw, search_required=search_required)
    return (None if findings else sweep), findings


def _repaired(raw: dict[str, Any], findings: list[Finding]) -> tuple[Sweep | None, set[Place]]:
    """The sweep without its broken parts, so that the others can be checked; and what is lost."""
    data = copy.deepcopy(raw)
    lost: set[Place] = set()
    for _ in range(_MAX_REPAIRS):
        gone: set[Place] = set()
        for finding in findings:
            if not _is_inside(finding.place, gone):
                gone.add(_remove(data, finding.place))
        lost |= gone
        if ("objective",) in gone:
            data["objective"] = copy.deepcopy(_ITEM_STAND_INS["objective"])
        for name, stand_in in _STAND_INS.items():
            data.setdefault(name, copy.deepcopy(stand_in))
        try:
            return Sweep.model_validate(data), lost
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


def _is_inside(place: Place, places: set[Place]) -> bool:
    return any(place[:length] in places for length in range(1, len(place) + 1))
