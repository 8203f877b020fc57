"""examples/pruning runs as its README says: hopeless trials end early, and the best does not."""

from __future__ import annotations

from pathlib import Path

from tests.examples.run_example import run_example

import podmap


def test_the_example_ends_hopeless_trials_and_keeps_the_best(tmp_path: Path) -> None:
    data = run_example("pruning", tmp_path)
    assert data["counts"]["PRUNED"] + data["counts"]["COMPLETE"] == data["count"] == 27
    assert data["counts"]["PRUNED"] > 9
    records = list(podmap.load(data["run_uri"]).records)
    pruned = [record for record in records if record.state.value == "PRUNED"]
    assert all(record.reason.startswith("asha: by step ") for record in pruned)
    assert sum(len(record.reports) for record in records) < 0.6 * 27 * 27
    assert data["best"]["metrics"]["accuracy"] > 0.9
