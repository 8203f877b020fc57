"""podmap schema: the JSON Schema of the spec."""

from __future__ import annotations

import click

from podmap.cli._options import JSON, example
from podmap.cli._output import print_json

EXAMPLES = example("""
podmap schema > sweep.schema.json
""") + (
    "\n\n\b\nFor completion and checks in an editor, as the first line of a spec:\n"
    "  # yaml-language-server: $schema=sweep.schema.json"
)


@click.command(
    name="schema",
    help=f"""Print the JSON Schema of the spec, with what every key means.

{EXAMPLES}""",
    short_help="Print the JSON Schema of the spec.",
)
@JSON
def command(as_json: bool) -> None:
    """Prints the schema; it is JSON in any case."""
    from podmap.spec.reference import json_schema

    print_json(json_schema())
