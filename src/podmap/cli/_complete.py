"""Tab completion of run ids and of the keys of `--set`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

_DEPTH = 6


def complete_run(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids of the store's runs that begin so; nothing if the store cannot be asked."""
    from click.shell_completion import CompletionItem

    from podmap.errors import PodmapError
    from podmap.ledger.runs import default_store, run_ids

    try:
        found = list(run_ids(default_store(ctx.params.get("store"))))
    except PodmapError:
        return []
    return [
        CompletionItem(run_id, help=sweep)
        for sweep, run_id in found
        if run_id.startswith(incomplete)
    ]


def complete_set(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The spec's keys that begin so, with the names of the given spec's params."""
    from click.shell_completion import CompletionItem

    from podmap.spec.schema import json_schema

    if "=" in incomplete:
        return []
    schema = json_schema()
    keys = set(_keys(schema, schema.get("$defs", {}), "", _DEPTH))
    keys.update(f"search.params.{name}" for name in _params())
    # Up to the next dot only, as a shell completes a path folder by folder.
    level = incomplete.count(".") + 1
    shown = {
        ".".join(key.split(".")[:level]) + ("." if key.count(".") >= level else "=")
        for key in keys
        if key.startswith(incomplete)
    }
    return [CompletionItem(key) for key in sorted(shown)]


def _keys(
    schema: Mapping[str, Any], parts: Mapping[str, Any], prefix: str, depth: int
) -> Iterator[str]:
    if depth == 0:
        return
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _keys(branch, parts, prefix, depth)
    for name, child in schema.get("properties", {}).items():
        key = f"{prefix}{name}"
        below = list(_keys(child, parts, f"{key}.", depth - 1))
        yield from below or [key]


def _params() -> list[str]:
    """The params of the spec on the command line.

    An option without its value makes click forget the arguments, so the words are looked at.
    """
    import os
    import shlex

    from podmap.errors import PodmapError
    from podmap.spec.load import load

    try:
        words = shlex.split(os.environ.get("COMP_WORDS", ""))
        specs = [word for word in words[2:] if os.path.isfile(word)]
        search = load(specs[0]).raw.get("search") if specs else None
    except (PodmapError, ValueError):
        return []
    params = search.get("params") if isinstance(search, dict) else None
    return list(params) if isinstance(params, dict) else []
