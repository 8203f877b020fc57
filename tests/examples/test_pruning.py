"""examples/pruning runs as its README says: hopeless trials end early, and the best does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import podmap

EXAMPLE = Path(__file__).parents[2] / "examples" / "pruning"


def test_the_example_ends_hopeless_trials_and_keeps_the_best(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "podmap.cli.main", "run", "sweep.yaml", "--json", "--quiet"],
        cwd=EXAMPLE,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PODMAP_STORE": str(tmp_path / "store"),
            "PODMAP_STATE_DIR": str(tmp_path / "state"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    data = json.loads(done.stdout)
    assert data["counts"]["PRUNED"] + data["counts"]["COMPLETE"] == data["count"] == 27
    assert data["counts"]["PRUNED"] > 9
    records = list(podmap.load(data["run_uri"]).records)
    pruned = [record for record in records if record.state.value == "PRUNED"]
    assert all(record.reason.startswith("asha: by step ") for record in pruned)
    assert sum(len(record.reports) for record in records) < 0.6 * 27 * 27
    assert data["best"]["metrics"]["accuracy"] > 0.9
