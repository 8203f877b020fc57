"""A sampler whose suggestions meet the search's constraints, whichever sampler it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from podmap.search.adaptive.past import PastTrial, Sampler, SamplerSetting
from podmap.search.random import RandomDraws
from podmap.spec.constraint import Constraints
from podmap.spec.flat_params import flattened

ASKED = 20
"""So often a sampler is asked for one trial; then the trial is drawn at random."""
_SEEDS = 2**31


class ConstrainedSampler:
    """Asks a sampler anew, under another seed, while what it suggests breaks a constraint.

    The seeds are of the search's seed and of how often was asked, so that the suggestion is a
    function of setting, number and past as that of any sampler.
    """

    def __init__(self, setting: SamplerSetting, make: Callable[[SamplerSetting], Sampler]) -> None:
        """Makes the sampler; others of the same kind only when they are needed."""
        self._setting = setting
        self._make = make
        self._samplers = [make(setting)]
        self._constraints = Constraints(setting.constraints)

    def suggest(self, number: int, past: Sequence[PastTrial]) -> Mapping[str, float]:
        """As `Sampler.suggest`.

        Raises:
            SpecError: Not even a draw at random meets the constraints.
        """
        setting = self._setting
        for again in range(ASKED):
            if again == len(self._samplers):
                seed = (setting.seed + again * 0x9E3779B1) % _SEEDS
                self._samplers.append(self._make(replace(setting, seed=seed)))
            point = self._samplers[again].suggest(number, past)
            if self._constraints.broken_by(setting.space.outer(point)) is None:
                return point
        draws = RandomDraws(
            setting.space.params,
            trials=number + 1,
            seed=setting.seed,
            constraints=setting.constraints,
        )
        return setting.space.inner(flattened(draws.ask(number)))
