"""The types of the spec's fields: quantities, scalars, and the base of the models."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from podmap.spec.quantity import (
    Allowance,
    parse_allowance,
    parse_bytes,
    parse_cpu,
    parse_duration_s,
)


def wanted(what: str) -> PydanticCustomError:
    """The error of a value that is not `what`, for `podmap.spec.check_types` to word."""
    return PydanticCustomError("wanted", "{what}", {"what": what})


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> Any:
    if not _is_number(value):
        raise wanted("a number")
    return value


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)) or _is_number(value):
        return value
    raise wanted("a number, text, true, false or null")


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(one) for one in value]
    if isinstance(value, dict):
        return {key: _json(one) for key, one in value.items()}
    return _scalar(value)


def _pack(value: Any) -> Any:
    if value == "auto" or (_is_number(value) and isinstance(value, int) and value >= 1):
        return value
    raise wanted("a whole number from 1 or auto")


def _same(value: Any) -> Any:
    if value == "none":
        return 0
    if _is_number(value) and isinstance(value, int) and value >= 0:
        return value
    raise wanted("a whole number from 0, or none")


PLAIN, LIST, MAPPING = "<plain>", "<list>", "<mapping>"
"""Branches of unions; they stand in the places pydantic reports, and nothing else looks so."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Annotated[int | float, PlainValidator(_number), WithJsonSchema({"type": "number"})]
Scalar = Annotated[
    bool | int | float | str | None,
    PlainValidator(_scalar),
    WithJsonSchema({"title": "scalar", "type": ["number", "string", "boolean", "null"]}),
]
Json = Annotated[
    Any,
    PlainValidator(_json),
    WithJsonSchema(
        {
            "title": "value",
            "type": ["number", "string", "boolean", "null", "array", "object"],
            "examples": ["rbf", [64, 64], {"name": "adam", "lr": 0.1}],
        }
    ),
]
Pack = Annotated[
    int | Literal["auto"],
    PlainValidator(_pack),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]

Same = Annotated[
    int,
    BeforeValidator(_same),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"const": "none"}]}),
]
"""A number of trials; `none` is 0."""

Duration = Annotated[
    float,
    BeforeValidator(parse_duration_s),
    Field(gt=0),
    WithJsonSchema(
        {"title": "duration", "type": ["number", "string"], "examples": ["90s", "2h", "1h30m", 90]}
    ),
]
"""Seconds; written as a number of seconds or as `30s`, `15m`, `2h`, `1d`, `1h30m`."""

Memory = Annotated[
    int,
    BeforeValidator(parse_bytes),
    Field(gt=0),
    WithJsonSchema(
        {"title": "size", "type": ["integer", "string"], "examples": ["16Gi", "512Mi", "1.5G"]}
    ),
]
"""Bytes; written as Kubernetes writes memory."""

Cpu = Annotated[
    float,
    BeforeValidator(parse_cpu),
    WithJsonSchema({"title": "CPU", "type": ["number", "string"], "examples": [4, 0.5, "500m"]}),
]
"""Cores; written as Kubernetes writes CPU."""

Allowed = Annotated[
    Allowance,
    BeforeValidator(parse_allowance),
    WithJsonSchema({"title": "allowance", "type": ["integer", "string"], "examples": [5, "10%"]}),
]
"""A count, or a percentage of the planned trials."""


class Model(BaseModel):
    """Base of all parts: unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        arbitrary_types_allowed=True,
        defer_build=True,
    )


def by_shape(model: type[BaseModel]) -> Discriminator:
    """Chooses the branch by the value's shape, so that an error names one branch only."""
    return Discriminator(lambda value: shape_of(value, model))


def shape_of(value: Any, model: type[BaseModel]) -> str:
    """The branch of a value: that of mappings for the model's own instances, too."""
    if isinstance(value, (dict, model)):
        return MAPPING
    return LIST if isinstance(value, (list, tuple)) else PLAIN


Wanted = Annotated[
    Annotated[list[Json], Tag(LIST)] | Annotated[Scalar, Tag(PLAIN)], by_shape(BaseModel)
]
