"""Past trials as a study of Optuna's, made anew for each ask: nothing else is remembered."""

from __future__ import annotations

import datetime
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from podmap.search.adaptive.past import PastTrial, SamplerSetting, as_told, by_end
from podmap.search.adaptive.space import SearchAxis

_EPOCH = datetime.datetime(2000, 1, 1)
_INFEASIBLE = "constraints:failed"
_LIMITS = "constraints:where"
MakeSampler = Callable[[int, Sequence[PastTrial]], BaseSampler]
"""From a seed and the past to a new sampler of Optuna's."""


class OptunaSampler:
    """Suggests by a sampler of Optuna's, made and seeded anew for each ask.

    It shows the past to the sampler as a study in memory, with trials in order of their numbers;
    choices are shown as their places, so that `true` and `1` stay apart, and null, lists and
    mappings are choices, too. A failed trial is one that breaks a constraint.
    """

    def __init__(
        self, setting: SamplerSetting, make: MakeSampler, *, all_axes: bool = False
    ) -> None:
        """Asks nothing yet.

        Args:
            setting: The space, and what is to be done with failed trials.
            make: Makes the sampler of an ask.
            all_axes: Whether what the sampler samples together are all axes that all trials have.
                Where all have all of them it is then not asked which: to find that out it compares
                every axis of every trial, half the cost of an ask.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._setting = setting
        self._make = make
        self._all_axes = all_axes
        self._distributions = {axis.name: distribution(axis) for axis in setting.space.axes}
        self._made: list[tuple[PastTrial, int | None, FrozenTrial]] = []

    def suggest(self, number: int, past: Sequence[PastTrial]) -> dict[str, float]:
        """As `Sampler.suggest`."""
        told = as_told(past, self._setting.failed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of experimental options; nobody here could heed them
            return self._sample(number, told)

    def _sample(self, number: int, told: Sequence[PastTrial]) -> dict[str, float]:
        sampler = self._make(ask_seed(self._setting.seed, number), told)
        study, trial = _study(self._shown(told, sampler), self._setting.objectives, sampler)
        sampler.before_trial(study, trial)
        space = self._space(told) or sampler.infer_relative_search_space(study, trial)
        point: dict[str, float] = dict(sampler.sample_relative(study, trial, space))
        for name, one in self._distributions.items():
            if name not in point:
                point[name] = sampler.sample_independent(study, trial, name, one)
        return self._setting.space.existing(point)

    def _space(self, told: Sequence[PastTrial]) -> dict[str, BaseDistribution]:
        """The axes that are sampled together, by name; empty where the sampler must say it."""
        axes = len(self._distributions)
        if not self._all_axes or not told or any(len(one.point) < axes for one in told):
            return {}
        return dict(sorted(self._distributions.items()))

    def _shown(self, told: Sequence[PastTrial], sampler: BaseSampler) -> list[FrozenTrial]:
        """The trials as Optuna has them; one that is as it was is not made again."""
        generations = _generations(told, getattr(sampler, "_population_size", None))
        key = f"{type(sampler).__name__}:generation"  # where genetic samplers of Optuna's look
        made = self._made
        for place, one in enumerate(told):
            generation = generations.get(id(one))
            if place < len(made) and made[place][:2] == (one, generation):
                continue
            attrs = {} if generation is None else {key: generation}
            trial = _frozen(place, one, self._setting, self._distributions, attrs)
            made[place : place + 1] = [(one, generation, trial)]
        del made[len(told) :]
        return [trial for _, _, trial in made]


@functools.lru_cache(maxsize=1024)
def ask_seed(seed: int, number: int) -> int:
    """The seed of one ask: of the search's and the trial's number alone."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def distribution(axis: SearchAxis) -> BaseDistribution:
    """An axis in Optuna's words, over inner values."""
    low, high = axis.ends
    if axis.is_choice:
        return CategoricalDistribution(tuple(range(int(high) + 1)))
    if axis.is_float:
        return FloatDistribution(low, high, log=axis.log)
    return IntDistribution(int(low), int(high), log=axis.log)


def _study(
    shown: list[FrozenTrial], objectives: int, sampler: BaseSampler
) -> tuple[Study, FrozenTrial]:
    storage = _PastStorage()
    study_id = storage.create_new_study([StudyDirection.MINIMIZE] * objectives, "past")
    storage.show(shown)
    study = Study("past", storage, sampler=sampler)
    return study, storage.get_trial(storage.create_new_trial(study_id))


def _generations(told: Sequence[PastTrial], size: int | None) -> dict[int, int]:
    """To which generation each ended trial belongs, for samplers that have some.

    They are told apart by the order in which trials ended, so nothing has to be kept of them.
    """
    if not size:
        return {}
    return {id(one): place // size for place, one in enumerate(by_end(told))}


def _frozen(
    place: int,
    one: PastTrial,
    setting: SamplerSetting,
    distributions: Mapping[str, BaseDistribution],
    attrs: dict[str, Any],
) -> FrozenTrial:
    failed = one.state == "failed"
    if failed:
        attrs[_INFEASIBLE] = 1.0
    if one.violation:
        attrs[_LIMITS] = one.violation
    running = one.state == "running"
    point = {
        name: int(value) if not isinstance(distributions[name], FloatDistribution) else value
        for name, value in one.point.items()
    }
    return FrozenTrial(
        number=place,
        trial_id=place,
        state=TrialState.RUNNING if running else TrialState.COMPLETE,
        value=None,
        values=None if running else list(one.values or (0.0,) * setting.objectives),
        datetime_start=_EPOCH,
        datetime_complete=None if running else _EPOCH,
        params=point,
        distributions={name: distributions[name] for name in point},
        user_attrs={},
        system_attrs=attrs,
        intermediate_values={},
    )


class _PastStorage(InMemoryStorage):
    """A study in memory whose trials are given all at once, which costs a tenth of adding them."""

    def show(self, trials: list[FrozenTrial]) -> None:
        self._given = trials

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Any = None
    ) -> list[FrozenTrial]:
        found = self._given if states is None else [t for t in self._given if t.state in states]
        return list(found)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        place = len(self._given)
        self._asked = FrozenTrial(
            number=place,
            trial_id=place,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=_EPOCH,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        return place

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._given[trial_id] if trial_id < len(self._given) else self._asked

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.get_trial(trial_id).system_attrs[key] = value
