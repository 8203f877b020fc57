"""The JSON Schema of the spec, for editors: completion, descriptions, early errors."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from podmap.spec.model import Sweep

_EXAMPLE: dict[str, Any] = {
    "apiVersion": "podmap/v1",
    "name": "digits",
    "search": {
        "kind": "random",
        "trials": 40,
        "params": {"lr": {"low": 1e-4, "high": 0.1, "log": True}, "kernel": ["linear", "rbf"]},
    },
    "objective": {"metric": "accuracy", "direction": "maximize"},
    "trial": {"command": ["python", "train.py"], "args": [{"params": "flags"}]},
}


class _Generator(GenerateJsonSchema):
    """Without titles made of field names, which tell a reader nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a spec, as a new mapping."""
    schema = Sweep.model_json_schema(schema_generator=_Generator)
    for part in schema["$defs"].values():
        part.pop("title", None)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **schema,
        "title": "podmap sweep",
        "examples": [_EXAMPLE],
    }
