"""What the doctor's verdicts come to."""

from __future__ import annotations

import pytest

from podmap.doctor.verdict import Verdict, exit_code, hurts, ok, unreachable, unseen

FINE = ok("a", "fine")
BAD = hurts("b", "found", "why", "setting")
HIDDEN = unseen("c", "not seen")
AWAY = unreachable("d", "away", "why", "setting")


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([], 0),
        ([FINE], 0),
        ([FINE, HIDDEN], 0),
        ([FINE, BAD, HIDDEN], 1),
        ([AWAY, FINE], 3),
        ([BAD, AWAY], 3),
    ],
    ids=["nothing", "fine", "unseen", "hurts", "unreachable", "unreachable-first"],
)
def test_the_exit_code_is_that_of_the_worst(verdicts: list[Verdict], code: int) -> None:
    assert code == exit_code(verdicts)


@pytest.mark.parametrize("verdict", [FINE, BAD, HIDDEN, AWAY], ids=lambda each: each.level.value)
def test_a_verdict_comes_back_from_json(verdict: Verdict) -> None:
    assert verdict == Verdict.from_json(verdict.to_json())
