"""What users ask of a run while it goes on, as `run.json` has it: noted, told once, and queued."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from podmap.engine.events import RunEvents, RunSteered
from podmap.ledger.run_state import RunState


class Orders:
    """The users' part of `run.json`, as one process has read it last."""

    def __init__(
        self, events: RunEvents, on_state: Callable[[RunState], None] = lambda state: None
    ) -> None:
        """Nothing was asked for yet.

        Args:
            events: Is told of each change.
            on_state: Called with all that was read, changed or not.
        """
        self._events = events
        self._on_state = on_state
        self._last = _asked(RunState())

    def note(self, state: RunState) -> None:
        """Tells what is asked for now, if it is not what was asked for before."""
        asked = _asked(state)
        if asked != self._last:
            self._last = asked
            self._events.emit(RunSteered(state))
        self._on_state(state)


class TrialQueue:
    """The numbers of a run's trials that nobody has begun: the planned ones, and those asked again.

    For one event loop.
    """

    def __init__(self, count: int) -> None:
        """All trials wait.

        Args:
            count: How many there are.
        """
        self._next = 0
        self._count = count
        self._again: deque[int] = deque()
        self._told: Mapping[str, int] | None = None

    @property
    def waiting(self) -> int:
        """How many there are to take."""
        return self._count - self._next + len(self._again)

    def take(self) -> int | None:
        """The next number, those that were asked for again first; None if nothing waits."""
        if self._again:
            return self._again.popleft()
        if self._next >= self._count:
            return None
        self._next += 1
        return self._next - 1

    def grow(self, count: int) -> None:
        """Takes in trials that were added: there are so many now."""
        self._count = max(self._count, count)

    def note(self, state: RunState) -> None:
        """Takes in what was asked for again since the last call.

        At the first call that is nothing: who asked has taken the records away before, so the
        trials are among those that wait.
        """
        again = self.news(state) if self._told is not None else ()
        self._told = state.again
        self._again.extend(number for number in again if number < self._next)

    def news(self, state: RunState) -> list[int]:
        """The numbers that were asked for again since the last `note`, ascending."""
        told = self._told or {}
        new = (number for number, asked in state.again.items() if asked > told.get(number, 0))
        return sorted(int(number) for number in new if number.isdigit())


def _asked(state: RunState) -> tuple[Any, ...]:
    again = sum(state.again.values())
    return state.parallelism, state.paused, state.stopped, state.cancel, again, state.trials
