"""Runs side by side: what their specs and best params differ in, and what each came to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.report.publish import build_summary, read_leaderboard


def compare_runs(runs: Sequence[tuple[Ledger, Manifest]]) -> dict[str, Any]:
    """What runs have in common, and what they do not; nothing is written.

    Args:
        runs: In the order in which they are to be shown.

    Returns:
        `{runs, spec, best_params}`: of each run its summary, without the Pareto front; dotted path
        of the spec to one value a run, of those that differ; the same for the params of the best
        trials. A run that has no such value has None there.

    Raises:
        StoreError: A store could not be asked.
        SpecError: A run's spec is not valid in this version.
    """
    summaries = []
    for ledger, manifest in runs:
        summary = build_summary(ledger, manifest, read_leaderboard(ledger, manifest))
        summaries.append({name: value for name, value in summary.items() if name != "pareto"})
    specs = [dict(_flat(manifest.spec)) for _, manifest in runs]
    params = [dict((one["best"] or {}).get("params", {})) for one in summaries]
    return {"runs": summaries, "spec": _differing(specs), "best_params": _differing(params)}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in value.items():
        path = f"{prefix}{name}"
        if isinstance(child, Mapping) and child:
            yield from _flat(child, f"{path}.")
        else:
            yield path, child


def _differing(sides: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Name to the value of each side, of the names that they do not agree on."""
    names = dict.fromkeys(name for side in sides for name in side)
    rows = {name: [side.get(name) for side in sides] for name in names}
    return {
        name: values
        for name, values in rows.items()
        if len({json.dumps(value, sort_keys=True) for value in values}) > 1
        or any(name not in side for side in sides)
    }
