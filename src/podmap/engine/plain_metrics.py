"""Metrics that a script merely prints: read from its lines by the patterns of the spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from podmap.spec.patterns import LINE_CHARS, STEP, Pattern


class PlainMetrics:
    """Reads the lines of one attempt, one after the other.

    The step of a value is that of its own line; else, where a pattern finds steps alone, the last
    one that it found; else the value is the metric's first, second, and so on.

    Attributes:
        last: Each metric's last value: what the attempt leaves if it leaves no result.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        """Nothing is read yet."""
        self._patterns = [each for each in patterns if each.metric != STEP]
        self._steps = next((each for each in patterns if each.metric == STEP), None)
        self._step: int | None = None
        self._found: Counter[str] = Counter()
        self._at: tuple[int, dict[str, float]] = (0, {})
        self.last: dict[str, float] = {}

    def read_line(self, line: str) -> tuple[int, Mapping[str, float]] | None:
        """What a line reports: its step, and all that was found of that; None for nothing."""
        line = line[:LINE_CHARS]
        if self._steps is not None:
            found = self._steps.find(line)
            if found is not None and found[0] is not None and abs(found[0]) < 2**53:
                self._step = int(found[0])
        values: dict[str, float] = {}
        own: int | None = None
        for pattern in self._patterns:
            match = pattern.find(line)
            if match is not None and match[0] is not None:
                values[pattern.metric] = match[0]
                own = match[1] if own is None else own
        if not values:
            return None
        self.last.update(values)
        step = self._step_of(values, own)
        if step is None:
            return None
        known = self._at[1] if self._at[0] == step else {}
        self._at = step, {**known, **values}
        return step, dict(self._at[1])

    def _step_of(self, values: Mapping[str, float], own: int | None) -> int | None:
        if own is not None:
            return own
        if self._steps is not None:
            return self._step
        self._found.update(values.keys())
        return max(self._found[name] for name in values)
