"""The one table of the suite: a line for each fault."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.verdict import Verdict

HEADS = ("fault", "runs", "survived", "lost", "doubled", "left behind", "seconds more")
BASE = "none"


@dataclass(frozen=True)
class Line:
    """What came of all runs with one fault.

    Attributes:
        fault: Its name, or several with `+` between them.
        runs: How many runs there were.
        survived: In how many of them all was as it should be.
        lost: How many things were lost, over all runs.
        doubled: How many things happened twice, or beyond a limit.
        left: How many things were left behind.
        more_s: How much longer the runs took than those without a fault, by their medians; None if
            there were none without.
    """

    fault: str
    runs: int
    survived: int
    lost: int
    doubled: int
    left: int
    more_s: float | None


def lines(verdicts: Iterable[Verdict]) -> list[Line]:
    """A line for each fault, in the order they came up."""
    by_fault: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_fault.setdefault(verdict.fault, []).append(verdict)
    base = _median(by_fault.get(BASE, ()))
    made = []
    for fault, all_of_it in by_fault.items():
        took = _median(all_of_it)
        made.append(
            Line(
                fault,
                len(all_of_it),
                sum(verdict.survived for verdict in all_of_it),
                sum(len(verdict.lost) for verdict in all_of_it),
                sum(len(verdict.doubled) for verdict in all_of_it),
                sum(len(verdict.left) for verdict in all_of_it),
                None if base is None or took is None else round(took - base, 1),
            )
        )
    return made


def text(rows: Sequence[Line]) -> str:
    """The table, in Markdown."""
    cells = [
        [*map(_cell, (r.fault, r.runs, r.survived, r.lost, r.doubled, r.left, r.more_s))]
        for r in rows
    ]
    rule = ["---"] + ["---:"] * (len(HEADS) - 1)
    return "\n".join("| " + " | ".join(each) + " |" for each in [HEADS, rule, *cells])


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _median(verdicts: Sequence[Verdict] | tuple[()]) -> float | None:
    return statistics.median(each.seconds for each in verdicts) if verdicts else None
