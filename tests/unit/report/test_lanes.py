"""Attempts that are there at once are in lanes of their own, in as few as can be."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from podmap.report.lanes import lanes


def test_what_follows_takes_the_lane_of_what_has_ended() -> None:
    spans = [(0.0, 10.0), (1.0, 3.0), (3.0, 5.0), (4.0, 6.0), (11.0, None), (12.0, None)]
    assert [0, 1, 1, 2, 0, 1] == lanes(spans)


def test_what_has_no_begin_is_in_the_first_lane() -> None:
    assert [0, 0] == lanes([(None, None), (1.0, 2.0)])


def test_none_have_no_lanes() -> None:
    assert [] == lanes([])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9))))
def test_no_two_of_a_lane_are_there_at_once_and_no_lane_is_one_too_many(
    found: list[tuple[int, int]],
) -> None:
    spans = [(float(start), float(start + length)) for start, length in found]
    put = lanes(spans)
    for lane in set(put):
        own = sorted(span for span, at in zip(spans, put, strict=True) if at == lane)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(own))
    most = max((sum(start <= at < end for start, end in spans) for at, _ in spans), default=0)
    assert most == len(set(put))
