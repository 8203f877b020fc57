"""What happened in a run: its attempts in columns with a lane for each, and the newest events."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from podmap.records import TrialState
from podmap.report.facts import TrialFacts
from podmap.report.lanes import lanes

EVENTS = 50
_ENDED = {
    TrialState.COMPLETE: "is complete",
    TrialState.PRUNED: "was pruned",
    TrialState.FAILED: "failed",
    TrialState.CANCELLED: "was cancelled",
}


class Names:
    """Texts that columns name by their place, each once; "" is at 0."""

    def __init__(self) -> None:
        """Only the empty text is known."""
        self._places: dict[str, int] = {"": 0}

    def place(self, text: str) -> int:
        """The place of a text, which is now known."""
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> list[str]:
        """All texts by place."""
        return list(self._places)


def attempt_columns(trials: Sequence[TrialFacts]) -> dict[str, Any]:
    """All attempts, by trial, then number: `{attempts, ends, nodes}`, as the view has them."""
    rows = [(trial.number, attempt) for trial in trials for attempt in trial.attempts]
    ends, nodes = Names(), Names()
    spans = [(one.started if one.asked is None else one.asked, one.finished) for _, one in rows]
    return {
        "attempts": {
            "trial": [number for number, _ in rows],
            "number": [one.number for _, one in rows],
            "asked": [one.asked for _, one in rows],
            "started": [one.started for _, one in rows],
            "finished": [one.finished for _, one in rows],
            "end": [ends.place(one.end) for _, one in rows],
            "node": [nodes.place(one.node) for _, one in rows],
            "slot": lanes(spans),
        },
        "ends": ends.texts,
        "nodes": nodes.texts,
    }


def newest_events(trials: Iterable[TrialFacts]) -> list[dict[str, Any]]:
    """What happened last, newest first: `{time, text}`, at most `EVENTS`."""
    found = heapq.nlargest(EVENTS, _events(trials), key=lambda event: event[:2])
    return [{"time": time, "text": _event_text(trial, which)} for time, _, which, trial in found]


def _events(trials: Iterable[TrialFacts]) -> Iterator[tuple[float, int, int, TrialFacts]]:
    """When, a number that orders what is at one time, place of the attempt or -1, and the trial."""
    for trial in trials:
        for place, attempt in enumerate(trial.attempts):
            if attempt.started is not None:
                yield attempt.started, 2 * place, place, trial
        if trial.finished is not None and trial.state.terminal:
            yield trial.finished, 2 * len(trial.attempts), -1, trial


def _event_text(trial: TrialFacts, place: int) -> str:
    if place >= 0:
        number = trial.attempts[place].number
        return f"attempt {number} of trial {trial.number} started"
    reason = f": {trial.reason}" if trial.reason and trial.state is TrialState.FAILED else ""
    return f"trial {trial.number} {_ENDED[trial.state]}{reason}"
