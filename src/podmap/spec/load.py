"""Loads a spec: reads, overrides and checks it, and tells all that is wrong and where, at once.

Types are checked first, then the meaning, as far as each part can be read.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from podmap.errors import Problem, SpecError, UsageError
from podmap.spec.check import check
from podmap.spec.check_types import explain, value_at
from podmap.spec.findings import Finding, Place, path_text, show
from podmap.spec.model import Sweep
from podmap.spec.override import apply_overrides
from podmap.spec.search import with_search_kind
from podmap.spec.size import why_too_large
from podmap.spec.text import read_spec_text
from podmap.spec.warnings import find_warnings
from podmap.spec.yaml import (
    Node,
    YamlError,
    parse,
    to_data,
    to_plain,
)
from podmap.uris import masked

_STAND_INS: dict[str, Any] = {"apiVersion": "podmap/v1", "name": "stand-in", "trial": {}}
_ITEM_STAND_INS: dict[str | int, Any] = {
    "cases": {"when": {"stand-in": None}},
    "items": {},
    "objective": {"metric": "stand-in", "direction": "maximize"},
    "try_first": {},
}
_MAX_REPAIRS = 50


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec that is right.

    Attributes:
        sweep: The parsed spec.
        raw: The effective spec as plain JSON data, as written, overrides applied.
        source: The file's path as given; empty for a mapping.
        warnings: What is allowed, and probably not meant.
        strict: Whether what is found so later, when the trials are known, is an error too.
    """

    sweep: Sweep
    raw: dict[str, Any] = field(repr=False)
    source: str
    warnings: tuple[Problem, ...] = ()
    strict: bool = False


def load(
    source: str | Path | Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] | None = None,
    base: Path | None = None,
    search_required: bool = True,
    overrides_from: Literal["--set", "overrides"] = "overrides",
    strict: bool = False,
) -> LoadedSpec:
    """Reads, overrides, validates and checks a spec.

    Args:
        source: The path of a YAML file, or the spec as a mapping.
        overrides: Dotted path to value; they win over the file.
        base: The folder that a relative path starts from; None for the working directory.
        search_required: False where the experiments come from elsewhere.
        overrides_from: How an override is named in messages.
        strict: Whether what is probably not meant is an error too.

    Raises:
        SpecError: The spec is wrong; it holds all problems found.
        UsageError: The file cannot be read.
    """
    name = "" if isinstance(source, Mapping) else str(source)
    root: Node | None = None
    problems: list[Problem] = []
    if not isinstance(source, Mapping):
        root, problems = _parsed(source, base)
    _check_size({"": source if root is None else "", **(overrides or {})}, name)
    raw, findings = to_plain(source if root is None else to_data(root))
    if not isinstance(raw, dict):
        message = f"{show(raw)} is not allowed: a spec is a mapping"
        raise SpecError([*problems, _at(message, (1, 1))], source=name)
    raw, overridden, wrong = apply_overrides(raw, overrides or {})
    raw = with_search_kind(raw)
    _check_size(raw, name)
    sweep, more = _validated(raw, search_required=search_required)
    placer = _Placer(root, overridden, overrides_from)
    problems += [placer.problem(one) for one in _first_told(findings, wrong, more)]
    if problems or sweep is None:
        raise SpecError(problems, source=name)
    warnings = [placer.problem(one) for one in find_warnings(sweep, raw)]
    if warnings and strict:
        raise SpecError(warnings, source=name)
    return LoadedSpec(sweep, raw, name, warnings=tuple(warnings), strict=strict)


def _check_size(value: Any, source: str) -> None:
    """Refuses what is too large, before anything goes through all of it.

    Raises:
        SpecError: It is.
    """
    wrong = why_too_large(value)
    if wrong:
        raise SpecError([_at(wrong, (1, 1))], source=source)


def _parsed(source: str | Path, base: Path | None) -> tuple[Node, list[Problem]]:
    if "://" in str(source):
        raise UsageError(f"{masked(str(source))}: a spec is a file of this machine, not a URI")
    try:
        root, complaints = parse(read_spec_text(Path(source) if base is None else base / source))
    except YamlError as error:
        raise SpecError([_at(error.message, error.mark)], source=str(source)) from error
    return root, [_at(complaint.message, complaint.mark) for complaint in complaints]


def _at(message: str, mark: tuple[int, int]) -> Problem:
    return Problem("", message, line=mark[0], column=mark[1])


def _first_told(*steps: list[Finding]) -> list[Finding]:
    """The findings of all steps, without those at a place that has one of an earlier step."""
    kept: list[Finding] = []
    for step in steps:
        told = {finding.place for finding in kept}
        kept += [finding for finding in step if finding.place not in told]
    return kept


def _validated(raw: dict[str, Any], *, search_required: bool) -> tuple[Sweep | None, list[Finding]]:
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


class _Placer:
    """Says where the place of a finding stands: in the file, or in an override."""

    def __init__(self, root: Node | None, overridden: Mapping[Place, str], label: str) -> None:
        self._root = root
        self._overridden = overridden
        self._label = label

    def problem(self, finding: Finding) -> Problem:
        path = path_text(finding.place)
        override = self._override(finding.place)
        if override is not None:
            shown = f"--set {override}" if self._label == "--set" else f"overrides[{override!r}]"
            return Problem(path, finding.message, hint=finding.hint, source=shown)
        if self._root is None:
            return Problem(path, finding.message, hint=finding.hint)
        line, column = self._root.mark_of(finding.place, key=finding.on == "key")
        message, hint = finding.message, finding.hint
        node = self._root.at(finding.place)
        if node is not None and node.written and finding.on == "value":
            # A number as it was written: 12.10 is not to be told as 12.1.
            given = show(node.value)
            if message.startswith(f"{given} "):
                message = node.written + message[len(given) :]
            hint = hint.replace(f'"{given}"', f'"{node.written}"')
        return Problem(path, message, line=line, column=column, hint=hint)

    def _override(self, place: Place) -> str | None:
        for length in range(len(place), 0, -1):
            if place[:length] in self._overridden:
                return self._overridden[place[:length]]
        return None
