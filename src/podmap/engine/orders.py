"""What users ask of a run while it goes on, as `run.json` has it: noted, and told once."""

from __future__ import annotations

from podmap.engine.events import RunEvents, RunSteered
from podmap.ledger.run_state import RunState


class Orders:
    """The users' part of `run.json`, as one process has read it last."""

    def __init__(self, events: RunEvents) -> None:
        """Nothing was asked for yet.

        Args:
            events: Is told of each change.
        """
        self._events = events
        self._last = _asked(RunState())

    def note(self, state: RunState) -> None:
        """Tells what is asked for now, if it is not what was asked for before."""
        asked = _asked(state)
        if asked != self._last:
            self._last = asked
            self._events.emit(RunSteered(state))


def _asked(state: RunState) -> tuple[int | None, bool, str | None, bool]:
    return state.parallelism, state.paused, state.stopped, state.cancel
