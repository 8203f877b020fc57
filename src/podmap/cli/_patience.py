"""Asks a store again that cannot answer for now, for as long as `--patience` says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from podmap.aio import Backoff
from podmap.cli._output import duration
from podmap.errors import StoreError

if TYPE_CHECKING:
    from podmap.cli._console import Console

T = TypeVar("T")
_PAUSES_S = (1.0, 15.0)


def asked_patiently(
    ask: Callable[[], T],
    *,
    patience_s: float,
    console: Console,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """What is asked for, once the store can answer; that it cannot is told once.

    Args:
        ask: May be called again after it has failed.
        patience_s: For how long it is called again, in seconds.
        console: Where that is told.
        clock: Seconds from any start.
        sleep: Returns after some seconds.

    Raises:
        StoreError: The store has refused, or could not answer in all that time.
    """
    begun, backoff, told = clock(), Backoff(*_PAUSES_S), False
    while True:
        try:
            return ask()
        except StoreError as error:
            left_s = begun + patience_s - clock()
            if not error.passing or left_s <= 0:
                raise
            if not told:
                console.warn(f"podmap: {error}; asking again for {duration(patience_s)}")
            told = True
            sleep(min(backoff.next_s(), left_s))
