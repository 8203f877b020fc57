"""`kind: nsga2`: Optuna's NSGA-II, for several objectives.

A generation's parents are chosen from the generation before and its parents, so they follow from
the records of all generations before. Optuna, shown a study for the first time, finds them by a
recursion down to the first generation, at each level of which it looks at every trial. Here they
are found from the first on, and kept while the records that they follow from are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.study import OptunaSampler

POPULATION = 16
"""Small, so that a few dozen trials are some generations already."""
_Trials = list[FrozenTrial]


def make_nsga2(setting: SamplerSetting) -> OptunaSampler:
    """The sampler; its generations are the trials in the order in which they ended."""
    known: list[tuple[_Trials, _Trials]] = []

    def make(seed: int, past: Sequence[PastTrial]) -> NSGAIISampler:
        return _QuickNsga2(seed, known)

    return OptunaSampler(setting, make, all_axes=True)


class _QuickNsga2(NSGAIISampler):
    """The sampler of one ask, with the parents that were found in asks before."""

    def __init__(self, seed: int, known: list[tuple[_Trials, _Trials]]) -> None:
        """Looks at nothing yet.

        Args:
            seed: Of the ask.
            known: Each generation, and the parents that it and those before have led to; changed
                where the study is another one.
        """
        super().__init__(seed=seed, population_size=POPULATION)
        self._known = known
        self._populations: dict[int, _Trials] | None = None
        self._checked = 0

    def get_population(self, study: Study, generation: int) -> _Trials:
        """As Optuna has it; all trials are looked at once."""
        if self._populations is None:
            self._populations = {}
            for trial in study.get_trials(deepcopy=False):
                own = trial.system_attrs.get(self._get_generation_key())
                if own is not None:
                    self._populations.setdefault(own, []).append(trial)
        return self._populations.get(generation, [])

    def get_parent_population(self, study: Study, generation: int) -> _Trials:
        """As Optuna has it, from the first generation on."""
        known = self._known
        while self._checked < generation:
            population = self.get_population(study, self._checked)
            if self._checked == len(known) or known[self._checked][0] != population:
                del known[self._checked :]
                parents = self.select_parent(study, self._checked + 1)
                known.append((population, parents))
            self._checked += 1
        return list(known[generation - 1][1]) if generation else []
