"""examples/conditions runs as its README says: each trial has the params of its filter alone."""

from __future__ import annotations

from pathlib import Path

from tests.examples.run_example import run_example

import podmap

OWN = {
    "mean": {"filter", "width"},
    "exponential": {"filter", "decay"},
    "polynomial": {"filter", "width", "degree"},
}


def test_the_example_tries_each_filter_with_its_own_params(tmp_path: Path) -> None:
    data = run_example("conditions", tmp_path)
    assert (66, 66) == (data["count"], data["counts"]["COMPLETE"])
    records = list(podmap.load(data["run_uri"]).records)
    assert all(OWN[record.params["filter"]] == record.params.keys() for record in records)
    assert {"filter": "polynomial", "width": 9, "degree": 4} == data["best"]["params"]
