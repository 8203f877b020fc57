"""How large a spec may be that comes as a mapping: by the limits of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.spec.yaml import MAX_DEPTH, MAX_TEXT, MAX_VALUES, too_large


def why_too_large(value: Any) -> str:
    """Why a value is more than a spec may hold, by the limits of a file; empty if it is not.

    No part of it is looked at more often than the limits allow, though it may hold itself.

    Args:
        value: Anything, as a DAG file or an override gives it.
    """
    values = text = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        one, depth = stack.pop()
        values += 1
        if depth > MAX_DEPTH:
            return f"nested too deeply: at most {MAX_DEPTH} levels are allowed"
        if isinstance(one, Mapping):
            text += sum(len(key) for key in one if isinstance(key, str))
            stack.extend((child, depth + 1) for child in one.values())
        elif isinstance(one, (list, tuple)):
            stack.extend((child, depth + 1) for child in one)
        elif isinstance(one, str):
            text += len(one)
        if values + len(stack) > MAX_VALUES:
            return too_large("it has more values")
        if text > MAX_TEXT:
            return too_large(f"it has more than {MAX_TEXT:,} characters in all")
    return ""
