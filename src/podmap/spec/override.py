"""Overrides (`--set`, `overrides=`): values set over those of the file, by dotted path."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from podmap.errors import UsageError
from podmap.spec.findings import Finding, Place, path_text, show
from podmap.spec.yaml import Node, YamlError, parse, scalar, to_plain

_PART = re.compile(r"([^.\[\]]+)((?:\[[0-9]{1,9}\])*)")


def parse_set(text: str) -> tuple[str, Any]:
    """The path and the value of one `--set`, for example `search.trials=80`.

    The value is read as by `read_value`, and nothing after the `=` is null.

    Raises:
        UsageError: There is no `=`, or path or value cannot be read.
    """
    path, separator, value = text.partition("=")
    if not separator:
        raise UsageError(
            f"--set {text}: it has no '='; write path=value, for example search.trials=80"
        )
    try:
        return path, read_value(value, parse_path(path))
    except ValueError as error:
        raise UsageError(f"--set {text}: {error}") from error


def _takes_text_alone(place: Place, text: str) -> bool:
    """Whether the spec takes a plain value at a place as text, and not as what YAML makes of it."""
    value = scalar(text.strip())
    if not text.strip() or isinstance(value, str):
        return False  # it may need YAML's quotes taken away
    kind = {bool: "boolean", int: "integer", float: "number", type(None): "null"}[type(value)]
    schema = _schema()
    taken = set(_types_at(schema, schema, place))
    return "string" in taken and not taken & {kind, *(["number"] if kind == "integer" else [])}


@functools.cache
def _schema() -> Mapping[str, Any]:
    from podmap.spec.reference import json_schema

    return json_schema()


def _types_at(schema: Any, root: Any, place: Place) -> Iterator[str]:
    """The JSON types that a schema allows at a place."""
    if not isinstance(schema, Mapping):
        return
    if "$ref" in schema:
        yield from _types_at(root["$defs"][schema["$ref"].rpartition("/")[2]], root, place)
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _types_at(branch, root, place)
    if not place:
        types = schema.get("type", ())
        yield from [types] if isinstance(types, str) else types
        yield from ["string" for value in _literals(schema) if isinstance(value, str)]
        return
    part, rest = place[0], place[1:]
    children = schema.get("properties", {})
    if isinstance(part, str) and part in children:
        yield from _types_at(children[part], root, rest)
        return
    if isinstance(part, str):
        yield from _types_at(schema.get("additionalProperties"), root, rest)
    if isinstance(part, int) or part.isdecimal():
        yield from _types_at(schema.get("items"), root, rest)


def _literals(schema: Mapping[str, Any]) -> list[Any]:
    return [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]


def read_value(text: str, place: Place) -> Any:
    """The value that a text sets at a place: `80` is a number, `[a, b]` a list.

    It is read as YAML 1.2. Where the spec takes text and no such number, true, false or null, it
    is the text as written, in lists and mappings too: `cache_version=2026.10`,
    `trial.args=[--lr, 1.10]`.

    Raises:
        ValueError: It is not YAML that podmap reads.
    """
    if not text.strip():
        return None
    if _takes_text_alone(place, text):
        return text
    try:
        node, complaints = parse(text)
    except YamlError as error:
        hint = "put quotes around text that holds any of : { } [ ] , & * # ? | > @ ` % !"
        raise ValueError(f"the value cannot be read, {error.message} ({hint})") from error
    if complaints:
        raise ValueError(complaints[0].message)
    return _data_at(node, place)


def _data_at(node: Node, place: Place) -> Any:
    """The plain data of a node, with scalars as text where the spec takes only that."""
    if isinstance(node.value, dict):
        return {key: _data_at(child, (*place, key)) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_data_at(child, (*place, index)) for index, child in enumerate(node.value)]
    return node.written if _takes_text_alone(place, node.written) else node.value


def parse_path(path: str) -> Place:
    """The parts of a dotted path; list indexes stand as `items[0]` or `items.0`.

    Raises:
        ValueError: A part is empty or brackets are wrong.
    """
    parts: list[str | int] = []
    for piece in path.strip().split("."):
        match = _PART.fullmatch(piece)
        if match is None:
            raise ValueError(
                f"{path!r} is not a path: write keys with dots, for example search.items[0].lr"
            )
        parts.append(match[1])
        parts.extend(int(index) for index in re.findall(r"[0-9]+", match[2]))
    return tuple(parts)


def apply_overrides(
    raw: Mapping[str, Any], overrides: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[Place, str], list[Finding]]:
    """A copy of a spec's data with values set by path; later ones win.

    A value replaces what was there as a whole, mappings too. Mappings that are missing on the
    way are made; a list's length is never changed.

    Args:
        raw: Plain data.
        overrides: Dotted path to value.

    Returns:
        The copy; each place that was set, with its path as written; and what could not be set,
        since a path leads into a text or number, or beyond the end of a list.
    """
    result: Any = dict(raw)
    places: dict[Place, str] = {}
    findings: list[Finding] = []
    for path, value in overrides.items():
        try:
            parts = parse_path(path)
        except ValueError as error:
            findings.append(Finding((path,), str(error)))
            places[(path,)] = path
            continue
        plain, wrong = to_plain(value, parts)
        findings.extend(wrong)
        try:
            result, place = _set(result, parts, plain, ())
        except ValueError as error:
            findings.append(Finding(parts, str(error)))
            place = parts
        places[place] = path
    return result, places, findings


def _set(current: Any, parts: Place, value: Any, above: Place) -> tuple[Any, Place]:
    """`current` with `value` at `parts`; only what lies on the way is copied."""
    if not parts:
        return value, above
    part, rest = parts[0], parts[1:]
    if isinstance(current, list):
        index = _index(part, current, above)
        copy = list(current)
        copy[index], place = _set(current[index], rest, value, (*above, index))
        return copy, place
    if current is None:
        current = {}
    if not isinstance(current, dict) or not isinstance(part, str):
        raise ValueError(
            f"cannot be set: {path_text(above)} is {show(current)}, which has no {part!r}"
        )
    child, place = _set(current.get(part), rest, value, (*above, part))
    return {**current, part: child}, place


def _index(part: str | int, items: list[Any], above: Place) -> int:
    text = str(part)
    if not text.isdecimal() or int(text) >= len(items):
        raise ValueError(
            f"cannot be set: {path_text(above)} is a list of {len(items)}, "
            f"so an index from 0 to {len(items) - 1} is needed instead of {text!r}"
        )
    return int(text)
