"""Which limit counts, and what to change."""

from __future__ import annotations

import pytest

from podmap.forecast.limits import (
    AtOnce,
    parallelism_limit,
    store_limit,
    tightest,
    triggerer_limit,
)


def test_the_tightest_counts_and_of_two_the_first() -> None:
    limits = [parallelism_limit(8), AtOnce("room", 3, "more nodes"), AtOnce("quota", 3, "more")]
    assert "room" == tightest(limits).name


@pytest.mark.parametrize(
    ("limit", "most", "setting"),
    [
        (parallelism_limit(8), 8, "parallelism: 16"),
        (store_limit(2.5, 10.0), 25, "a faster or nearer store"),
        (store_limit(0.01, 10.0), 1, "a faster or nearer store"),
        (triggerer_limit(100, 4), 400, "[triggerer] capacity = 200, or more triggerers"),
    ],
    ids=["parallelism", "store", "slow-store", "triggerer"],
)
def test_each_says_how_many_and_what_to_change(limit: AtOnce, most: int, setting: str) -> None:
    assert (most, setting) == (limit.most, limit.setting)
    assert {"name": limit.name, "at_once": most, "setting": setting} == limit.to_json()
