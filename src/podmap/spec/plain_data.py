"""Any mapping as plain JSON data: what a spec may hold, whoever made it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from podmap.spec.findings import Finding, Place, show

# Below it every whole number is also a finite float.
_TOO_LARGE = 10**300


def to_plain(value: Any, place: Place = ()) -> tuple[Any, list[Finding]]:
    """A deep copy of a value as plain JSON data, and what could not be kept.

    Keys become text, tuples become lists. What is not JSON (NaN, infinity, other types, the
    character NUL, which neither arguments nor environment can hold) becomes null with a finding.
    """
    findings: list[Finding] = []
    return _plain(value, place, findings), findings


def _plain(value: Any, place: Place, findings: list[Finding]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _plain(child, (*place, key), findings)
            for key, child in _text_keys(value, place, findings)
        }
    if isinstance(value, (list, tuple)):
        return [_plain(child, (*place, i), findings) for i, child in enumerate(value)]
    wrong = _why_not_plain(value)
    if wrong:
        findings.append(Finding(place, wrong))
        return None
    return value


def _text_keys(
    value: Mapping[Any, Any], place: Place, findings: list[Finding]
) -> list[tuple[str, Any]]:
    pairs = []
    for key, child in value.items():
        if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
            pairs.append((str(key), child))
        else:
            findings.append(Finding(place, f"the key {show(key)} is not allowed: keys are text"))
    return pairs


def _why_not_plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if type(value) is int:
        return (
            "" if abs(value) < _TOO_LARGE else "the number is too large: less than 1e300 is needed"
        )
    if type(value) is float:
        return "" if math.isfinite(value) else f"{value} is not allowed: numbers are finite"
    if type(value) is str:
        return "" if "\0" not in value else f"{show(value)} holds the character NUL"
    return (
        f"a value of type {type(value).__name__} is not allowed: a spec holds mappings, lists, "
        "text, numbers, true, false and null"
    )
