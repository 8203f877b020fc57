"""The trials of a search that learns: how many there are, and which params they may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.search.adaptive.choice import chosen_kind
from podmap.search.adaptive.space import Space
from podmap.search.base import section
from podmap.search.random import RandomDraws
from podmap.spec.model import Sweep
from podmap.spec.search import AdaptiveSearch


class AdaptiveTrials(RandomDraws):
    """Trials whose params are asked for when they can start.

    Until then each has the params of a draw at random, as an example of what it may be; the first
    few may be given by `try_first`.
    """

    learns = True
    distinct = True

    def __init__(self, search: AdaptiveSearch, *, objectives: int = 1) -> None:
        """Asks for nothing.

        Args:
            search: The section of a checked spec.
            objectives: How many there are.
        """
        super().__init__(
            search.params,
            trials=search.trials,
            seed=search.seed,
            try_first=search.try_first,
            constraints=search.constraints,
        )
        self._name, self._why = chosen_kind(search, objectives)
        self._space = Space(search.params)

    @classmethod
    def from_spec(cls, sweep: Sweep, *, folder: str = "") -> AdaptiveTrials:
        """The trials of a spec."""
        return cls(section(sweep, AdaptiveSearch), objectives=len(sweep.objectives))

    @property
    def name(self) -> str:
        """What `search.kind` says, or what `auto` stands for."""
        return self._name

    @property
    def why(self) -> str:
        """Why this kind was chosen; empty where the spec names it."""
        return self._why

    def is_example(self, number: int) -> bool:
        """Whether what `ask` gives is only an example."""
        return number >= len(self._try_first)

    def accepts(self, number: int, params: Mapping[str, Any]) -> bool:
        """Whether this search may propose these params, for any number."""
        try:
            self._space.inner(params)
        except ValueError:
            return False
        return self.constraints.broken_by(params) is None
