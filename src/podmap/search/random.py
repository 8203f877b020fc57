"""`kind: random`, without a random generator: a draw is a hash of seed, param and number.

So any process can make any trial without making the ones before it, the bits are the same on
every machine and Python version, and a param that is added leaves the others' draws alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from podmap.errors import Problem, SpecError
from podmap.search.base import Enumerated, section
from podmap.spec.conditions import Conditions
from podmap.spec.constraint import Constraints
from podmap.spec.dimension import (
    DECIMALS,
    Points,
    clamped,
    int_ends,
    is_continuous,
    log_ends,
    points,
)
from podmap.spec.model import Sweep
from podmap.spec.search import Dimension, Params, RandomSearch, Range, dimensions

_BITS = 256
_PROBES = 10
_PROBE_DRAWS = 1000
_MOST_DRAWS = 100_000
"""Where ten trials were each found within a thousand draws, that many never fail."""
Draw = Callable[[int], Any]


class RandomDraws(Enumerated):
    """Independent draws, the first few replaced by given params."""

    kind = "random"

    def __init__(
        self,
        params: Params,
        *,
        trials: int,
        seed: int,
        try_first: Sequence[Mapping[str, Any]] = (),
        constraints: Sequence[str] = (),
    ) -> None:
        """Prepares the draws; none is made.

        Args:
            params: Name to range, choice or constant.
            trials: How many trials; those of `try_first` count among them.
            seed: Any whole number from 0.
            try_first: Params of the first trials; what they leave out must be a constant.
                Trial n beyond them has the same params with or without them.
            constraints: As the spec has them. A draw that breaks one is made again, by a hash of
                how often it was; those that meet all stay as they are without them.

        Raises:
            SpecError: Hardly a draw meets the constraints.
        """
        self.count = trials
        self._dimensions = dimensions(params)
        self._conditions = Conditions(params)
        self._try_first = tuple(try_first)
        self._draws = {name: _draw(dimension) for name, dimension in self._dimensions.items()}
        self._seeds = {name: hashlib.sha256(f"{seed}:{name}:".encode()) for name in params}
        self.constraints = Constraints(constraints)
        for number in range(_PROBES) if constraints else ():
            self._drawn(number, most=_PROBE_DRAWS)

    @classmethod
    def from_spec(cls, sweep: Sweep, *, folder: str = "") -> RandomDraws:
        """The draws of a spec, which alone says what its trials are."""
        search = section(sweep, RandomSearch)
        return cls(
            search.params,
            trials=search.trials,
            seed=search.seed,
            try_first=search.try_first,
            constraints=search.constraints,
        )

    def ask(self, number: int) -> dict[str, Any]:
        """The draw of a number: the same whatever was asked before."""
        self._check_number(number)
        if number < len(self._try_first):
            return self._given(self._try_first[number])
        return self._drawn(number, most=_MOST_DRAWS)

    def _drawn(self, number: int, *, most: int) -> dict[str, Any]:
        """The first draw of a number that meets the constraints.

        Raises:
            SpecError: So many do not.
        """
        for again in range(most):
            which = b"%d" % number if not again else b"%d:%d" % (number, again)
            drawn = {name: draw(self._bits(name, which)) for name, draw in self._draws.items()}
            params = self._conditions.applying(drawn)
            if self.constraints.broken_by(params) is None:
                return dict(params)
        message = f"none of {most:,} draws meets all constraints"
        hint = "choose ranges in which more do, or a param that is a part of another"
        raise SpecError([Problem("search.constraints", message, hint=hint)])

    def _bits(self, name: str, which: bytes) -> int:
        hashed = self._seeds[name].copy()
        hashed.update(which)
        return int.from_bytes(hashed.digest(), "big")

    def _given(self, item: Mapping[str, Any]) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for name, dimension in self._dimensions.items():
            if name not in item and isinstance(dimension, (Range, list)):
                continue  # it does not exist beside the others
            value: Any = item.get(name, dimension)
            is_float = isinstance(dimension, Range) and not dimension.is_int
            params[name] = float(value) if is_float else value
        return params


def _draw(dimension: Dimension) -> Draw:
    if is_continuous(dimension):
        return _log_float(dimension) if dimension.log else _uniform(dimension)
    if isinstance(dimension, Range) and dimension.log and dimension.steps is None:
        return _log_int(dimension)
    return _pick(points(dimension))


def _pick(choices: Points) -> Draw:
    """Uniform over the points: a remainder of 256 bits, so the bias is below count / 2**256."""
    count, at = choices.count, choices.at
    if count == 1:
        only = at(0)
        return lambda bits: only
    return lambda bits: at(bits * count >> _BITS)


def _uniform(dimension: Range) -> Draw:
    low, high = float(dimension.low), float(dimension.high)

    def draw(bits: int) -> float:
        # Not low + share * (high - low): that overflows for the widest ranges.
        share = (bits >> (_BITS - 53)) * 2.0**-53
        return clamped(low * (1.0 - share) + high * share, dimension)

    return draw


def _log_draw(low: float | Decimal, high: float | Decimal) -> Callable[[int], Decimal]:
    start, end = log_ends(low, high)
    unit = DECIMALS.divide(DECIMALS.subtract(end, start), Decimal(2**64))

    def draw(bits: int) -> Decimal:
        share = DECIMALS.multiply(unit, Decimal(bits >> (_BITS - 64)))
        return DECIMALS.exp(DECIMALS.add(start, share))

    return draw


def _log_float(dimension: Range) -> Draw:
    exact = _log_draw(dimension.low, dimension.high)
    return lambda bits: clamped(float(exact(bits)), dimension)


def _log_int(dimension: Range) -> Draw:
    low, high = int_ends(dimension)
    # Half a unit beyond the ends, so that they are drawn as often as their share says.
    half = Decimal("0.5")
    exact = _log_draw(DECIMALS.subtract(Decimal(low), half), DECIMALS.add(Decimal(high), half))

    def draw(bits: int) -> int:
        return min(max(int(exact(bits).to_integral_value(ROUND_HALF_EVEN)), low), high)

    return draw
