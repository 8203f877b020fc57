"""Values of trials as a JSON document for a browser may have them: finite, scalar, of a length."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from podmap.clock import parse_iso

TEXT_LENGTH = 200
"""Of params, reasons and names in the view; longer ones are cut; a trial on its own has more."""
_SAFE_INT = 2**53


def cut(text: str, length: int = TEXT_LENGTH) -> str:
    """A text, cut to a length with a mark that it was."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def plain_number(value: Any) -> float | None:
    """A finite number; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def plain_value(value: Any, length: int = TEXT_LENGTH) -> Any:
    """A param's value as a scalar of JSON: lists are JSON texts, and so are too large numbers."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _SAFE_INT else cut(str(value), length)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return cut(text, length)


def plain_metrics(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics by names that are cut, with finite values."""
    return {cut(name): plain_number(value) for name, value in metrics.items()}


def epoch_s(text: str | None) -> float | None:
    """Seconds since 1970 of a time in UTC ISO 8601; None if it is none."""
    if not text:
        return None
    try:
        return round(parse_iso(text).timestamp(), 3)
    except (ValueError, OverflowError):
        return None
