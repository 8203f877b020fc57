"""What a search must do: propose the params of a trial, and learn from how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from podmap.records import Record


@runtime_checkable
class Search(Protocol):
    """Proposes params by trial number.

    Both methods may be called from any thread, at the same time. Both are idempotent: asked
    again for the same number a search gives equal params, and a record told again changes
    nothing. So a process that starts over may ask and tell everything once more. Numbers may
    be asked, and records told, in any order.

    The params belong to the caller, who may change the mapping without harm. Their values are
    JSON: numbers (finite), text, booleans, None, or lists of these.
    """

    @property
    def count(self) -> int:
        """How many trials there are, known without asking; for an adaptive search the budget.

        Numbers go from 0 to `count - 1`.
        """
        ...

    def ask(self, number: int) -> Mapping[str, Any]:
        """The params of a trial.

        Raises:
            IndexError: The number is outside 0 to `count - 1`.
        """
        ...

    def tell(self, record: Record) -> None:
        """Takes note of how a trial stands. Enumerated searches have nothing to learn."""
        ...


class Enumerated:
    """Base of the searches whose trials are known before any runs.

    `ask` is a pure function of the number, so such searches hold no state, need no lock, and
    a manifest need not keep their params.
    """

    count: int

    def tell(self, record: Record) -> None:
        """Does nothing: the trials are known before any runs."""

    def _check(self, number: int) -> None:
        if not 0 <= number < self.count:
            raise IndexError(f"trial {number}: the numbers go from 0 to {self.count - 1}")
