"""Reads a file of another tool, whichever it is, and makes a spec of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podmap.errors import Problem, SpecError, UsageError
from podmap.spec.findings import path_text
from podmap.spec.importers.draft import Draft, Lost
from podmap.spec.importers.katib import import_katib, is_katib
from podmap.spec.importers.wandb import import_wandb, is_wandb
from podmap.spec.load import load
from podmap.spec.yaml import YamlError, parse, to_data

_MOST_BYTES = 1_048_576
_NOT_SO = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError)
"""What is raised at text where a list is needed, and the like."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A spec made of another tool's file.

    Attributes:
        tool: "Katib" or "W&B".
        text: The spec as YAML, with comments.
        spec: The same as data.
        lost: What cannot be kept, in order of lines.
        problems: Why the spec is refused as it is; empty if it is not.
    """

    tool: str
    text: str
    spec: Mapping[str, Any]
    lost: Sequence[Lost]
    problems: Sequence[str]


def read_sweep(path: str) -> Imported:
    """The spec of a file: an Experiment of Katib, or a sweep file of W&B.

    Raises:
        UsageError: The file cannot be read, or is of neither.
        SpecError: It is not YAML, or a value is of another kind than the tool has there.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    try:
        root, complaints = parse(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8") from error
    except YamlError as error:
        line, column = error.mark
        raise SpecError(
            [Problem("", error.message, line=line, column=column)], source=path
        ) from error
    if complaints:
        found = [
            Problem("", one.message, line=one.mark[0], column=one.mark[1]) for one in complaints
        ]
        raise SpecError(found, source=path)
    data, draft, name = to_data(root), Draft(root), Path(path).stem
    if is_katib(data):
        tool = "Katib"
        _import(import_katib, draft, name=name, tool=tool, source=path)
    elif is_wandb(data):
        tool = "W&B"
        _import(import_wandb, draft, name=name, tool=tool, source=path)
    else:
        raise UsageError(
            f"{path} is neither an Experiment of Katib (kind: Experiment, of kubeflow.org) nor a "
            "sweep of W&B (method and parameters)"
        )
    text = draft.text(head=f"Made by podmap import of {tool}'s {Path(path).name}.", source=path)
    return Imported(tool, text, draft.spec, draft.lost, _problems(draft))


def _import(
    make_spec: Callable[..., None], draft: Draft, *, name: str, tool: str, source: str
) -> None:
    """Makes the spec; a value of a kind that the tool has not there is said with its place."""
    try:
        make_spec(draft, name=name)
    except _NOT_SO as error:
        line, column = draft.root.mark_of(draft.asked, key=True)
        message = f"what stands here is not as {tool} has it: {error}"
        problem = Problem(path_text(draft.asked), message, line=line, column=column)
        raise SpecError([problem], source=source) from error


def _problems(draft: Draft) -> list[str]:
    try:
        load(draft.spec)
    except SpecError as error:
        return [f"{problem.path}: {problem.message}" for problem in error.problems]
    return []
