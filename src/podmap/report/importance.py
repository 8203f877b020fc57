"""How much each param matters for the objective, and whether there are trials enough to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEAST_TRIALS = 20
"""Of fewer trials nothing is said: what one sees there is mostly chance."""


@dataclass(frozen=True, slots=True)
class Importance:
    """How much each param matters.

    Attributes:
        method: How it was found: `ped-anova`, or `rank`.
        text: The same in words, or why nothing is said.
        values: Param to its part, from 0 to 1, the largest first.
    """

    method: str
    text: str
    values: Sequence[tuple[str, float]] = ()

    def to_json(self) -> dict[str, Any]:
        """The importance as the view has it."""
        values = [{"param": name, "value": value} for name, value in self.values]
        return {
            "method": self.method,
            "text": self.text,
            "enough": bool(values),
            "values": values,
        }


def importance(
    params: Sequence[Mapping[str, Any]], values: Sequence[float], *, maximize: bool
) -> Importance:
    """How much each param matters for a value.

    Args:
        params: Of each complete trial.
        values: The objective of each.
        maximize: Whether greater values are better.
    """
    if len(values) < LEAST_TRIALS:
        text = f"too few trials: {len(values)} complete ones, of at least {LEAST_TRIALS}"
        return Importance("rank", text)
    return Importance("rank", "not known yet")
