"""`kind: nsga2`: Optuna's NSGA-II, for several objectives."""

from __future__ import annotations

from collections.abc import Sequence

from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.study import OptunaSampler

POPULATION = 16
"""Small, so that a few dozen trials are some generations already."""


def make_nsga2(setting: SamplerSetting) -> OptunaSampler:
    """The sampler; its generations are the trials in the order in which they ended."""
    from optuna.samplers import NSGAIISampler

    def make(seed: int, past: Sequence[PastTrial]) -> NSGAIISampler:
        return NSGAIISampler(seed=seed, population_size=POPULATION)

    return OptunaSampler(setting, make)
