"""A user's stop, for pods that run already: read once for all attempts of a run in this process."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref

from podmap.engine.tally import Stop
from podmap.engine.timing import TIMING
from podmap.errors import RecordError, StoreError
from podmap.ledger.ledger import Ledger

_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, UserStop]] = (
    weakref.WeakKeyDictionary()
)


class UserStop:
    """Whether a user has stopped a run, as `run.json` has had it a moment ago."""

    def __init__(self, ledger: Ledger) -> None:
        """Nothing is read yet; `of` is the usual way.

        Args:
            ledger: Of the run.
        """
        self._ledger = ledger
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._stop: Stop | None = None

    @classmethod
    def of(cls, ledger: Ledger) -> UserStop:
        """That of a run, the same for all who ask in the running loop."""
        known = _of_loops.setdefault(asyncio.get_running_loop(), {})
        return known.setdefault(ledger.run_uri, cls(ledger))

    async def next(self, every_s: float = TIMING.read_state_s) -> Stop:
        """The stop, once there is one; however many wait, the file is read once in that time.

        Args:
            every_s: How often to read.
        """
        while True:
            await asyncio.sleep(every_s)
            async with self._lock:
                if time.monotonic() - self._read_at >= every_s:
                    await self._read()
            if self._stop is not None:
                return self._stop

    async def _read(self) -> None:
        # "Could not ask" is no answer: what was read before stands.
        with contextlib.suppress(StoreError, RecordError):
            self._stop = Stop.steered(await asyncio.to_thread(self._ledger.read_state))
        self._read_at = time.monotonic()
