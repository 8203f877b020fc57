"""Samplers that other packages bring: their entry points, of the group podmap.samplers."""

from __future__ import annotations

import importlib.metadata
import importlib.util

SAMPLER_GROUP = "podmap.samplers"


def find_samplers(name: str) -> list[importlib.metadata.EntryPoint]:
    """The entry points of a name: one, or none where its package is not installed.

    More than one, if several packages use the name. Nothing of theirs is imported.
    """
    found = importlib.metadata.entry_points(group=SAMPLER_GROUP, name=name)
    return list({one.value: one for one in found}.values())


def sampler_names() -> list[str]:
    """The names of all samplers that other packages bring."""
    return sorted(importlib.metadata.entry_points(group=SAMPLER_GROUP).names)


def why_not_loadable(name: str) -> str:
    """Why a sampler of that name cannot be made here; empty if nothing is known against it."""
    found = find_samplers(name)
    if not found:
        have = ", ".join(sampler_names()) or "none"
        return (
            f"search.sampler: no installed package has a sampler {name!r} (an entry point of the "
            f"group {SAMPLER_GROUP}); there is: {have}"
        )
    if len(found) > 1:
        values = ", ".join(sorted(one.value for one in found))
        return f"search.sampler: {name!r} is the name of several samplers: {values}; keep one"
    module = found[0].module.partition(".")[0]
    if importlib.util.find_spec(module) is None:
        return f"search.sampler: {name!r} is {found[0].value}, and there is no module {module}"
    return ""
