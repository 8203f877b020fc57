"""Takes what was added to a run, as its manifest has it, into the run's plan."""

from __future__ import annotations

from podmap.errors import RecordError
from podmap.ledger.manifest import Manifest
from podmap.search.plan import Plan
from podmap.spec.load import load
from podmap.spec.model import Sweep


def take_in(plan: Plan, manifest: Manifest, sweep: Sweep) -> Sweep:
    """Has a plan take in what its run's manifest was given since; the spec as it is then.

    Raises:
        RecordError: It does not fit the plan.
        SpecError: A spec that was extended is not valid in this version.
    """
    if not manifest.added:
        return sweep
    sweeps = [
        None
        if addition.search is None
        else load({**manifest.spec, "search": addition.search}).sweep
        for addition in manifest.added
    ]
    try:
        plan.take_in(manifest.added, sweeps)
    except (ValueError, TypeError, LookupError) as error:
        raise RecordError(f"{manifest.run_id}: {error}") from error
    return next((one for one in reversed(sweeps) if one is not None), sweep)
