"""Says in words what pydantic finds wrong: one finding a place, with the value and the rule."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from podmap.spec.entry_points import sampler_names
from podmap.spec.findings import Finding, Place, any_of, did_you_mean, show
from podmap.spec.near_miss import unquoted_placeholder
from podmap.spec.prune import DEFAULT_RULE
from podmap.spec.types import LIST, MAPPING, PLAIN

_MISSING = object()
_WITH_KINDS = {"search": None, "prune": DEFAULT_RULE}
"""Sections of several kinds, with the kind that they have if they do not say."""
_SHAPES = {PLAIN: "a plain value", LIST: "a list", MAPPING: "a mapping"}
_YAML_1_1_BOOLS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false"}

_NEEDED = {
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool_type": "true or false is needed",
    "string_type": "text is needed",
    "dict_type": "a mapping is needed",
    "model_type": "a mapping is needed",
    "model_attributes_type": "a mapping is needed",
    "list_type": "a list is needed",
}
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def explain(error: ValidationError, data: Any, model: type[BaseModel]) -> list[Finding]:
    """The findings of a failed validation.

    Args:
        error: What pydantic raised.
        data: What was validated.
        model: What it was validated as.
    """
    found = [_finding(one, data, model) for one in error.errors(include_url=False)]
    return list(dict.fromkeys(found))


def _finding(error: ErrorDetails, data: Any, model: type[BaseModel]) -> Finding:
    place = _place(error["loc"], data)
    kind = error["type"]
    unquoted = _unquoted_placeholder(place, data)
    if unquoted is not None:
        return unquoted
    value = value_at(data, place)
    context: Mapping[str, Any] = error.get("ctx") or {}
    if kind == "missing":
        return _missing(place, model, data)
    if kind == "extra_forbidden":
        return _unknown_key(place, model, data)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_kind(place, value, context)
    if kind == "literal_error":
        return _wrong_word(place, value, re.findall(r"'([^']*)'", context["expected"]))
    if kind == "value_error":
        return Finding(place, str(context["error"]))
    on: typing.Literal["key", "value"] = "key" if error["loc"][-1:] == ("[key]",) else "value"
    shown = place[-1] if on == "key" else value
    return Finding(place, _message(kind, shown, context, error["msg"]), _hint(kind, value), on)


def _unquoted_placeholder(place: Place, data: Any) -> Finding | None:
    """What to do about `{params.lr}` without quotes, which YAML reads as a mapping."""
    for length in range(len(place), 0, -1):
        value = value_at(data, place[:length])
        meant = unquoted_placeholder(value, _param_names(data))
        if meant:
            return Finding(place[:length], *meant)
    return None


def _param_names(data: Any) -> list[str]:
    params = value_at(data, ("search", "params"))
    return list(params) if isinstance(params, dict) else []


def _message(kind: str, value: Any, context: Mapping[str, Any], fallback: str) -> str:
    if kind == "wanted":
        return f"{show(value)} is not allowed: {context['what']} is needed"
    if kind in _NEEDED:
        return f"{show(value)} is not allowed: {_NEEDED[kind]}"
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        limit = context[name]
        return f"{show(value)} is not allowed: it must be {words} {limit:g}"
    if kind in ("string_too_short", "too_short"):
        return f"{show(value)} is not allowed: it must not be empty"
    return f"{show(value)} is not allowed: {fallback}"


def _hint(kind: str, value: Any) -> str:
    if value is None:
        return "give a value, or leave the key out"
    if kind == "string_type" and isinstance(value, (int, float)):
        return f"put quotes around it: {_quoted(value)}"
    if kind == "bool_type" and str(value).lower() in _YAML_1_1_BOOLS:
        return f"write {_YAML_1_1_BOOLS[str(value).lower()]}"
    if kind in ("int_type", "float_type", "wanted") and isinstance(value, str):
        number = re.fullmatch(r"\s*[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?\s*", value)
        return "take the quotes away" if number else ""
    return ""


def _quoted(value: float) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'"{text}"'


def _missing(place: Place, model: type[BaseModel], data: Any) -> Finding:
    about = ""
    for candidate in _models_at(model, place[:-1], data):
        field = _fields(candidate).get(str(place[-1]))
        if field is not None and field.description:
            about = f": {field.description[0].lower()}{field.description[1:].rstrip('.')}"
    return Finding(place, f"missing{about}")


def _unknown_key(place: Place, model: type[BaseModel], data: Any) -> Finding:
    key = str(place[-1])
    allowed: dict[str, None] = {}
    for candidate in _models_at(model, place[:-1], data):
        allowed.update(dict.fromkeys(_fields(candidate)))
    hint = did_you_mean(key, allowed) or _elsewhere(key, place, model)
    message = f"unknown key {key!r}; allowed here: {', '.join(allowed)}"
    return Finding(place, message, hint, on="key")


def _elsewhere(key: str, place: Place, model: type[BaseModel]) -> str:
    for name in ("trial", "search", "kubernetes", "retries", "budget"):
        for candidate in _models_at(model, (name,), {}):
            if key in candidate.model_fields and place != (name, key):
                return f"it belongs under {name}:"
    return f"{key} belongs at the top" if key in model.model_fields and len(place) > 1 else ""


def _wrong_kind(place: Place, value: Any, context: Mapping[str, Any]) -> Finding:
    if context["discriminator"] != "'kind'":
        tags = re.findall(r"<[a-z]+>", context["expected_tags"])
        shapes = any_of(dict.fromkeys(_SHAPES.get(tag, "a mapping") for tag in tags))
        return Finding(place, f"{show(value)} is not allowed: {shapes} is needed")
    inside = (*place, "kind")
    given = value.get("kind", _MISSING) if isinstance(value, dict) else _MISSING
    if given is _MISSING and not isinstance(value, dict):
        return Finding(place, f"{show(value)} is not allowed: a mapping with 'kind' is needed")
    kinds = re.findall(r"'([^']*)'", context.get("expected_tags", ""))
    if given is _MISSING:
        return Finding(inside, "missing: it says which kind this is")
    wrong = _wrong_word(inside, given, kinds)
    if place == ("search",) and not wrong.hint:
        hint = (
            "a sampler of your own is an entry point of the group podmap.samplers: docs/search.md"
        )
        return Finding(inside, wrong.message, did_you_mean(given, sampler_names()) or hint)
    return wrong


def _wrong_word(place: Place, value: Any, words: list[str]) -> Finding:
    message = f"{show(value)} is not allowed: {any_of(words)} is needed"
    hint = "" if value is None else did_you_mean(value, words)
    if value is None and "none" in words:
        hint = "write none"
    return Finding(place, message, hint)


def _place(loc: tuple[int | str, ...], data: Any) -> Place:
    """Where in the data an error is: its location without the names of union branches."""
    place: list[int | str] = []
    current = data
    for index, part in enumerate(loc):
        if isinstance(part, str) and (part == "[key]" or re.fullmatch(r"<[a-z]+>", part)):
            continue
        if index == 1 and loc[0] in _WITH_KINDS and part == _kind_of(current, loc[0]):
            continue
        place.append(part)
        current = value_at(current, (part,))
    return tuple(place)


def _kind_of(value: Any, section: Any) -> Any:
    return value.get("kind", _WITH_KINDS.get(section)) if isinstance(value, dict) else None


def value_at(data: Any, place: Place) -> Any:
    """The value at a place; None if there is none."""
    for part in place:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not in_list and not (isinstance(data, dict) and part in data):
            return None
        data = data[part]
    return data


def _models_at(model: type[BaseModel], place: Place, data: Any) -> list[type[BaseModel]]:
    """The models that may stand at a place; where `kind` decides, the one that is meant."""
    found: list[Any] = [model]
    for part in place:
        found = [inner for one in found for inner in _inside(one, part)]
        data = value_at(data, (part,))
        kind = _kind_of(data, part)
        found = [one for one in found if kind is None or _has_kind(one, kind)]
    return [one for one in found if _is_model(one)]


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    if _is_model(annotation):
        field = _fields(annotation).get(str(part))
        if field is not None:
            yield from _branches(field.annotation)
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list and isinstance(part, int):
        yield from _branches(arguments[0])
    if origin is dict and isinstance(part, str):
        yield from _branches(arguments[1])


def _branches(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _branches(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _branches(member)
    else:
        yield annotation


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by what a spec calls them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _has_kind(annotation: Any, kind: Any) -> bool:
    if not _is_model(annotation) or "kind" not in annotation.model_fields:
        return True
    return kind in typing.get_args(annotation.model_fields["kind"].annotation)
