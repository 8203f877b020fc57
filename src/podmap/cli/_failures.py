"""Trials that failed, grouped by their reason."""

from __future__ import annotations

from typing import Any

from podmap.cli._talk import Talk
from podmap.records import Record, TrialState
from podmap.report.words import reason_pattern

NUMBERS_KEPT = 8
GROUPS_KEPT = 1000
GROUPS_SHOWN = 5
SHOWN_FAILURES = 5
_REASON_CHARS = 300
_OTHERS = "other reasons"


class Failures:
    """Counts failed trials by reason; memory does not grow with the trials.

    Reasons that differ only in numbers are one group, known by the first of them.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._numbers: dict[str, list[int]] = {}

    def take(self, record: Record) -> None:
        """Takes note of a trial, if it failed."""
        if record.state is not TrialState.FAILED:
            return
        reason = record.reason[:_REASON_CHARS] or "no reason is known"
        pattern = reason_pattern(reason)
        if pattern not in self._reasons and len(self._reasons) >= GROUPS_KEPT:
            pattern = reason = _OTHERS
        reason = self._reasons.setdefault(pattern, reason)
        self._counts[reason] = self._counts.get(reason, 0) + 1
        numbers = self._numbers.setdefault(reason, [])
        if len(numbers) < NUMBERS_KEPT:
            numbers.append(record.number)

    def to_json(self) -> list[dict[str, Any]]:
        """Each reason with how many trials and the first of their numbers, most first."""
        ordered = sorted(self._counts.items(), key=lambda pair: (-pair[1], self._numbers[pair[0]]))
        return [
            {"reason": reason, "count": count, "trials": sorted(self._numbers[reason])}
            for reason, count in ordered
        ]

    def tell(self, talk: Talk, run: str) -> None:
        """Says the reasons, and how to see more; nothing if no trial failed."""
        groups = self.to_json()
        for group in groups[:GROUPS_SHOWN]:
            count, numbers = group["count"], ", ".join(map(str, group["trials"]))
            more = ", …" if count > len(group["trials"]) else ""
            trials = f"trial {numbers}" if count == 1 else f"{count} trials ({numbers}{more})"
            talk.warn(f"{trials} failed: {group['reason']}")
        if len(groups) > GROUPS_SHOWN:
            talk.warn(f"… and {len(groups) - GROUPS_SHOWN} other reasons")
        if groups:
            talk.warn(f"see why: podmap logs {run} {groups[0]['trials'][0]}")
