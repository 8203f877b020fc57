"""Texts that name a param which a trial does not have: which of them are left out with it.

An argument `--gamma={params.gamma}` is left out where there is no gamma, and so is a variable whose
whole value is `{params.gamma}`. What else names it cannot be left out without changing more than
that, so it is an error of the spec, unless all trials that use the text have the param.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from podmap.spec.placeholder import find_placeholders

_NAME = re.compile(r"[^{}=]+=")


def stands_for(key: str, text: str) -> str | None:
    """The param without which a text is left out as a whole; None if there is no such param.

    Args:
        key: Where the text stands: `command`, `args`, `env`, or another key of `trial`.
        text: The text, with placeholders.
    """
    found = find_placeholders(text)
    if len(found) != 1 or found[0].root != "params":
        return None
    head, _, tail = text.partition(str(found[0]))
    if tail:
        return None
    named = _NAME.fullmatch(head) is not None if key in ("command", "args") else not head
    return found[0].name if named and key in ("command", "args", "env") else None


class AbsentParams:
    """The params that a trial does not have, though others of its search do."""

    def __init__(self, optional: frozenset[str], params: Mapping[str, Any]) -> None:
        """Takes what trials of the search may lack, and what the trial has."""
        self._names = optional - params.keys() if optional else optional

    def omit(self, key: str, text: str) -> bool:
        """Whether a text is left out in this trial; arguments are those of `stands_for`."""
        return bool(self._names) and stands_for(key, text) in self._names
