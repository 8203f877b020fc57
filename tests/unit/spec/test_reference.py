from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podmap.spec.load import load
from podmap.spec.reference import json_schema, markdown

ROOT = Path(__file__).parents[3]
SPECS = Path(__file__).parent / "specs"


def fields(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Part and key to schema, for every key of the spec."""
    parts = {"Sweep": schema, **schema["$defs"]}
    return {
        f"{part}.{name}": field
        for part, inner in parts.items()
        for name, field in inner["properties"].items()
    }


def test_every_key_has_a_description() -> None:
    schema = json_schema()
    assert [] == [
        name
        for name, field in fields(schema).items()
        if not field.get("description") and "$ref" not in field
    ]
    assert all(part["description"] for part in schema["$defs"].values())


def test_the_schema_is_json_and_shows_an_example_that_loads() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]
    load(schema["examples"][0])


def test_the_schema_takes_right_specs_and_refuses_wrong_ones() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    raw = load(SPECS / "digits.yaml").raw
    assert [] == [error.message for error in validator.iter_errors(raw)]
    wrong = [
        {**raw, "parallelismus": 3},
        {**raw, "search": {**raw["search"], "kind": "randm"}},
        {**raw, "trial": {"resources": {"memorie": 3}}},
        {**raw, "name": "Not_a_label"},
        {**raw, "pack": 0},
    ]
    assert [False] * len(wrong) == [validator.is_valid(spec) for spec in wrong]


def test_the_reference_page_is_up_to_date() -> None:
    page = ROOT / "docs" / "reference" / "spec.md"
    assert page.read_text("utf-8") == markdown(), (
        "run: python -m podmap.spec.reference docs/reference/spec.md"
    )


def test_every_key_is_in_the_reference() -> None:
    page = markdown()
    assert [] == [
        name for name in fields(json_schema()) if f"| `{name.split('.')[1]}` |" not in page
    ]
