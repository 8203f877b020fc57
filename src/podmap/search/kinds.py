"""The kinds of search: `KINDS` names the class of each, for what `search.kind` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.errors import NotSupportedError, Problem, SpecError
from podmap.search.adaptive.choice import AUTO, chosen_kind
from podmap.search.adaptive.samplers import SAMPLERS, why_not_installed
from podmap.search.adaptive.trials import AdaptiveTrials
from podmap.search.base import Enumerated
from podmap.search.grid import Grid
from podmap.search.list import ItemList
from podmap.search.random import RandomDraws
from podmap.search.shards import ShardList
from podmap.spec.model import Sweep
from podmap.spec.search import USERS_OWN, AdaptiveSearch

KINDS: Mapping[str, type[Enumerated]] = {
    **{each.kind: each for each in (ItemList, Grid, RandomDraws, ShardList)},
    **dict.fromkeys((AUTO, *SAMPLERS, USERS_OWN), AdaptiveTrials),
}


def make_search(sweep: Sweep, *, folder: str = "") -> Enumerated:
    """The search of a spec: reads the list's file, or looks up the shards, if there are any.

    Args:
        sweep: A checked spec.
        folder: Where relative paths start from; empty for the working directory.

    Raises:
        SpecError: There is no search, or what it names is missing or wrong.
        NotSupportedError: The kind of search cannot be run yet, or a package is not installed.
        UnreachableError: A file or filesystem could not be asked.
    """
    if sweep.search is None:
        message = "there is no search, and no experiments were given"
        raise SpecError([Problem("search", message)])
    missing = why_not_here(sweep)
    if missing:
        raise NotSupportedError(missing)
    return KINDS[sweep.search.kind].from_spec(sweep, folder=folder)


def why_not_here(sweep: Sweep) -> str:
    """Why the kind of search of a spec cannot be run here; empty if it can, or if there is none."""
    if not isinstance(sweep.search, AdaptiveSearch):
        return ""
    return why_not_installed(chosen_kind(sweep.search, len(sweep.objectives))[0])


def restore_search(data: Mapping[str, Any], sweep: Sweep) -> Enumerated:
    """The search in a plan's JSON object; nothing is read or looked up.

    Raises:
        ValueError: It is of no known kind, or of another kind than the spec's.
    """
    kind = data["kind"]
    if isinstance(sweep.search, AdaptiveSearch) and kind == sweep.search.sampler:
        kind = USERS_OWN
    if kind not in KINDS:
        raise ValueError(f"{kind} is no kind of search")
    return KINDS[kind].from_json(data, sweep)
