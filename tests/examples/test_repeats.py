"""examples/repeats runs as its README says: it ends at the target, which a mean has reached."""

from __future__ import annotations

from pathlib import Path

from tests.examples.run_example import run_example


def test_the_example_ends_once_a_mean_has_reached_the_target(tmp_path: Path) -> None:
    data = run_example("repeats", tmp_path)
    assert data["reached"].startswith("trials 8 to 11 have reached the target: their mean loss")
    assert data["best"]["params"] == {"rate": 0.2}
    assert (data["best"]["repeats"]["complete"], data["best"]["repeats"]["of"]) == (4, 4)
    assert data["counts"]["COMPLETE"] < data["count"] == 24
