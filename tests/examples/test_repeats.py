"""examples/repeats runs as its README says: it ends at the target, which a mean has reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "repeats"


def test_the_example_ends_once_a_mean_has_reached_the_target(tmp_path: Path) -> None:
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
    assert data["reached"].startswith("trials 8 to 11 have reached the target: their mean loss")
    assert data["best"]["params"] == {"rate": 0.2}
    assert (data["best"]["repeats"]["complete"], data["best"]["repeats"]["of"]) == (4, 4)
    assert data["counts"]["COMPLETE"] < data["count"] == 24
