"""Takes what was added to a run, as its manifest has it, into the run's plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.additions import Addition
from podmap.errors import RecordError, SpecError
from podmap.ledger.manifest import Manifest
from podmap.search.base import ItemProblems, ItemRow
from podmap.search.check_items import check_items
from podmap.search.plan import Plan
from podmap.spec.conditions import optional_params
from podmap.spec.flat_params import PATCH
from podmap.spec.load import load
from podmap.spec.model import Sweep
from podmap.spec.search import ListSearch


def take_in(plan: Plan, manifest: Manifest, sweep: Sweep) -> Sweep:
    """Has a plan take in what its run's manifest was given since; the spec as it is then.

    Raises:
        RecordError: It does not fit the plan.
        SpecError: A spec that was extended is not valid in this version.
    """
    if not manifest.added:
        return sweep
    sweeps: list[Sweep | None] = []
    for addition in manifest.added:
        if addition.search is not None:
            sweeps.append(_extended(manifest, addition.search))
        else:
            _check_patches(addition, sweep)
            sweeps.append(None)
    try:
        plan.take_in(manifest.added, sweeps)
    except (ValueError, TypeError, LookupError) as error:
        raise RecordError(f"{manifest.run_id}: {error}") from error
    return next((one for one in reversed(sweeps) if one is not None), sweep)


def _extended(manifest: Manifest, search: Mapping[str, Any]) -> Sweep:
    """The spec with another `search`, of which only a number of trials and params may differ.

    The file is data: it may be written by whoever writes the store, and says nothing of what runs.

    Raises:
        RecordError: Something else does.
        SpecError: It is not valid in this version.
    """
    own = manifest.spec.get("search") or {}
    changed = {name for name in (*own, *search) if own.get(name) != search.get(name)}
    if not changed <= {"trials", "params"} or "trials" not in own:
        raise RecordError(f"{manifest.run_id}: a search was added that is not the run's own")
    return load({**manifest.spec, "search": search}).sweep


def _check_patches(addition: Addition, sweep: Sweep) -> None:
    """Sees to it that added items change nothing but what data may change.

    Raises:
        RecordError: One of them does.
    """
    patched = [item for item in addition.items or () if PATCH in item]
    if not patched:
        return
    allowed = sweep.search.item_patches if isinstance(sweep.search, ListSearch) else "safe"
    optional = optional_params(sweep.search)
    rows = (ItemRow(item, path=f"added[{index}]") for index, item in enumerate(patched))
    try:
        check_items(rows, ItemProblems(), sweep.trial, patches=allowed, optional=optional)
    except SpecError as error:
        raise RecordError(f"what was added from trial {addition.first} on: {error}") from error
