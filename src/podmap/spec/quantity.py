"""Quantities as people write them: durations, memory, CPU and allowances.

Each parser takes what the spec may hold, and its own result again. What is wrong raises a
`ValueError` that names the value, the rule and an example.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_TOO_LARGE = 1e24
_NUMBER = r"[0-9]{1,24}(?:\.[0-9]{1,24})?"
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|s|m|h|d|w)")
_PLAIN = re.compile(_NUMBER)
_BYTES = re.compile(rf"({_NUMBER})([A-Za-z]*)")
_CPU = re.compile(rf"({_NUMBER})(m?)")
_PERCENT = re.compile(rf"({_NUMBER})%")

_MS_PER_UNIT = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_BYTES_PER_UNIT = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BYTES_PER_UNIT |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}

_DURATION_RULE = "a duration is a number of seconds, or numbers with units from w, d, h, m, s, ms"
_BYTES_RULE = "a size is a number with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, or without for bytes"
_CPU_RULE = "CPU is a number of cores, or of thousandths with m"
_ALLOWANCE_RULE = "an allowance is a count or a percentage from 0% to 100%"


def _wrong(value: Any, rule: str, example: str, hint: str = "") -> ValueError:
    shown = repr(value) if isinstance(value, str) else str(value)
    if isinstance(value, bool):
        shown = shown.lower()
    if len(shown) > 60:
        shown = shown[:57] + "..."
    text = f"{shown} is not allowed: {rule}, for example {example}"
    return ValueError(f"{text}; {hint}" if hint else text)


def _is_plain(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value < _TOO_LARGE


def parse_duration_s(value: Any) -> float:
    """The seconds in a number, or in text such as `90s`, `1.5h` or `1h30m`.

    Units may be joined from the largest to the smallest, each once; text without a unit is
    seconds.

    Raises:
        ValueError: It is negative, not finite, not a number, or of another unit.
    """
    if _is_plain(value):
        return float(value)
    if not isinstance(value, str):
        raise _wrong(value, _DURATION_RULE, "30m")
    if _PLAIN.fullmatch(value):
        return float(value)
    parts = _DURATION_PART.findall(value)
    sizes = [_MS_PER_UNIT[unit] for _, unit in parts]
    whole = "".join(number + unit for number, unit in parts) == value
    if not parts or not whole or sizes != sorted(set(sizes), reverse=True):
        raise _wrong(value, _DURATION_RULE, "1h30m", _duration_hint(value))
    total = sum(Fraction(number) * _MS_PER_UNIT[unit] for number, unit in parts)
    return float(total / 1000)


def _duration_hint(value: str) -> str:
    words = {"sec": "s", "min": "m", "hour": "h", "hr": "h", "day": "d", "week": "w"}
    match = re.fullmatch(rf"({_NUMBER})\s*([A-Za-z]+)", value)
    if match is None:
        return ""
    for word, unit in words.items():
        if match[2].lower().startswith(word) or match[2].lower() == unit:
            return f"did you mean {match[1]}{unit}?"
    return ""


def parse_bytes(value: Any) -> int:
    """The bytes in a whole number, or in text such as `16Gi`, `512Mi`, `1.5G`.

    Part of a byte is rounded up, as Kubernetes does.

    Raises:
        ValueError: It is negative, not finite, not whole, or of another unit.
    """
    if _is_plain(value) and value == int(value):
        return int(value)
    if not isinstance(value, str):
        raise _wrong(value, _BYTES_RULE, "16Gi")
    match = _BYTES.fullmatch(value)
    if match is None or match[2] not in _BYTES_PER_UNIT:
        raise _wrong(value, _BYTES_RULE, "16Gi", _bytes_hint(value))
    return math.ceil(Fraction(match[1]) * _BYTES_PER_UNIT[match[2]])


def _bytes_hint(value: str) -> str:
    match = re.fullmatch(rf"({_NUMBER})\s*([KkMmGgTtPp]?)(i?)[Bb]?", value)
    if match is None:
        return ""
    unit = match[2].upper() if match[3] or match[2] not in "Kk" else "k"
    return f"did you mean {match[1]}{unit}{match[3]}?"


def format_bytes(count: int) -> str:
    """Bytes in the shortest text that `parse_bytes` and Kubernetes read as the same number."""
    texts = [
        f"{count // size}{unit}" for unit, size in _BYTES_PER_UNIT.items() if count % size == 0
    ]
    # With equal lengths the binary unit wins, and 0 stays without one.
    return min(texts, key=lambda text: (len(text), not text.endswith("i")))


def parse_cpu(value: Any) -> float:
    """The cores in a number, or in text such as `4`, `0.5` or `500m`.

    Raises:
        ValueError: It is negative, not finite, or of another unit.
    """
    if _is_plain(value):
        return float(value)
    match = _CPU.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _wrong(value, _CPU_RULE, "0.5 or 500m")
    return float(Fraction(match[1]) / (1000 if match[2] else 1))


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many of the planned trials: either a count or a percentage, the other is None.

    Attributes:
        count: A number of trials, from 0.
        percent: From 0 to 100.
    """

    count: int | None = None
    percent: float | None = None

    def limit(self, planned: int) -> int:
        """The number of trials allowed out of `planned`; percentages are rounded down."""
        if self.percent is None:
            return self.count or 0
        # The shortest decimal, so that 33.3% of 1,000 is 333 in spite of binary fractions.
        return math.floor(Fraction(repr(self.percent)) * planned / 100)

    def __str__(self) -> str:
        return str(self.count or 0) if self.percent is None else f"{self.percent:g}%"


def parse_allowance(value: Any) -> Allowance:
    """The allowance in a whole number, or in text such as `10%` or `5`.

    Raises:
        ValueError: It is negative, over 100%, or a fraction without a percent sign.
    """
    if isinstance(value, Allowance):
        return value
    if _is_plain(value) and isinstance(value, int):
        return Allowance(count=value)
    if isinstance(value, str):
        match = _PERCENT.fullmatch(value)
        if match is not None and Fraction(match[1]) <= 100:
            return Allowance(percent=float(match[1]))
        if re.fullmatch(r"[0-9]{1,24}", value):
            return Allowance(count=int(value))
    hint = ""
    if isinstance(value, float) and 0 < value < 1:
        hint = f"did you mean {value * 100:g}%?"
    raise _wrong(value, _ALLOWANCE_RULE, "5 or 10%", hint)
