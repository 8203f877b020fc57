from __future__ import annotations

from chaos.table import Line, lines, text
from chaos.verdict import Verdict


def test_a_fault_that_does_harm_once_has_not_been_survived_by_all() -> None:
    verdicts = [
        Verdict("none", 40.0),
        Verdict("none", 50.0),
        Verdict("postgres", 60.0),
        Verdict("postgres", 70.0, lost=("a", "b"), doubled=("c",), left=("d",)),
    ]
    assert [Line("none", 2, 2, 0, 0, 0, 0.0), Line("postgres", 2, 1, 2, 1, 1, 20.0)] == lines(
        verdicts
    )
    assert "| postgres | 2 | 1 | 2 | 1 | 1 | 20.0 |" in text(lines(verdicts))


def test_without_a_run_that_was_left_alone_nothing_is_said_of_time() -> None:
    (line,) = lines([Verdict("drain", 60.0)])
    assert line.more_s is None
    assert text([line]).endswith("| drain | 1 | 1 | 0 | 0 | 0 |  |")
