"""Reads a spec, with all that is wrong in it at once and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from podmap.errors import Problem, SpecError, UsageError
from podmap.spec.findings import Finding, Place, path_text, show
from podmap.spec.model import Sweep
from podmap.spec.override import set_all
from podmap.spec.plain_data import to_plain
from podmap.spec.validate import validate
from podmap.spec.yaml import MAX_CHARACTERS, Node, Unreadable, parse, to_data


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec that is right.

    Attributes:
        sweep: The parsed spec.
        raw: The effective spec as plain JSON data, as written, overrides applied.
        source: The file's path as given; empty for a mapping.
    """

    sweep: Sweep
    raw: dict[str, Any]
    source: str


def load(
    source: str | Path | Mapping[str, Any],
    *,
    overrides: Mapping[str, Any] | None = None,
    base: Path | None = None,
    search_required: bool = True,
    overrides_from: Literal["--set", "overrides"] = "overrides",
) -> LoadedSpec:
    """Reads, overrides, validates and checks a spec.

    Args:
        source: The path of a YAML file, or the spec as a mapping.
        overrides: Dotted path to value; they win over the file.
        base: The folder that a relative path starts from; None for the working directory.
        search_required: False where the experiments come from elsewhere.
        overrides_from: How an override is named in messages.

    Raises:
        SpecError: The spec is wrong; it holds all problems found.
        UsageError: The file cannot be read.
    """
    name = "" if isinstance(source, Mapping) else str(source)
    root: Node | None = None
    problems: list[Problem] = []
    if not isinstance(source, Mapping):
        root, problems = _parsed(source, base)
    raw, findings = to_plain(source if root is None else to_data(root))
    if not isinstance(raw, dict):
        message = f"{show(raw)} is not allowed: a spec is a mapping"
        raise SpecError([*problems, _at(message, (1, 1))], source=name)
    raw, overridden, wrong = set_all(raw, overrides or {})
    sweep, more = validate(raw, search_required=search_required)
    placer = _Placer(root, overridden, overrides_from)
    problems += [placer.problem(one) for one in _first_told(findings, wrong, more)]
    if problems or sweep is None:
        raise SpecError(problems, source=name)
    return LoadedSpec(sweep=sweep, raw=raw, source=name)


def _parsed(source: str | Path, base: Path | None) -> tuple[Node, list[Problem]]:
    try:
        root, complaints = parse(_text(Path(source), base))
    except Unreadable as error:
        raise SpecError([_at(error.message, error.mark)], source=str(source)) from error
    return root, [_at(complaint.message, complaint.mark) for complaint in complaints]


def _text(path: Path, base: Path | None) -> str:
    place = path if base is None else base / path
    try:
        with place.open("rb") as file:
            data = file.read(4 * MAX_CHARACTERS + 1)
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{place}: not a text file in UTF-8 (byte {error.start})") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{place}: the spec cannot be read: {reason}") from error


def _at(message: str, mark: tuple[int, int]) -> Problem:
    return Problem("", message, line=mark[0], column=mark[1])


def _first_told(*steps: list[Finding]) -> list[Finding]:
    """The findings of all steps, without those at a place that has one of an earlier step."""
    kept: list[Finding] = []
    for step in steps:
        told = {finding.place for finding in kept}
        kept += [finding for finding in step if finding.place not in told]
    return kept


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
        line, column = self._root.find(finding.place, key=finding.on == "key")
        return Problem(path, finding.message, line=line, column=column, hint=finding.hint)

    def _override(self, place: Place) -> str | None:
        for length in range(len(place), 0, -1):
            if place[:length] in self._overridden:
                return self._overridden[place[:length]]
        return None
