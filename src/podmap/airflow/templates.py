"""Templates in the arguments of a sweep: their values keep their types, and texts are marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from podmap.errors import Problem, SpecError
from podmap.spec.findings import Place, path_text
from podmap.spec.override import parse_path, read_value

if TYPE_CHECKING:
    from airflow.sdk import Context


class RenderedText(str):
    """Text that a template gave: it may be meant as a number, as text of `--set` may be."""

    __slots__ = ()


class RenderedMapping(dict[str, Any]):
    """A mapping that a template gave: whoever triggers the DAG may have written it."""

    __slots__ = ()


def render_text(text: str, context: Context, environment: Any) -> Any:
    """The value of a template.

    What is one expression alone (`{{ params.models }}`) keeps the type of its value, if JSON has
    it; everything else is text.

    Args:
        text: The template.
        context: Airflow's, of the task.
        environment: Jinja's, which gives text.
    """
    from airflow.sdk.definitions.context import render_template_to_string

    alone = _lone_expression(text, environment)
    if alone is not None:
        from jinja2 import Undefined

        value = environment.compile_expression(alone, undefined_to_none=False)(**context)
        if isinstance(value, Mapping):
            return RenderedMapping(value)
        if value is None or isinstance(value, (bool, int, float, list, tuple)):
            return value
        return RenderedText(value if not isinstance(value, Undefined) else str(value))
    return RenderedText(render_template_to_string(environment.from_string(text), context))


def _lone_expression(text: str, environment: Any) -> str | None:
    from jinja2 import nodes

    stripped = text.strip()
    if not (stripped.startswith("{{") and stripped.endswith("}}")):
        return None
    body = environment.parse(stripped).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    return None if isinstance(body[0].nodes[0], nodes.TemplateData) else stripped[2:-2].strip("-+")


def as_set(path: str, value: Any) -> Any:
    """The value of an override, its rendered texts read as `--set` reads them.

    Args:
        path: Dotted.
        value: Its value; text that was written as such in the DAG file stays.

    Raises:
        SpecError: A template gave what asks for a secret.
    """
    try:
        place = parse_path(path)
    except ValueError:
        return value  # the path is wrong, which is told with all else that is
    return _Reading(path).read(place, value)


class _Reading:
    def __init__(self, path: str) -> None:
        self._path = path

    def read(self, place: Place, value: Any, *, found: bool = False) -> Any:
        """The value at a place; `found` if a template gave the whole that it is in."""
        variable = len(place) > 1 and place[-2] == "env"
        if isinstance(value, RenderedText):
            return _value_of(str(value), place, plain_alone=variable)
        if isinstance(value, Mapping):
            found = found or isinstance(value, RenderedMapping)
            if found and variable:
                message = "a template may not ask for a secret: write it in the spec"
                source = f"overrides[{self._path!r}]"
                raise SpecError([Problem(path_text(place), message, source=source)])
            return {
                key: self.read((*place, str(key)), each, found=found) for key, each in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [
                self.read((*place, index), each, found=found) for index, each in enumerate(value)
            ]
        return value


def _value_of(text: str, place: Place, *, plain_alone: bool) -> Any:
    try:
        value = read_value(text, place)
    except ValueError:
        return text  # no YAML, so it is text
    return text if plain_alone and isinstance(value, (dict, list)) else value
